"""Measured figures. Every comparison is made in one run, its sides in turn, and given as a ratio of medians."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from core import paths
from core.errors import BardlabError
from core.jobs.recorder import Recorder
from core.runs import checkpoints, editing, folder, plan, reading
from core.runs.folder import State
from core.texts.corpus import load as load_corpus
from core.training import devices
from core.training.loop import Progress, train
from core.training.trainer import Trainer

LIVE_SETTINGS: dict[str, Any] = {"steps": 100_000, "eval_every": 10_000}


def live(*, blocks: int, seconds: float) -> dict[str, Any]:
    """Measure what the dashboard costs: training with its page open and polling, against the bare loop.

    Three kinds of block take turns: the bare loop; the loop writing curves and status into its run folder, as a job
    does; and the same with the run's page open in Chromium and polling. The model is the Transformer's `minutes`
    preset. Raises BardlabError if Playwright or Chromium is missing.
    """
    devices.limit_threads()
    config = plan.plan("transformer", preset="minutes", train=LIVE_SETTINGS, device="cpu")
    corpus = load_corpus(config.corpus)
    run = editing.create(config)
    checkpoints.seed_everything(config.train.seed)
    model = config.rung.build(config.model_config_, corpus.tokenizer.size)
    trainer = Trainer(model, config.train, corpus.train_ids, torch.device("cpu"))
    times: dict[str, list[float]] = {"bare": [], "recorded": [], "watched": []}
    try:
        with ExitStack() as stack:
            stack.enter_context(folder.hold(run.path))
            status = run.status.model_copy(update={"state": State.RUNNING, "device": "cpu", "of": config.train.steps})
            recorder = Recorder(run.path, config, status, trainer, corpus)
            stack.callback(recorder.close)
            page = stack.enter_context(_page())
            events = train(trainer, corpus.val_ids, corpus.tokenizer.encode("\n"))
            _steps(events, recorder, seconds)  # warm up
            for _ in range(blocks):
                for kind in times:
                    if kind == "watched":
                        page.goto(f"{page.base}/transformer?run={run.slug}")
                        page.wait_for_selector("canvas", timeout=60_000)
                    rest = 0.5 if kind != "watched" else 6.0  # a page just opened is busy with itself
                    _steps(events, recorder if kind != "bare" else None, rest)
                    times[kind].append(_steps(events, recorder if kind != "bare" else None, seconds))
                    if kind == "watched":
                        page.goto("about:blank")
    finally:
        with suppress(BardlabError):
            editing.delete(reading.read(run.path))
    bare = statistics.median(times["bare"])
    return {
        "what": "ms a training step, Transformer minutes preset, medians of interleaved blocks",
        "blocks": blocks,
        "threads": torch.get_num_threads(),
        "bare_ms": round(1000 * bare, 3),
        "recorded_ms": round(1000 * statistics.median(times["recorded"]), 3),
        "watched_ms": round(1000 * statistics.median(times["watched"]), 3),
        "recorded_ratio": _paired(times["recorded"], times["bare"]),
        "watched_ratio": _paired(times["watched"], times["bare"]),
    }


def _paired(numerator: list[float], denominator: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(numerator, denominator, strict=True)), 4)


def _steps(events: Iterator[Any], recorder: Recorder | None, seconds: float) -> float:
    """Train for `seconds` and return the mean wall time of a step, evaluations left out."""
    began, first, last = time.perf_counter(), None, None
    for event in events:
        now = time.perf_counter()
        if isinstance(event, Progress):
            if recorder:
                recorder.progress(event)
            first = first or (event.step, now)
            last = (event.step, now)
        elif recorder:
            recorder.evaluated(event)
        if now - began > seconds:
            break
    if first is None or last is None or last[0] == first[0]:
        raise BardlabError("a block was too short for one step; give more --seconds")
    return (last[1] - first[1]) / (last[0] - first[0])


@contextmanager
def _page() -> Iterator[Any]:
    """Serve the app and yield a Chromium page with the address of the app as `base`."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BardlabError("bench live opens the page in Chromium; install the test tools first: make unit") from None
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        raise BardlabError("bench live needs /usr/bin/chromium; install it: apt-get install chromium")
    with ExitStack() as stack:
        port = _free_port()
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            "app.py",
            "--server.headless=true",
            f"--server.port={port}",
        ]
        server = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        stack.callback(browser.close)
        page: Any = browser.new_page()
        page.base = f"http://127.0.0.1:{port}"
        for _ in range(100):
            with suppress(Exception):
                page.goto(page.base)
                break
            time.sleep(0.3)
        page.goto("about:blank")
        yield page


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
