"""Faults of the server: killed while it trains, and crowded."""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch
from playwright.sync_api import Browser, expect, sync_playwright

from core import paths
from core.jobs import control
from core.jobs.recorder import Recorder
from core.runs import checkpoints, editing, layout, plan, reading
from core.runs import folder as runs_folder
from core.runs.folder import State
from core.texts.corpus import load as load_corpus
from core.training import devices
from core.training.loop import Progress, train
from core.training.trainer import Trainer
from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS, start_app, wait_until_up


@contextlib.contextmanager
def serving(env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a server on this test's runs; end it if it still lives."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        process, url = start_app("app.py", log, env)
        try:
            wait_until_up(process, url, log, 120)
            yield process, url
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)


def killed_server() -> dict[str, Any]:
    """Start a run of some minutes from the page, SIGKILL the server, and look at the run from the next one."""
    (paths.runs() / layout.SPEED).parent.mkdir(parents=True, exist_ok=True)
    (paths.runs() / layout.SPEED).write_text("{}")
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(180_000)  # a busy machine draws slowly; nothing here is about time
        with serving() as (server, url):
            spoken = {c.laddr.ip for c in psutil.Process(server.pid).net_connections("tcp") if c.status == "LISTEN"}
            page.goto(f"{url}/mlp")
            page.get_by_role("radio", name="good").click()
            page.get_by_role("button", name="Train ·").click()
            run = _await(
                lambda: next((r for r in reading.list_runs() if r.state is State.RUNNING and r.status.step), None)
            )
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
        at_death = reading.read(run.path).status.step
        after = _await(lambda: r if (r := reading.read(run.path)).status.step > at_death + 20 else None)
        with serving() as (_, url):
            page.goto(f"{url}/mlp?run={run.slug}")
            page.locator(".st-key-stop button").first.click()
            ended = control.wait(run, 60)
    return {
        "step when the server died": at_death,
        "step later": after.status.step,
        "the next server's page stopped it": str(ended.state),
        "listens on": sorted(spoken),
        "ok": ended.state is State.STOPPED and spoken == {"127.0.0.1"},
    }


def _await(look: Any, seconds: float = 120.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)
    return found


class _Young(Recorder):
    """Reports a run as younger than a minute, in which pages look once a second."""

    def progress(self, event: Progress) -> None:
        """Store one point of the training curve."""
        super().progress(event)
        self.status.seconds = min(event.seconds, 55.0)


def crowd(
    sessions: int = 20,
    blocks: int = 4,
    seconds: float = 8.0,
    settling: float = 2.0,
    browser: Browser | None = None,
) -> dict[str, Any]:
    """Watch one training from many sessions at once; time its steps with them and without, in turn.

    It holds if every session has seen the chart grow once a block, in the end, and nothing broke.
    The sessions speak the browser's protocol and ask for all that a page asks for, but draw nothing: in a class each
    browser has a machine of its own. A real tab in the end shows that the page is whole.
    """
    devices.limit_threads()
    if not (paths.runs() / layout.SPEED).exists():  # a server would measure it beside the crowd
        subprocess.run([sys.executable, "-m", "core.jobs.worker", "--probe"], check=True, timeout=240)
    config = plan.plan("transformer", preset="minutes", train={"steps": 100_000, "eval_every": 10_000}, device="cpu")
    corpus = load_corpus(config.corpus)
    run = editing.create(config)
    checkpoints.seed_everything(config.train.seed)
    model = config.rung.build(config.model_config_, corpus.tokenizer.size)
    trainer = Trainer(model, config.train, corpus.train_ids, torch.device("cpu"))
    times: dict[str, list[float]] = {"rest": [], "watch": []}
    shares: dict[str, list[float]] = {"server": [], "clients": []}
    with runs_folder.hold(run.path), serving() as (server, url):
        status = run.status.model_copy(update={"state": State.RUNNING, "device": "cpu", "of": config.train.steps})
        recorder = _Young(run.path, config, status, trainer, corpus)
        events = train(trainer, corpus.val_ids, corpus.tokenizer.encode("\n"))
        _steps(events, recorder, settling)
        process = psutil.Process(server.pid)
        empty = process.memory_info().rss
        page = f"{url}/transformer?run={run.slug}"
        command = [sys.executable, "-m", "tests.faults.wire", page, str(sessions)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
            assert clients.stdin and clients.stdout
            began = time.monotonic()
            assert clients.stdout.readline() == "open\n", "not every session was drawn"
            opened = time.monotonic() - began
            full = process.memory_info().rss
            busy = {"server": process, "clients": psutil.Process(clients.pid)}
            for _ in range(blocks):
                for kind in times:
                    print(kind, file=clients.stdin, flush=True)
                    clients.stdout.readline()
                    _steps(events, recorder, settling)
                    used = [sum(each.cpu_times()[:2]) for each in busy.values()]
                    times[kind].append(_steps(events, recorder, seconds))
                    if kind == "watch":
                        for (name, each), before in zip(busy.items(), used, strict=True):
                            shares[name].append((sum(each.cpu_times()[:2]) - before) / seconds)
            patience = time.monotonic() + 240
            while time.monotonic() < patience:
                print("watch", file=clients.stdin, flush=True)
                if json.loads(clients.stdout.readline())["fewest updates"] >= blocks:
                    break
                _steps(events, recorder, 0.5)
            print("end", file=clients.stdin, flush=True)
            found = json.loads(clients.stdout.readline())
        with contextlib.nullcontext(browser) if browser else chromium() as tabs:
            shown = _whole(tabs, page)
        recorder.close()
    ratio = statistics.median(w / a for w, a in zip(times["watch"], times["rest"], strict=True))
    editing.delete(reading.read(run.path))
    answered = found["fewest updates"] >= blocks
    errors = sum(n for name, n in found.items() if name.startswith("exception") or "FAILURE" in name or "lost" in name)
    return {
        "sessions": sessions,
        "seconds to open all": round(opened, 1),
        "ms a step alone": round(1000 * statistics.median(times["rest"]), 2),
        "ms a step watched": round(1000 * statistics.median(times["watch"]), 2),
        "slower by a factor": round(ratio, 3),
        "polls a second and session": round(found["polls"] / (blocks * (seconds + settling) * sessions), 2),
        "share of a core": {name: round(statistics.median(each), 2) for name, each in shares.items()},
        "server MB a session": round((full - empty) / sessions / 1e6, 1),
        "what happened": found,
        "a real tab is whole": shown,
        "ok": not errors and answered and found["alive"] == sessions and shown,
    }


def _whole(browser: Browser, url: str) -> bool:
    """Whether a real tab draws the page, chart and all, without an error."""
    errors: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url, timeout=120_000)
    page.wait_for_selector(".curves canvas", timeout=120_000)
    expect(page.locator(".st-key-numbers").get_by_text("val ")).to_be_visible(timeout=120_000)
    page.close()
    return not errors


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for one row."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


def _steps(events: Iterator[Any], recorder: Recorder, seconds: float) -> float:
    """Train for so many seconds, one step at least; return the mean time of a step."""
    began, first, last = time.perf_counter(), None, None
    for event in events:
        if not isinstance(event, Progress):
            recorder.evaluated(event)
            continue
        recorder.progress(event)
        last = (event.step, time.perf_counter())
        first = first or last
        if last[1] - began > seconds and last[0] > first[0]:
            break
    assert first and last, "the training has ended"
    return (last[1] - first[1]) / (last[0] - first[0])
