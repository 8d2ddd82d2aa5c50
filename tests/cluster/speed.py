"""`python -m tests.cluster.speed sweep|start [ROUNDS]`: what a second node gains, what Ray takes until the first point.

The eight runs of the sweep train for so many seconds, whatever else the machine does: what is timed is how well they
are spread, with all that Ray needs to begin each. Prints what docs/scale.md tells, as JSON.
"""

import json
import os
import statistics
import sys
import time
from tempfile import TemporaryDirectory

from core import paths
from core.jobs import control
from core.runs import plan, reading
from core.runs.folder import State
from core.studies.sweeps import start
from tests.cluster.nodes import kill
from tests.conftest import TINY, make_run
from tests.faults.clusters import sent, until

RUNS, SECONDS = 8, 15


def sweep() -> float:
    """Return the seconds from the start of a sweep to the end of its last run."""
    train = {**TINY["mlp"]["train"], "steps": 100_000, "eval_every": 10_000, "snapshots": 0, "seconds": SECONDS}
    planned = [
        plan.plan("mlp", model=TINY["mlp"]["model"], train={**train, "seed": n}, device="cpu") for n in range(RUNS)
    ]
    began = time.monotonic()
    for run in start(planned):
        until(run, State.FINISHED)
    return time.monotonic() - began


def first_point(devices: int = 1) -> float:
    """Return the seconds from Start to the first step of a run that shows."""
    began = time.monotonic()
    made = make_run("bigram", steps=100_000, eval_every=10_000, devices=devices)
    run = until(control.start(made), State.RUNNING, step=1)
    took = time.monotonic() - began
    until(control.stop(reading.read(run.path)), State.STOPPED)
    return took


def starts(rounds: int) -> None:
    """Measure the start of a run in turn through Ray and here, of one device and of two."""
    took: dict[str, list[float]] = {
        f"{where}, {n}": [] for n in ("one device", "two devices") for where in ("through Ray", "here")
    }
    with sent(0) as cluster:
        for name in ("first", "second"):
            cluster.add(name)
        before, memory = cluster.memory(), 0
        for _ in range(rounds):
            for n, devices in enumerate(("one device", "two devices"), 1):
                took[f"through Ray, {devices}"].append(first_point(n))
                address = os.environ.pop(paths.CLUSTER)
                took[f"here, {devices}"].append(first_point(n))
                os.environ[paths.CLUSTER] = address
        made = make_run("bigram", steps=100_000, eval_every=10_000, devices=2)
        run = until(control.start(made), State.RUNNING, step=1)
        memory = cluster.memory()
        until(control.stop(reading.read(run.path)), State.STOPPED)
    told = {name: [round(each, 1) for each in times] for name, times in took.items()}
    megabytes = {"head and two nodes": round(before / 1e6), "with a run of two devices": round(memory / 1e6)}
    print(json.dumps({"seconds": told, "MB": megabytes, "load": os.getloadavg()}))


def sweeps(rounds: int) -> None:
    """Measure in turn, so that both see the same machine."""
    took: dict[str, list[float]] = {name: [] for name in ("one node", "two nodes")}
    memory = {}
    with sent(0) as cluster:
        cluster.add("first")
        memory["head and a node"] = cluster.memory()
        for _ in range(rounds):
            took["one node"].append(sweep())
            second = cluster.add("second")
            took["two nodes"].append(sweep())
            memory["head and two nodes"] = cluster.memory()
            kill(second)
            while len(cluster.known()) > 2:
                time.sleep(0.5)
    seconds = {name: [round(each, 1) for each in times] for name, times in took.items()}
    gain = statistics.median(one / two for one, two in zip(took["one node"], took["two nodes"], strict=True))
    megabytes = {name: round(size / 1e6) for name, size in memory.items()}
    print(json.dumps({"seconds": seconds, "two nodes gain": round(gain, 2), "MB": megabytes, "load": os.getloadavg()}))


if __name__ == "__main__":
    with TemporaryDirectory(prefix="bardlab-cluster-", ignore_cleanup_errors=True) as home:
        os.environ["BARDLAB_HOME"] = home
        {"sweep": sweeps, "start": starts}[sys.argv[1]](int((sys.argv[2:] or ["1"])[0]))
