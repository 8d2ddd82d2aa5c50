"""Faults of what machines share: the folder of runs is full, gone or hangs; two servers use it with one cluster.

`python -m tests.faults.shared` starts the runs that it reads, each at the moment that it is told.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from core import paths
from core.errors import BardlabError
from core.jobs import control
from core.jobs.launchers.ray import Ray
from core.runs import checkpoints, folder, layout, reading
from core.runs.folder import State
from core.runs.metrics import VAL_LOSS, MetricsReader
from core.runs.state import Run
from tests.conftest import make_run
from tests.faults.clusters import sent, until
from tests.faults.serving import chromium, serving
from tests.faults.training import small_disk

ENDLESS = {"steps": 100_000, "eval_every": 5, "sample_chars": 5, "snapshots": 0, "seed": 5}
AWAY = 10.0


@contextlib.contextmanager
def filled(shared: Path) -> Iterator[None]:
    """Leave nothing free on a disk."""
    disk = os.statvfs(shared)
    filler = shared / ".filler"
    with contextlib.suppress(OSError):
        filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize))
    yield
    filler.unlink(missing_ok=True)


@contextlib.contextmanager
def hidden(shared: Path) -> Iterator[None]:
    """Let an empty folder stand in its place for a while, as when it is no longer mounted."""
    with small_disk(shared, "64k"):
        time.sleep(AWAY)
    yield


@contextlib.contextmanager
def frozen(shared: Path) -> Iterator[None]:
    """Let whoever writes there wait for a while, as for a file server that does not answer."""
    subprocess.run(["fsfreeze", "--freeze", str(shared)], check=True)
    try:
        time.sleep(AWAY)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(shared)], check=True)
    yield


@contextlib.contextmanager
def image(shared: Path, size: int = 16_000_000) -> Iterator[bool]:
    """Mount a file with a file system of its own at a folder; yields False where that is not permitted."""
    file = shared.with_name("image")
    file.touch()
    os.truncate(file, size)
    shared.mkdir(parents=True, exist_ok=True)
    made = (["mkfs.ext4", "-q", str(file)], ["mount", "-o", "loop", str(file), str(shared)])
    mounted = not any(subprocess.run(command, capture_output=True, check=False).returncode for command in made)
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(shared)], check=True)


def _through(fault: Callable[[Path], Any], expected: State) -> dict[str, Any]:
    """Send a run, let the fault come and go, and look at what it says, what it has, and whether it goes on."""
    run = control.start(make_run("transformer", **ENDLESS))
    while not (run := until(run, State.RUNNING)).status.checkpoint_step:
        time.sleep(0.05)
    with fault(paths.runs()):
        after = until(run, State.FAILED, State.LOST) if expected is State.FAILED else reading.read(run.path)
    saved = checkpoints.load_trainer_state(run.path)
    checkpoints.load_model(reading.read(run.path))
    step = saved[0]["done"] if saved else 0
    whole = (
        saved is not None and saved[1] is None and after.damage is None and step >= (run.status.checkpoint_step or 0)
    )
    if not after.state.active:
        while folder.is_alive(run.path):
            time.sleep(0.1)  # its worker is still ending
        control.start(reading.read(run.path))
    went_on = until(run, State.RUNNING, State.FAILED, step=step + 1).state is State.RUNNING
    until(control.stop(reading.read(run.path)), State.STOPPED)
    steps = MetricsReader(run.path).refresh().curve(VAL_LOSS)[0].tolist()
    first, every = run.status.checkpoint_step or 0, ENDLESS["eval_every"]
    gaps = steps[steps.index(first) :] != list(range(first, max(step, int(steps[-1])) + 1, every))
    return {
        "afterwards": f"{after.state}: {after.status.message}",
        "earlier state whole": whole,
        "went on": went_on,
        "curve without gaps": not gaps,
        "ok": after.state is expected and whole and went_on and not gaps,
    }


def shared_folder() -> dict[str, Any]:
    """The folder of runs is full, gone for 10 s, and hangs for 10 s, while a node trains into it."""
    found: dict[str, Any] = {}
    with sent(1):
        with small_disk(paths.runs(), "3m") as mounted:
            if not mounted:
                return {"skipped": "mounting a small disk needs root", "ok": True}
            found["full"] = _through(filled, State.FAILED)
        found["gone"] = _through(hidden, State.FAILED)
        with image(paths.runs()) as mounted:
            found["hangs"] = _through(frozen, State.RUNNING) if mounted else {"skipped": "no loop device", "ok": True}
    found["ok"] = all(each["ok"] for each in found.values())
    return found


def two_servers(races: int = 10) -> dict[str, Any]:
    """Two servers with one home and one cluster: a run begun at one is seen and stopped at the other, and begun once.

    Who starts a run at the same moment as another does so as if from two machines: neither sees the other's processes.
    """
    (paths.runs() / layout.SPEED).parent.mkdir(parents=True, exist_ok=True)
    (paths.runs() / layout.SPEED).write_text("{}")  # nobody times the machine meanwhile
    with sent(1) as cluster:
        with chromium() as browser, serving() as (_, first), serving() as (_, second):
            here, there = browser.new_page(), browser.new_page()
            for page in (here, there):
                page.set_default_timeout(180_000)
            here.goto(f"{first}/mlp")
            here.get_by_role("radio", name="good").click()
            here.get_by_role("button", name="Train ·").click()
            begun = _begun()
            there.goto(f"{second}/mlp?run={begun.slug}")
            there.locator(".st-key-stop button").first.click()
            stopped = control.wait(begun, 120)
            expect(here.locator(".st-key-resume button").first).to_be_enabled(timeout=120_000)
        starters = [_starter(), _starter("unshare", "--pid", "--fork", "--mount-proc")]
        once, answers = 0, []
        for number in range(races):
            run = make_run("bigram", steps=5, eval_every=5, sample_chars=5, seed=number)
            order = json.dumps({"path": str(run.path), "at": time.time() + 0.5})
            for starter in starters:
                assert starter.stdin
                print(order, file=starter.stdin, flush=True)
            answers += [starter.stdout.readline().strip() for starter in starters if starter.stdout]
            until(run, State.FINISHED)
            _ended(cluster.address, run)
            once += (run.path / folder.LOG).read_text().count("steps 0 to 5") == 1
        for starter in starters:
            starter.communicate(timeout=60)
    said = {answer: answers.count(answer) for answer in sorted(set(answers))}
    return {
        "the other's page stopped it": str(stopped.state),
        "begun at the same moment from two places": races,
        "trained once": once,
        "what starting said": {answer.partition(" is ")[2] or answer: n for answer, n in said.items()},
        "ok": stopped.state is State.STOPPED and once == races,
    }


def _begun(seconds: float = 300.0) -> Run:
    last = time.monotonic() + seconds
    while not (found := [run for run in reading.list_runs() if run.state is State.RUNNING and run.status.step]):
        assert time.monotonic() < last, "nothing has begun"
        time.sleep(0.05)
    return found[0]


def _ended(address: str, run: Run, seconds: float = 120.0) -> None:
    """Wait until the cluster has ended every job that was sent for a run."""
    last = time.monotonic() + seconds
    while any(
        job["metadata"].get("run") == run.slug and job["status"] not in ("SUCCEEDED", "FAILED", "STOPPED")
        for job in Ray(address).jobs(fresh=True).values()
    ):
        assert time.monotonic() < last, "a job does not end"
        time.sleep(0.2)


def _starter(*around: str) -> subprocess.Popen[str]:
    command = [*around, sys.executable, "-m", "tests.faults.shared"]
    starter = subprocess.Popen(command, cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert starter.stdout and starter.stdout.readline() == "ready\n"
    return starter


def start_as_told() -> None:
    """Start a run for every line, at its moment, and print what came of it."""
    import ray.job_submission  # noqa: F401  (seconds, which belong to no race)

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        run = reading.read(Path(order["path"]))
        time.sleep(max(0.0, order["at"] - time.time()))
        try:
            control.start(run)
            print("started", flush=True)
        except BardlabError as error:
            print(" ".join(str(error).split()), flush=True)


if __name__ == "__main__":
    start_as_told()
