"""Shared by the browser tests: `browser`, one Chromium for the session, and `serve`, which starts a Streamlit app.

    def test_title(browser, serve):
        page = browser.new_page()
        page.goto(serve("app.py", {"BARDLAB_HOME": "/some/folder"}))

A test without Chromium fails; it is never skipped.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

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
]

expect.set_options(timeout=30_000)  # nothing here is about time, and a busy machine draws slowly

Serve = Callable[..., str]
"""`serve(app, env)` starts the app (a path, relative to the repository) and returns its URL."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests. Each test opens its own page or context and closes it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def speeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Step times of this machine, measured once, as a first server would measure them beside the first test."""
    home = tmp_path_factory.mktemp("speeds")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BARDLAB_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "core.worker", "--probe"], env=env, check=True, timeout=240)
    return home / "checkpoints" / "runs" / ".speed.json"


def know_speed(home: Path, speeds: Path) -> None:
    """Let a home know the machine's speed already: a probe beside a test would slow it down."""
    known = home / "checkpoints" / "runs" / speeds.name
    if not known.exists():
        known.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(speeds, known)


@pytest.fixture
def serve(tmp_path: Path, speeds: Path) -> Iterator[Serve]:
    """Start Streamlit apps for a test, each on a port of its own, and end them afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(app: str | Path, env: Mapping[str, str] | None = None) -> str:
        if env and "BARDLAB_HOME" in env:
            know_speed(Path(env["BARDLAB_HOME"]), speeds)
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / app), "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--browser.gatherUsageStats", "false"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, f"http://127.0.0.1:{port}"


def wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 60) -> None:
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
