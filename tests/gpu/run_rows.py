"""Rows about whole runs: the tests, the reference as a page starts it, time to a loss, several at once."""

import os
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

import torch

from core import paths
from core.evaluation import evaluate
from core.jobs import control, work
from core.jobs.recorder import Recorder
from core.jobs.timing import synchronise
from core.runs import editing, reading
from core.runs import plan as runs_plan
from core.runs.folder import State
from core.runs.metrics import TRAIN_LOSS, MetricsReader
from core.runs.state import Run, RunConfig
from core.texts.corpus import load
from core.training.loop import Progress, train
from tests.gpu.setting import Setting, block, used_by_process
from tests.gpu.timers import timed

TARGET = 1.4697
RECIPE = "best"
"""The frozen preset that is to reach it."""


def tests(s: Setting) -> dict[str, Any]:
    """B: the tests marked gpu."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "gpu",
        "-q",
        "-x",
        "--timeout",
        "40",
        "-p",
        "no:xdist",
        "tests/gpu",
    ]
    env = {**os.environ, **({"BARDLAB_REHEARSE": "1"} if s.rehearse else {})}
    done = subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT, env=env)
    s.say(done.stdout[-3000:])
    return {"ok": done.returncode == 0, "said": (done.stdout.strip().splitlines() or [done.stderr[-300:]])[-1]}


def start(s: Setting, preset: str, **changes: Any) -> Run:
    """Start a run of the Transformer as a page does."""
    return control.start(editing.create(_plan(s, preset, **changes)))


def _plan(s: Setting, preset: str, **changes: Any) -> RunConfig:
    model, train = s.settings("transformer", preset, **changes)
    return runs_plan.plan(
        "transformer", preset=preset, model=model.model_dump(), train=train.model_dump(), device=s.device.type
    )


def reference(s: Setting) -> dict[str, Any]:
    """D1: the reference preset to its end, from the request to the last file."""
    began = time.monotonic()
    run = start(s, "reference")
    first = None
    while reading.read(run.path).state.active:
        if first is None and len(MetricsReader(run.path).refresh().curve(TRAIN_LOSS)[0]):
            first = time.monotonic() - began
        time.sleep(0.1)
    wall = time.monotonic() - began
    done = reading.read(run.path)
    status = done.status
    found: dict[str, Any] = {
        "run": run.slug,
        "state": str(done.state),
        "message": status.message,
        "to the first point s": first,
        "wall s": wall,
        "told seconds": status.seconds,
        "val loss": status.val_loss,
        "best": status.best_val_loss,
        "steps/s": status.steps_per_second,
        "device": status.device_name,
        "computed in": status.precision,
        "compiled": status.compiled,
    }
    stepping = status.step / (status.steps_per_second or float("inf"))
    found["seconds of steps"] = stepping
    found["share of other things"] = 1 - stepping / max(status.seconds, 1e-9)
    good = done.state is State.FINISHED
    if not s.rehearse:
        good &= 1.44 <= (status.best_val_loss or 9.0) <= 1.50 and found["share of other things"] < 0.15
    found["seconds by kind"] = _by_kind(s)
    found["with the recorder to without"] = ratio = _recorder_ratio(s)
    return {"ok": good and (s.rehearse or ratio <= 1.01), **found}


def _by_kind(s: Setting) -> dict[str, float]:
    """The first fifth of the reference again in this process, with its evaluations, and where its seconds go."""
    steps = s.count(1000, 8)
    run = editing.create(_plan(s, "reference", steps=steps, eval_every=s.count(250, 4)))
    with timed(s.device) as spent:
        began = time.perf_counter()
        done = work.work(run.path)
        wall = time.perf_counter() - began
    if done.state is not State.FINISHED:
        raise RuntimeError(done.status.message)
    whole = done.status.seconds + spent["compiling"]  # which a run does not count as training
    return {"steps": whole - sum(spent.values()), **spent, "before and after": wall - whole}


def _recorder_ratio(s: Setting) -> float:
    """Time of a block of steps that the recorder writes down to one that nobody watches, blocks in turn, medians."""
    run = editing.create(_plan(s, "reference", eval_every=10_000, sample_chars=0))
    config = run.need()
    trainer, corpus = s.trainer("transformer", "reference", eval_every=10_000, sample_chars=0), load()
    trainer.prepare()
    recorder = Recorder(run.path, config, run.status, trainer, corpus)
    trainer.done = 1  # no evaluation before the first step
    events = train(trainer, corpus.val_ids[:100], [0])
    steps = s.count(100, 2)

    def watched() -> None:
        until = trainer.done + steps
        while trainer.done < until:
            event = next(events)
            assert isinstance(event, Progress)
            recorder.progress(event)

    def alone() -> None:
        trainer.wants_norm = False
        for _ in range(steps):
            trainer.step()

    times: dict[str, list[float]] = {"watched": [], "alone": []}
    for number in range(s.count(6, 1)):
        for name, part in (("watched", watched), ("alone", alone)):
            before = trainer.done
            took = block(s, part, 1) / max(1, trainer.done - before)
            if number or s.rehearse:
                times[name].append(took)
    recorder.close()
    return statistics.median(times["watched"]) / statistics.median(times["alone"])


def to_loss(s: Setting) -> dict[str, Any]:
    """D2: seconds of steps until an exact evaluation first passes, three seeds; and the peer by its own recipe."""
    corpus = load()
    val = corpus.val_ids[: s.count(len(corpus.val_ids), 500)].to(s.device)
    target = s.count(1, 0) * TARGET or 99.0
    rows = []
    for seed in (1337, 1, 2)[: s.count(3, 1)]:
        trainer = s.trainer("transformer", RECIPE, seed=seed)
        prepared = trainer.prepare()
        every, spent, loss, reached = max(1, trainer.total // 10), 0.0, float("inf"), None
        while trainer.done < trainer.total and reached is None:
            synchronise(s.device)
            began = time.perf_counter()
            for _ in range(min(every, trainer.total - trainer.done)):
                trainer.step()
            synchronise(s.device)
            spent += time.perf_counter() - began
            loss = evaluate(trainer.model, val).loss
            trainer.model.train()
            reached = spent if loss <= target else None
        rows.append({"seed": seed, "seconds": reached, "steps": trainer.done, "loss": loss, "prepare s": prepared})
    found: dict[str, Any] = {"seeds": rows}
    times = sorted(row["seconds"] for row in rows if row["seconds"] is not None)
    all_passed = len(times) == len(rows)
    if s.beside is not None:
        peer, like = s.peer(compiled=not s.rehearse), s.trainer("transformer", "reference").model
        ids, batch, spent, steps = corpus.train_ids, s.count(64, 4), 0.0, s.count(3000, 4)
        torch.manual_seed(1337)
        peer.train_step(ids, batch, 0, 5000)
        found["peer"] = None
        for at in range(1, steps):
            synchronise(s.device)
            began = time.perf_counter()
            peer.train_step(ids, batch, at, 5000)
            synchronise(s.device)
            spent += time.perf_counter() - began
            if at % s.count(250, 2) == 0:
                loss = peer.evaluate(val, like).loss
                if loss <= target:
                    found["peer"] = {"seconds": spent, "steps": at, "loss": loss}
                    break
        if found["peer"] and all_passed:
            found["ratio"] = found["peer"]["seconds"] / times[len(times) // 2]
    return {"ok": s.rehearse or (all_passed and found.get("ratio", 2.0) >= 2.0), "goal": "ratio 5", **found}


def together(s: Setting) -> dict[str, Any]:
    """J: two runs at once, a stop while it compiles, a killed worker's memory, a pause that lends the place."""
    found: dict[str, Any] = {}
    made: list[Run] = []
    long = {"steps": s.count(100_000, 60_000), "eval_every": 10_000}
    try:
        os.environ["BARDLAB_JOBS_PER_DEVICE"] = "2"
        pair = [start(s, "minutes", compile="off", seed=seed, **long) for seed in (1, 2)]
        made += pair
        states = [control.wait_for_state(run, State.RUNNING, 60).state for run in pair]
        found["two at once"] = all(state is State.RUNNING for state in states)
        victim = reading.read(pair[0].path).status.pid or 0
        before = used_by_process(victim)
        if victim:
            os.kill(victim, signal.SIGKILL)
        time.sleep(s.count(3, 1))
        found["killed worker MB"] = [before.get(victim), used_by_process(victim).get(victim)]
        found["a killed worker leaves nothing"] = victim not in used_by_process(victim)
        control.wait(control.stop(reading.read(pair[1].path)), 30)
        os.environ.pop("BARDLAB_JOBS_PER_DEVICE")
        if not s.rehearse:
            run = start(s, "reference", compile="on")
            made.append(run)
            control.wait_for_state(run, State.RUNNING, 60)
            time.sleep(3)
            began = time.monotonic()
            control.wait(control.stop(run), 40)
            found["stop while it compiles s"] = time.monotonic() - began
        first = start(s, "minutes", compile="off", **long)
        made.append(first)
        control.wait_for_state(first, State.RUNNING, 60)
        control.pause(first)
        control.wait_for_state(first, State.PAUSED, 60)
        second = start(s, "seconds", compile="off", steps=s.count(100, 8), eval_every=s.count(50, 4))
        made.append(second)
        found["a pause lends the place"] = control.wait(second, 60).state is State.FINISHED
    finally:
        os.environ.pop("BARDLAB_JOBS_PER_DEVICE", None)
        for run in made:
            if reading.read(run.path).state.active:
                control.wait(control.stop(reading.read(run.path)), 30)
    good = found["two at once"] and found["a pause lends the place"] and found["a killed worker leaves nothing"]
    return {"ok": bool(good) and found.get("stop while it compiles s", 0.0) <= 20, **found}
