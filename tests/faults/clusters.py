"""Faults of a cluster: a node or its head is killed while it trains. Each function returns what it measured."""

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from core import paths
from core.errors import BardlabError
from core.jobs import control, work
from core.jobs.launchers import launcher
from core.runs import checkpoints, editing, folder, reading
from core.runs.folder import State
from core.runs.state import Run
from tests.cluster.nodes import Cluster, kill
from tests.conftest import make_run
from tests.faults import serving
from tests.faults.training import same

RUNGS = ("bigram", "mlp", "transformer")
SETTINGS = {"steps": 400, "eval_every": 50, "sample_chars": 5, "seed": 5}


@contextmanager
def sent(cpus: int = 0) -> Iterator[Cluster]:
    """A cluster whose head takes so many runs, to which all jobs are sent meanwhile."""
    with (
        tempfile.TemporaryDirectory(prefix="bl-ray-", ignore_cleanup_errors=True) as place,
        Cluster(Path(place), cpus) as found,
    ):
        os.environ[paths.CLUSTER] = found.address
        try:
            yield found
        finally:
            del os.environ[paths.CLUSTER]


def until(run: Run, *states: State, step: int = 0, seconds: float = 600) -> Run:
    """Follow a run as a page does."""
    last = time.monotonic() + seconds
    while (run := control.look_after(reading.read(run.path))).state not in states or run.status.step < step:
        assert time.monotonic() < last, run.status
        time.sleep(0.05)
    return run


def killed_node(kills: int = 20, seed: int = 1) -> dict[str, Any]:
    """SIGKILL all processes of the node that trains at a random step, resume on another; compare with a whole run."""
    chance = random.Random(seed)
    whole = {key: work.work(make_run(key, **SETTINGS).path) for key in RUNGS}
    done = late = identical = kept = 0
    seen: list[float] = []
    with sent() as cluster:
        node = cluster.add("node-0")
        while done < kills and late < 5 * kills:
            key = RUNGS[done % len(RUNGS)]
            wanted = chance.randrange(SETTINGS["steps"])
            run = until(control.start(make_run(key, **SETTINGS)), State.RUNNING, State.FINISHED, step=wanted)
            time.sleep(chance.uniform(0, 0.2))
            if reading.read(run.path).state is State.FINISHED:
                late += 1
                continue
            kill(node)
            died = time.monotonic()
            lost = until(run, State.LOST)
            seen.append(time.monotonic() - died)
            saved = checkpoints.load_trainer_state(run.path)
            kept += (lost.status.checkpoint_step or 0) <= (saved[0]["done"] if saved else 0)
            done += 1
            node = cluster.add(f"node-{done}")
            ended = until(control.start(lost), State.FINISHED)
            identical += same(ended, whole[key]) and ended.status.node == f"node-{done}"
            print(f"kill {done}: {key} from step {lost.status.checkpoint_step}, {identical} identical", file=sys.stderr)
            editing.delete(ended)
    return {
        "kills": done,
        "ended before the kill": late,
        "all that was saved was there": kept,
        "identical": identical,
        "seen as lost s, median and most": [round(statistics.median(seen), 1), round(max(seen), 1)],
        "ok": identical == kept == done == kills and max(seen) < 30,
    }


def killed_team(kills: int = 6) -> dict[str, Any]:
    """SIGKILL a process of a run of two devices, then a node of the next, resume each; compare with a run here."""
    settings = {**SETTINGS, "devices": 2}
    whole = control.work(make_run("transformer", **settings))
    seen: list[float] = []
    identical = left = 0
    with sent(1) as cluster:
        node = cluster.add("node-0")
        for number in range(kills):
            paused = number % 3 == 2
            run = control.start(make_run("transformer", **settings))
            if paused:
                control.pause(run, 100)
            run = until(run, State.PAUSED if paused else State.RUNNING, step=100)
            working = cluster.processes("RayTrainWorker")
            if number % 2:
                kill(node)
            else:
                working[number // 2 % 2].kill()
            died = time.monotonic()
            lost = until(run, State.LOST)
            seen.append(time.monotonic() - died)
            left += len(psutil.wait_procs(working, 20)[1])
            if number % 2:
                node = cluster.add(f"node-{number}")
            while folder.is_alive(run.path):
                time.sleep(0.1)  # its job is still ending
            ended = until(control.start(lost), State.FINISHED)
            identical += same(ended, whole)
            print(f"kill {number}: {lost.status.message}, {identical} identical", file=sys.stderr)
    return {
        "kills of a process, of a node": [(kills + 1) // 2, kills // 2],
        "processes left over": left,
        "identical to two processes here": identical,
        "seen as lost s, median and most": [round(statistics.median(seen), 1), round(max(seen), 1)],
        "ok": identical == kills and not left and max(seen) < 30,
    }


def killed_head() -> dict[str, Any]:
    """SIGKILL the head while another node trains and one run waits; then start a new head and resume both."""
    whole = work.work(make_run("bigram", **SETTINGS).path)
    with sent() as cluster:
        cluster.add()
        busy = control.pause(control.start(make_run("bigram", **SETTINGS)), 200)
        busy = until(busy, State.PAUSED)
        waits = control.start(make_run("bigram", **SETTINGS))
        assert cluster.head
        kill(cluster.head)
        try:
            launcher.chosen().nodes()
            told = ""
        except BardlabError as error:
            told = str(error)
        alive = control.look_after(reading.read(busy.path)).state
        lost = until(busy, State.LOST)
        cluster.begin()
        cluster.add("third")
        gone = until(waits, State.LOST)
        ended = [until(control.start(run), State.FINISHED) for run in (lost, gone)]
    return {
        "told": told,
        "the running one meanwhile": str(alive),
        "the waiting one, by the new head": gone.status.message,
        "identical": sum(same(run, whole) for run in ended),
        "ok": "cannot be reached" in told and alive is State.PAUSED and all(same(run, whole) for run in ended),
    }


def killed_server() -> dict[str, Any]:
    """The row `server` with a cluster: the page's server is killed, the next one shows and stops what runs there."""
    with sent(1):
        return serving.killed_server()
