"""Rankings of knock-outs as jobs: each a process of its own that waits for its turn on a device, as a training does.

A ranking's folder lies in its run's: whoever deletes the run ends it, and every page and command finds it there.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core import files, system
from core.errors import BardlabError
from core.inspect.interventions import price_list, ranking
from core.inspect.interventions.ablation import METHODS, Method
from core.jobs import control, overdue, trial, waiting
from core.jobs.launchers import launcher
from core.jobs.waiting import Job
from core.models.memory import is_out_of_memory, let_go
from core.runs import folder, layout, owners, reading
from core.runs.folder import State
from core.runs.state import Run
from core.training import devices


@dataclass(frozen=True)
class Ranking:
    """A ranking as it was at the moment of reading; its prices so far are the run's price list."""

    state: State
    share: float
    """How much is done, from 0 to 1."""
    message: str
    owner: str = owners.GUEST
    """Who began it, or went on with it."""

    @property
    def active(self) -> bool:
        """True while a worker is, or should be, busy with it."""
        return self.state.active


def read(run: Run, step: int | None, method: Method) -> Ranking | None:
    """Return the ranking of a run's newest weights, or of those of a step, under way or ended; None if none began."""
    path = layout.ranking_path(run.path, step, method)
    found = _read(path)
    if found and found.state in (State.QUEUED, State.STOPPING, State.LOST) and overdue.look_after(path):
        return _read(path)
    return found


def _read(path: Path) -> Ranking | None:
    try:
        status = folder.read_status(path)
        state = folder.seen(path, State(status["state"]), status["pid"], float(status["queued"]))
        if state is State.LOST:  # it may have ended between the two looks
            status = folder.read_status(path)
            state = state if State(status["state"]).active else State(status["state"])
        owner = str(status.get("owner") or owners.GUEST)
        return Ranking(state, min(1.0, max(0.0, float(status["share"]))), str(status["message"]), owner)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def start(run: Run, step: int | None, method: Method) -> None:
    """Begin to rank all parts, or go on, in a worker process; nothing happens if one is at it or all is measured.

    Raises BardlabError if the run has no such weights, or no process can be started.
    """
    if path := _claim(run, step, method):
        control.launch(path, launcher.chosen().device("auto"), f"the ranking of {run.slug}")


def work(run: Run, step: int | None, method: Method, say: Callable[[Ranking], None]) -> Ranking | None:
    """Rank here or where jobs are sent, or follow who is at it, and return how that ended; `say` hears of progress.

    None if all was measured before. Raises BardlabError as `start` does.
    """
    path = _claim(run, step, method)
    if path and not launcher.chosen().here:
        control.launch(path, launcher.chosen().device("auto"), f"the ranking of {run.slug}")
    elif path:
        _hearing[path] = say
        waiting.work(path)
        del _hearing[path]
    while (found := read(run, step, method)) and found.active:
        say(found)
        time.sleep(0.2)
    return found


_hearing: dict[Path, Callable[[Ranking], None]] = {}


def _claim(run: Run, step: int | None, method: Method) -> Path | None:
    """Put a ranking into the queue for this process to start, which nobody else can do then; None if it need not be."""
    run.need()
    if (known := price_list.read(run, step, method)) and known.whole:
        return None
    path = layout.ranking_path(run.path, step, method)
    if (now := read(run, step, method)) and now.active:
        return None
    control.check_memory(f"the ranking of {run.slug}")
    try:
        path.parent.mkdir(exist_ok=True)
        path.mkdir(exist_ok=True)
        with folder.hold(path):
            if (now := _read(path)) and now.state is State.QUEUED and folder.worker_comes(path):
                return None
            folder.clear_requests(path)
            folder.forget_worker(path)
            status: dict[str, Any] = {
                "task": folder.RANK,
                "step": step,
                "method": method,
                "state": State.QUEUED,
                "device": "",
                "owner": owners.acting().name,
            }
            status |= {"queued": time.time(), "share": 0.0, "message": "waiting for a worker", "pid": None}
            folder.write_status(path, status)
            folder.announce(path, os.getpid())
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} was deleted; there is nothing to rank") from None
    except OSError as error:
        raise BardlabError(f"cannot rank {run.slug}: {files.explain(error, naming=True)}") from None
    except system.Taken:
        return None
    return path


def cancel(run: Run, step: int | None, method: Method) -> None:
    """Ask a ranking to end after the part it is at; what it has measured is kept. Raises BardlabError if it cannot, or
    another began it."""
    if (found := read(run, step, method)) and found.active:
        owners.check(found.owner, f"the ranking of {run.slug}", "cancel")
        try:
            folder.request_stop(layout.ranking_path(run.path, step, method))
        except FileNotFoundError:
            pass  # deleted with its run
        except OSError as error:
            raise BardlabError(
                f"cannot cancel the ranking of {run.slug}: {files.explain(error, naming=True)}"
            ) from None


# --- in the worker ---------------------------------------------------------------------------------------------------


def device_of(path: Path) -> str:
    """Return the device that a ranking computes on."""
    return str(devices.resolve("auto"))


def run(job: Job) -> None:
    """Rank, once the job's turn on its device has come. Raises BardlabError with the reason if it fails."""
    devices.limit_threads()
    files.clear_parts(job.path, folder.STATUS, layout.SUMS)
    of = reading.read(job.path.parent.parent)
    step: int | None = job.status.get("step")
    method: Method | None = next((m for m in METHODS if m == job.status.get("method")), None)
    if method is None or layout.ranking_path(of.path, step, method) != job.path:
        raise BardlabError(f"{folder.STATUS} of this ranking is damaged; delete its folder {job.path.name}")
    device, left = trial.settle("auto", torch.device(job.place.device))
    if left and not job.place.change(str(device)):
        return job.end(State.STOPPED, "cancelled while it waited")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    job.say(f"ranking the parts of {of.slug} on {device.type}")
    job.tell({"state": State.RUNNING, "message": "ranking"})
    share, wrote = 0.0, time.monotonic()
    try:
        for share in ranking.rank(of, step, method, device, job.should_stop):
            if time.monotonic() - wrote > 0.5:
                _tell(job, share)
                wrote = time.monotonic()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        let_go(error)
        raise BardlabError(f"out of memory on this {device.type}; rank when nothing else runs") from error
    _tell(job, share)
    if share < 1:
        return job.end(State.STOPPED, f"cancelled at {share:.0%}; it goes on from there")
    job.end(State.FINISHED, "")


def _tell(job: Job, share: float) -> None:
    job.tell({"share": share})
    if hears := _hearing.get(job.path):
        hears(Ranking(State.RUNNING, share, "ranking"))
