"""Jobs driven from start to end on what looks like Windows (see sitecustomize.py). Prints what was seen as JSON."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import torch
from safetensors.torch import load_file

from core import paths, system
from core.jobs import control, overdue, processes, waiting
from core.runs import editing, layout, reading, records, requests, state
from core.runs import folder as runs_folder
from core.runs.folder import State
from core.runs.state import Run
from tests.conftest import make_run
from tests.forks import template

LONG = {"steps": 4000, "eval_every": 20, "sample_chars": 1}


def until(run: Run, reached: Callable[[Run], bool]) -> Run:
    patience = time.monotonic() + 120
    while not reached(found := reading.read(run.path)):
        assert time.monotonic() < patience, f"{found.state}: {found.status.message}\n{records.log_tail(run.path)}"
        time.sleep(0.02)
    return found


def kill(run: Run) -> None:
    """The worker vanishes, as when the power goes."""
    assert run.status.pid
    psutil.Process(run.status.pid).kill()
    until(run, lambda r: r.state is State.LOST)


def same(a: Run, b: Run) -> bool:
    ours, theirs = load_file(a.path / layout.WEIGHTS), load_file(b.path / layout.WEIGHTS)
    return all(torch.equal(ours[name], theirs[name]) for name in ours) and records.samples(a.path) == records.samples(
        b.path
    )


def queue_stop_resume() -> dict[str, Any]:
    """One runs, one waits and is told to stop, one waits and gets the device when the first is stopped; then resume."""
    first = until(control.start(make_run("bigram", **LONG)), lambda r: (r.status.checkpoint_step or 0) >= 20)
    waits, leaves = control.start(make_run("bigram")), control.start(make_run("bigram"))
    for run in (waits, leaves):
        until(run, lambda r: r.status.message == f"waiting for the cpu, behind {first.name}")
    waiter = psutil.Process(reading.read(waits.path).status.pid or 0).memory_info().rss
    control.stop(reading.read(leaves.path))
    left = control.wait(leaves, 60)
    control.stop(reading.read(first.path))
    stopped, done = control.wait(first, 60), control.wait(waits, 90)
    again = until(control.start(stopped), lambda r: r.state is State.RUNNING and r.status.step > stopped.status.step)
    control.stop(again)
    again = control.wait(again, 60)
    editing.delete(again)
    return {
        "left": left.status.message,
        "stopped": stopped.state,
        "done": done.state,
        "again": again.state,
        "deleted": not again.path.exists(),
        "waiter MB": waiter // 1_000_000,
    }


def spare_and_pause() -> dict[str, Any]:
    """The spare takes a run; it pauses, steps, takes another rate and goes on."""
    processes.warm()
    spare = processes.spare_pid()
    run = control.start(make_run("bigram", **LONG))
    until(run, lambda r: r.state is State.RUNNING and r.status.step > 0)
    held = until(control.pause(reading.read(run.path)), lambda r: r.state is State.PAUSED)
    control.single_step(held, 2)
    stepped = until(run, lambda r: r.state is State.PAUSED and r.status.step == held.status.step + 2)
    control.change(stepped, {"learning_rate": 0.01})
    until(run, lambda r: bool(requests.changes(r.path)))
    control.proceed(stepped)
    until(run, lambda r: r.status.step > stepped.status.step)
    control.stop(reading.read(run.path))
    ended = control.wait(run, 60)
    return {"spare took it": ended.status.pid == spare, "ended": ended.state}


def killed_and_exact() -> dict[str, Any]:
    """A worker is killed on the way, twice; resumed it ends as if it never was."""
    settings = {"steps": 60, "eval_every": 10, "sample_chars": 5}
    whole = control.wait(control.start(make_run("transformer", **settings)), 90)
    run = control.start(make_run("transformer", **settings))
    for step in (10, 30):
        kill(until(run, lambda r: (r.status.checkpoint_step or 0) >= step or not r.state.active))  # noqa: B023
        run = control.start(reading.read(run.path))
    ended = control.wait(run, 90)
    return {"ended": ended.state, "exact": same(ended, whole)}


def ignored_stop() -> dict[str, Any]:
    """A worker that hears nothing is not asked, but killed when its time is over; one that hears ends itself."""
    made = make_run("bigram")
    deaf = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with runs_folder.hold(made.path):
        update = {"pid": deaf.pid, "born": system.born(deaf.pid), "state": State.RUNNING}
        state.write_status(made.path, made.status.model_copy(update=update))
        requests.request_stop(made)
        asked = []
        for age in (overdue.STOP_GRACE + 1, overdue.STOP_GRACE + overdue.KILL_GRACE + 1):
            os.utime(made.path / runs_folder.STOP, (time.time() - age,) * 2)
            control.look_after(reading.read(made.path))
            time.sleep(0.2)
            asked.append(deaf.poll() is None)
        interrupt = waiting.Interrupt(made.path)
        try:
            for _ in range(200):
                time.sleep(0.05)
            woken = False
        except waiting.StopNow:
            woken = True
        finally:
            interrupt.restore()
    deaf.kill()
    deaf.wait()
    return {"alive when asked, when overdue": asked, "ends itself": woken}


def replaced_while_read() -> dict[str, Any]:
    """Readers have a status open again and again while it is replaced: none ever fails, nor does the writer."""
    run = make_run("bigram")
    code = "import sys, time\nwhile True:\n with open(sys.argv[1]): time.sleep(0.001)\n time.sleep(0.003)"
    readers = [
        subprocess.Popen(
            [sys.executable, "-I", "-c", code, str(run.path / runs_folder.STATUS)], stderr=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    time.sleep(0.5)
    for step in range(100):
        state.write_status(run.path, run.status.model_copy(update={"step": step}))
    step = reading.read(run.path).status.step
    with (run.path / runs_folder.LOG).open("a"):
        try:
            refused = ""
            system.persist.__defaults__ = (0.2,)
            editing.delete(run)
        except Exception as error:
            refused = type(error).__name__
    for reader in readers:
        reader.kill()
        reader.wait()
    editing.delete(run)
    return {"step": step, "delete while open": refused, "deleted": not run.path.exists()}


def names() -> dict[str, Any]:
    """Every file that runs leave behind could be made on Windows."""
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
    bad = [
        str(path)
        for path in paths.home().rglob("*")
        if set('<>:"|?*\\') & set(path.name)
        or path.name[-1] in ". "
        or path.name.split(".")[0].lower() in reserved
        or any(ord(c) < 32 for c in path.name)
    ]
    return {"bad": bad, "some": sum(1 for _ in paths.home().rglob("*")) > 10}


def main() -> None:
    paths.runs().mkdir(parents=True)
    processes._probed = True  # nobody times the machine beside a test
    found: dict[str, Any] = {"posix": system.POSIX, "queue_stop_resume": queue_stop_resume()}
    with template.forking():  # but not those that wait, which are small
        for row in (spare_and_pause, killed_and_exact, ignored_stop, replaced_while_read, names):
            found[row.__name__] = row()
        processes._dismiss_spare()
        for child in processes.children:
            child.wait(60)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
