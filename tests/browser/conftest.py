"""Shared by the browser tests: one Chromium for the session, `browser`, who comes with it, and two ways to a server.

`visit()` is the page of somebody who comes for the first time: `visit(400, 800, color_scheme="dark")`.

`lab` is the address of the real app on a server that all tests share; it shows the runs of this test's `home`.
`shared(app)` is another app that tests share. `serve` starts a server for one test alone:

    def test_title(visit, serve):
        page = visit()
        page.goto(serve("app.py", {"BARDLAB_HOME": "/some/folder"}))

`go(page, url)` leads on to another address inside the app, at a fifth of what loading it costs.

A test without Chromium fails; it is never skipped.
"""

import base64
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg

from core import paths
from core.inference import loader
from core.jobs import control, timing
from core.ladder.registry import RUNGS
from core.runs import layout, plan, reading
from core.texts.corpus import load
from pages.ui.rung_views.counting import complete, count_more

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--js-flags=--no-opt",  # nothing runs long enough for code to be worth optimising
    "--process-per-site",  # what one page has compiled the next need not
]

expect.set_options(timeout=60_000)  # nothing here is about time, and a busy machine draws slowly

Serve = Callable[..., str]
"""`serve(app, env)` starts the app (a path, relative to the repository) and returns its URL."""
Visit = Callable[..., Page]
"""`visit(width, height, **options)` returns the page of a new visitor; options are those of a Playwright context."""
STORED = "cookies,local_storage,indexeddb,cache_storage,service_workers"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests. Each test opens its own page or context and closes it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


class Visitor:
    """Somebody's browser, which others may have after them: what it has loaded and compiled of the app it keeps.

    That is all it keeps: the next finds no page open, no cookie, nothing stored and no permission, as at a first visit.
    An empty page of the same site, which no server answers, keeps the process that draws the app alive.
    """

    def __init__(self, browser: Browser, options: Mapping[str, Any]) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(60_000)
        self.origins: set[str] = set()
        self.context.on("page", lambda page: page.on("framenavigated", lambda frame: self.went(frame.url)))
        self.empty = self.context.new_page()
        self.empty.route("**", lambda route: route.fulfill(body=""))
        self.empty.goto("http://127.0.0.1/")
        self.devtools = self.context.new_cdp_session(self.empty)

    def went(self, url: str) -> None:
        """Note where something may be stored."""
        scheme, host, *_ = urlsplit(url)
        if host:
            self.origins.add(f"{scheme}://{host}")

    def leave(self) -> None:
        """Forget everything but what was loaded."""
        self.context.set_offline(False)
        self.context.clear_permissions()
        self.context.clear_cookies()
        for page in self.context.pages:
            if page is not self.empty:
                page.close()
        for origin in self.origins:
            self.devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORED})
        self.origins.clear()


@pytest.fixture(scope="session")
def visitors() -> dict[str, list[Visitor]]:
    """Browsers that nobody uses at the moment, by their options."""
    return defaultdict(list)


@pytest.fixture
def visit(browser: Browser, visitors: dict[str, list[Visitor]]) -> Iterator[Visit]:
    """Come for the first time. Each call is somebody else; what they leave open is closed after the test."""
    here: list[tuple[str, Visitor]] = []

    def come(
        width: int = 1280,
        height: int = 800,
        *,
        color_scheme: Literal["light", "dark"] = "light",
        reduced_motion: Literal["reduce", "no-preference"] = "no-preference",
        **options: Any,
    ) -> Page:
        free = visitors[repr(options)]
        visitor = free.pop() if free else Visitor(browser, options)
        here.append((repr(options), visitor))
        page = visitor.context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=color_scheme, reduced_motion=reduced_motion)
        return page

    yield come
    for options, visitor in here:
        visitor.leave()
        visitors[options].append(visitor)


@pytest.fixture(scope="session")
def walkers(browser: Browser) -> list[Page]:
    """The page that `walk` goes on with, if there is one."""
    return []


@pytest.fixture
def walk(browser: Browser, walkers: list[Page], request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Go on where the test before was: `go()` leads to another page of an app without loading it.

    The session is that of the test before, with what it keeps. After a test that fails, the next has a page of its own.
    """
    failed = request.session.testsfailed

    def come(width: int = 1280, height: int = 800) -> Page:
        if not walkers:
            walkers.append(browser.new_context().new_page())
            walkers[0].context.set_default_timeout(60_000)
        page = walkers[0]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="light")
        page.mouse.move(0, 0)
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
        return page

    yield come
    if walkers and request.session.testsfailed > failed:
        walkers.pop().context.close()


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that knows what others find out by themselves, which would slow down a test beside it.

    That is the machine's speed, 50 steps a second, whatever it trains, and how far counting goes on the text.
    """
    folder = ROOT / ".pytest_cache" / "known"
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, FileLock(folder.with_suffix(".lock")):
        patch.setenv("BARDLAB_HOME", str(folder))
        corpus = load()
        while not complete(corpus):
            count_more(corpus)
        (paths.runs() / layout.SPEED).unlink(missing_ok=True)
        for key in RUNGS:
            timing.record(plan.plan(key, device="cpu"), "cpu", 50.0)
        return Path(shutil.copytree(folder, tmp_path_factory.mktemp("known") / "home"))


def know(home: Path, known: Path) -> None:
    """Let a home know that already."""
    for file in known.rglob("*"):
        target = home / file.relative_to(known)
        if file.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


@pytest.fixture(scope="session", autouse=True)
def machine_code() -> None:
    """What writes texts, compiled once for all servers: each has a home of its own and would compile beside a test."""
    folder = ROOT / ".pytest_cache" / "compiled"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    with FileLock(folder.with_suffix(".lock")):
        if not loader.built():
            command = "from core.inference import loader; loader.load()"  # not aside: tests wait for it
            subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, known: Path) -> Path:
    """The folder of all runs of these tests, as the shared server knows it."""
    folder = tmp_path_factory.mktemp("lab")
    know(folder, known)
    return folder


@pytest.fixture(autouse=True)
def home(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point everything that is written to that folder, which holds no run when a test begins."""
    monkeypatch.setenv("BARDLAB_HOME", str(place))
    monkeypatch.setenv("BARDLAB_PRETRAINED", str(place / "pretrained"))
    yield place
    active = [run for run in reading.list_runs() if run.state.active]
    for run in active:
        control.stop(run)
    for run in active:
        control.wait(run, 120)
    for left in paths.runs().iterdir():
        if left.is_dir():
            shutil.rmtree(left)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start an app once for all tests that ask for it in the same environment."""
    started: dict[str, tuple[subprocess.Popen[bytes], str]] = {}
    folder = tmp_path_factory.mktemp("servers")

    def start(app: str | Path, env: Mapping[str, str] | None = None) -> str:
        key = f"{app} {env}"
        if key not in started:
            log = folder / f"streamlit-{len(started)}.log"
            started[key] = start_app(app, log, env)
            wait_until_up(*started[key], log)
        return started[key][1]

    yield start
    for process, _ in started.values():
        stop_app(process)


@pytest.fixture
def lab(shared: Serve, place: Path) -> str:
    """The address of the real app."""
    return shared("app.py", {"BARDLAB_HOME": str(place), "BARDLAB_PRETRAINED": str(place / "pretrained")})


@pytest.fixture
def serve(tmp_path: Path, known: Path) -> Iterator[Serve]:
    """Start Streamlit apps for a test, each on a port of its own, and end them afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(app: str | Path, env: Mapping[str, str] | None = None) -> str:
        if env and "BARDLAB_HOME" in env:
            know(Path(env["BARDLAB_HOME"]), known)
        log = tmp_path / f"streamlit-{len(started)}.log"
        process, url = start_app(app, log, env)
        started.append(process)
        wait_until_up(process, url, log)
        return url

    yield start
    for process in started:
        stop_app(process)


def start_app(app: str | Path, log: Path, env: Mapping[str, str] | None = None) -> tuple[subprocess.Popen[bytes], str]:
    """Start one app, its output in `log`. Return its process and its URL, which may not answer yet."""
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / app), "--server.headless", "true"]
    command += ["--server.port", "0", "--server.address", "127.0.0.1", "--browser.gatherUsageStats", "false"]
    said = {"STREAMLIT_LOGGER_HIDE_WELCOME_MESSAGE": "false"}  # any app says its address, of the port it was given
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **said, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    until = time.monotonic() + 120
    while not (url := re.search(r"http://127\.0\.0\.1:\d+", log.read_text(errors="replace"))):
        if time.monotonic() > until or process.poll() is not None:
            stop_app(process)
            raise RuntimeError(f"The app did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
    return process, url[0]


def wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 120) -> None:
    """Return when the app answers; raise with its output if it ends first or takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The app did not start:\n{log.read_text(errors='replace')}")


def stop_app(process: subprocess.Popen[bytes]) -> None:
    """End one app by its own process."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


GO = """async (url) => {
    const app = document.querySelector("[data-testid=stApp]");
    const go = () => dispatchEvent(new PopStateEvent("popstate"));
    history.pushState({}, "", url);
    for (let tries = 0; tries < 20; tries++) {
        const begun = new Promise((done) => {
            const observer = new MutationObserver(() => app.dataset.testScriptState !== "notRunning" && done(true));
            observer.observe(app, { attributes: true });
            setTimeout(() => done(observer.disconnect()), 3000);
        });
        go();
        if (!(await begun)) continue;
        const here = () => document.querySelector("[data-testid=stSidebarNav] a[aria-current=page]")?.pathname;
        const there = () => [location.pathname, undefined].includes(here());
        while (!there() && app.dataset.testScriptState !== "notRunning") await new Promise(requestAnimationFrame);
        if (there()) return;
    }
    throw new Error(`the app does not go to ${url}`);
}"""
"""Goes to an address as Back does, and waits until the page of before is no longer what is shown.

A short run of a page's script may go unseen, where the browser is busy, and what the page of before asks for at that
moment may take the new one's place: then the address is gone to once more.
"""


def go(page: Page, url: str) -> None:
    """Lead a page on to another address inside the app that it shows; where it shows none, load it.

    For what is not about loading: the tab is the same, and so is the server's session.
    """
    if urlsplit(page.url)[:2] == urlsplit(url)[:2]:
        page.evaluate(GO, url)
    else:
        page.goto(url)


def asked_of_server(page: Page) -> list[BackMsg]:
    """What the page asks the server from now on, the clocks of its fragments left out."""
    asked: list[BackMsg] = []

    def sent(frame: dict[str, Any]) -> None:
        message = BackMsg.FromString(base64.b64decode(frame["response"]["payloadData"]))
        if not message.rerun_script.is_auto_rerun:
            asked.append(message)

    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.on("Network.webSocketFrameSent", sent)
    return asked
