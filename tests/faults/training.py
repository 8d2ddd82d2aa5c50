"""Faults while a run trains: its worker is killed, deaf, or out of disk. Each function returns what it measured."""

import contextlib
import os
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from core import paths
from core.jobs import control, overdue
from core.ladder.registry import RUNGS
from core.runs import checkpoints, editing, layout, reading, records
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.metrics import VAL_LOSS, MetricsReader
from core.runs.state import Run
from tests.conftest import TINY, make_run
from tests.faults.nursery import COUNT, Nursery, alive, await_end

RUNG_PAGES = [key for key in RUNGS if key in TINY]


def outcome(run: Run) -> tuple[dict[str, torch.Tensor], list[float], list[runs_state.Sample]]:
    """What must not depend on whether a run was interrupted: weights, validation curve, samples."""
    steps, losses = MetricsReader(run.path).refresh().curve(VAL_LOSS)
    return load_file(run.path / layout.WEIGHTS), [*steps.tolist(), *losses.tolist()], records.samples(run.path)


def same(a: Run, b: Run) -> bool:
    """True if two runs ended alike, bit for bit."""
    (ours, curve, texts), (theirs, other_curve, other_texts) = outcome(a), outcome(b)
    alike = ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    return alike and curve == other_curve and texts == other_texts


def random_kills(kills: int = 50, seed: int = 1, rungs: list[str] | None = None) -> dict[str, Any]:
    """SIGKILL workers of all rungs at random moments, resume each, and compare with a run that nobody disturbed."""
    chance = random.Random(seed)
    rungs = rungs or RUNG_PAGES
    settings = {"steps": 40, "eval_every": 20, "sample_chars": 5, "seed": 5}
    identical = fresh = late = done = 0
    detection = []
    with Nursery() as nursery:
        whole, took = {}, {}
        for key in rungs:
            began = time.monotonic()
            whole[key] = nursery.work(make_run(key, **settings))
            took[key] = time.monotonic() - began
            assert whole[key].state is State.FINISHED, whole[key].status.message
        while done < kills and late < 10 * kills:
            key = rungs[done % len(rungs)]
            run = make_run(key, **settings)
            pid = nursery.begin(run, checkpoint_seconds=0.02)
            time.sleep(chance.uniform(0, took[key]))
            if not alive(pid) or reading.read(run.path).state is State.FINISHED:
                late += 1  # it had ended: not a kill
                await_end(pid)
                continue
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            if runs_state.read_status(run.path).pid:
                while reading.read(run.path).state is not State.LOST:
                    assert time.monotonic() - killed < 120, reading.read(run.path)
                    time.sleep(0.005)
                detection.append(time.monotonic() - killed)
            await_end(pid)
            done += 1
            fresh += checkpoints.load_trainer_state(run.path) is None
            ended = nursery.resume(run)
            identical += ended.state is State.FINISHED and same(ended, whole[key])
            editing.delete(reading.read(run.path))
    return {
        "kills": done,
        "identical": identical,
        "before the first checkpoint": fresh,
        "seen as lost after, median s": round(statistics.median(detection), 3) if detection else None,
        "seen as lost after, longest s": round(max(detection), 3) if detection else None,
        "ok": done == kills == identical,
    }


def write_boundaries(every: int = 1) -> dict[str, Any]:
    """Kill a worker at every moment between two writes of its checkpoints; load what is there, then resume."""
    settings = {"steps": 6, "eval_every": 2, "sample_chars": 5}
    loaded = identical = tried = 0
    newest = -1
    backwards = False
    with Nursery() as nursery:
        whole = nursery.work(make_run("mlp", **settings))
        boundaries = int((whole.path / COUNT).read_text())
        for at in range(1, boundaries + 1, every):
            run = make_run("mlp", **settings)
            await_end(nursery.begin(run, die_at=at))
            tried += 1
            found = checkpoints.load_trainer_state(run.path)
            if (run.path / layout.WEIGHTS).exists():
                checkpoints.load_model(reading.read(run.path))
            step = found[0]["done"] if found else -1
            backwards |= step < newest
            newest = max(newest, step)
            loaded += not (found and found[1])  # the newest one, without falling back
            ended = nursery.resume(run)
            identical += same(ended, whole) and not list(run.path.glob(".*.part"))
            editing.delete(reading.read(run.path))
    return {
        "boundaries": boundaries,
        "tried": tried,
        "newest checkpoint loads": loaded,
        "identical after resuming": identical,
        "ok": tried == loaded == identical and not backwards,
    }


def damaged_trainer_state(flips: int = 40, seed: int = 2) -> dict[str, Any]:
    """Flip bits in the newest trainer.pt, cut it, empty it: the run goes on from the one before it and says so."""
    chance = random.Random(seed)
    noticed = harmless = identical = 0
    with Nursery() as nursery:
        whole = nursery.work(make_run("mlp", steps=6, eval_every=2, sample_chars=5))
        run = make_run("mlp", steps=6, eval_every=2, sample_chars=5)
        half = int((whole.path / COUNT).read_text()) * 4 // 5
        await_end(nursery.begin(run, die_at=half))
        newest = run.path / layout.TRAINER
        content, previous = newest.read_bytes(), (run.path / layout.PREVIOUS).read_bytes()
        good = torch.load(newest, weights_only=True)
        harms = [content[: len(content) // 2], b"", content[:-1]]
        for at in (chance.randrange(len(content)) for _ in range(flips)):
            harms.append(content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :])
        for harm in harms:
            newest.write_bytes(harm)
            state, fallback = checkpoints.load_trainer_state(run.path) or ({}, None)
            if fallback:
                noticed += state["done"] < good["done"]
            else:  # a bit that nobody reads
                harmless += all(torch.equal(state["model"][name], good["model"][name]) for name in good["model"])
        newest.write_bytes(harms[0])
        ended = nursery.resume(run)
        identical = same(ended, whole)
        said = [a.text for a in records.alerts(run.path) if a.kind == "checkpoint"]
        assert (run.path / layout.PREVIOUS).read_bytes() != previous if (run.path / layout.PREVIOUS).exists() else True
    return {
        "damaged": len(harms),
        "fell back": noticed,
        "bits that nothing depends on": harmless,
        "resumed identical": identical,
        "said": said[0] if said else None,
        "ok": noticed + harmless == len(harms) and identical and bool(said),
    }


def ignored_stop(grace: float = 1.0, kill_grace: float = 0.5) -> dict[str, Any]:
    """Ask a worker to stop that neither looks at requests nor at SIGTERM. The device must be free afterwards."""
    before = overdue.STOP_GRACE, overdue.KILL_GRACE
    overdue.STOP_GRACE, overdue.KILL_GRACE = grace, kill_grace
    try:
        with Nursery() as nursery:
            run = make_run("bigram", steps=100_000, eval_every=10_000, sample_chars=1)
            pid = nursery.begin(run, deaf=True)
            while reading.read(run.path).status.step < 1:
                assert alive(pid), records.log_tail(run.path)
                time.sleep(0.02)
            asked = time.monotonic()
            control.stop(reading.read(run.path))
            ended = control.wait(run, 120)
            took = time.monotonic() - asked
            after = nursery.work(make_run("bigram"))
            resumable = ended.state is State.STOPPED and ended.damage is None
            return {
                "grace s": grace + kill_grace,
                "ended after s": round(took, 2),
                "state": str(ended.state),
                "message": ended.status.message,
                "device free": after.state is State.FINISHED,
                "ok": resumable and not alive(pid) and after.state is State.FINISHED,
            }
    finally:
        overdue.STOP_GRACE, overdue.KILL_GRACE = before


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """Mount a memory disk of a given size at a folder; yields False where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(fills: int = 12) -> dict[str, Any]:
    """Let runs meet the end of a small disk at different writes: each fails by its name and keeps what it had."""
    named = intact = resumed = tried = 0
    with small_disk(paths.runs(), "3m") as mounted:
        if not mounted:
            return {"skipped": "mounting a small disk needs root", "ok": True}
        with Nursery() as nursery:
            for number in range(fills):
                run = make_run("transformer", steps=400, eval_every=5, sample_chars=5, snapshots=0)
                pid = nursery.begin(run, checkpoint_seconds=0.05)
                while not runs_state.read_status(run.path).checkpoint_step and alive(pid):
                    time.sleep(0.005)
                leave = number * 8192
                filler = paths.runs() / ".filler"
                disk = os.statvfs(filler.parent)
                with contextlib.suppress(OSError):  # the worker was quicker: the disk is full as it is
                    filler.write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - leave)))
                await_end(pid)
                tried += 1
                ended = reading.read(run.path)
                named += ended.state is State.FAILED and "the disk is full" in ended.status.message
                found = checkpoints.load_trainer_state(run.path)
                checkpoints.load_model(ended)
                intact += found is not None and found[1] is None and ended.damage is None
                filler.unlink(missing_ok=True)
                editing.queue_again(ended)
                pid = nursery.begin(ended)
                while alive(pid) and reading.read(run.path).status.step <= (found[0]["done"] if found else 0):
                    time.sleep(0.01)
                control.stop(reading.read(run.path))
                await_end(pid)
                resumed += reading.read(run.path).state is State.STOPPED
                editing.delete(reading.read(run.path))
    return {
        "disks filled": tried,
        "failed by name": named,
        "earlier state intact": intact,
        "went on when there was room": resumed,
        "ok": tried == fills == named == intact == resumed,
    }
