"""A job computed by several processes of this machine: its worker launches them by torch's elastic launcher, and waits.

The worker keeps the run's lock and its places, and hears signals. The first of the processes leads the training and
writes the run folder, as a worker alone does; the others take their share of each step (core/training/ranks.py). What
any of them fails of, the worker tells. None of them outlives it. Places that a paused run lends to another are the
first process's to take back.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from core import paths, system
from core.errors import BardlabError
from core.jobs import trial, waiting, work
from core.jobs.waiting import Job, Place
from core.models.memory import is_out_of_memory, let_go
from core.runs import folder, reading
from core.runs.folder import State
from core.runs.state import RunConfig
from core.training import devices
from core.training.ranks import Ranks, follow, is_left_alone, meet
from core.training.team import Order

START = (
    "import os, sys; os.environ.setdefault('TORCH_CPP_LOG_LEVEL', 'ERROR'); sys.path.insert(0, sys.argv[1]); "
    "from core.jobs import ranks; ranks.main(*sys.argv[2:])"
)
LEFT_ALONE = 3
"""How a process ends that found another one gone."""
SPARE_SIGNAL = "SIGUSR2"
"""What the launcher may listen to: the other signals are the worker's own."""
LEND = "lend"
"""The file by which the first process asks the worker to give up the places; it is removed when that is done."""
LOOK = 0.1
"""Seconds between two looks for it."""


class LeftAlone(Exception):
    """Another of the processes is gone."""


def launch(job: Job, config: RunConfig) -> None:
    """Train a run in as many processes as it asks for. Raises BardlabError with the reason if it fails."""
    count, path = config.train.devices, job.path
    job.newest = lambda: folder.read_status(path)
    job.tell({"state": State.RUNNING, "message": f"starting {count} processes"})
    if job.interrupt is not None:
        job.interrupt.pass_on = True
    if job.should_stop():
        folder.request_stop(path)
    places = job.place.devices if job.place.kind == "cuda" else (job.place.kind,) * count
    with tempfile.TemporaryDirectory(prefix="bardlab-ranks-") as meeting, _lending(job.place, Path(meeting) / LEND):
        launched = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=path.name,
            rdzv_backend="c10d",
            rdzv_endpoint=str(Path(meeting) / "launcher"),
            rdzv_configs={"store_type": "file"},
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=meeting),
            signals_to_handle=SPARE_SIGNAL,
            shutdown_timeout=5,
        )
        arguments = [str(paths.ROOT), str(path.absolute()), meeting, ",".join(places)]
        number = getattr(signal, SPARE_SIGNAL, signal.SIGINT)
        before, failures = signal.getsignal(number), dict[int, ProcessFailure]()
        try:
            elastic_launch(launched, sys.executable)("-c", START, *arguments, str(os.getpid()))
        except ChildFailedError as error:
            failures = error.failures
        finally:
            signal.signal(number, before)
    if State(job.newest()["state"]).active:
        _tell_failure(job, failures)


def _tell_failure(job: Job, failures: dict[int, ProcessFailure]) -> None:
    """Say how a run ended that did not do so itself: lost if a process was killed. Raises BardlabError if it failed."""
    recorded: list[Any] = [failure.error_file_data.get("message") for _, failure in sorted(failures.items())]
    said = [each["message"] for each in recorded if isinstance(each, dict)]
    killed = {r: f for r, f in failures.items() if f.exitcode < 0}
    by_force = {r: f for r, f in killed.items() if f.exitcode != -signal.SIGTERM}
    if said and not by_force:
        raise BardlabError(str(said[0]).partition(": ")[2])
    how = "one of its processes ended without a word (see the log)"
    for rank, failure in (by_force or killed).items():
        how = f"process {rank + 1} of {job.place.count} was ended by {failure.signal_name()}"
        break
    job.end(State.LOST, f"{how}; Resume goes on from {folder.resumes_from(job.newest())}")


@contextlib.contextmanager
def _lending(place: Place, asked: Path) -> Iterator[None]:
    """Give the places up when the first process asks for it."""
    over = threading.Event()

    def listen() -> None:
        while not over.wait(LOOK):
            if asked.exists():
                place.give_up()
                asked.unlink(missing_ok=True)
                return

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield
    finally:
        over.set()


class Lent(Place):
    """The places of all processes, which their worker took: its own until they are given up for the first time."""

    def __init__(self, job: Job, places: Sequence[str], asks: Path) -> None:
        super().__init__(places[0], job.path, job.should_stop, job.tell, len(places))
        self.devices, self._asks = tuple(places), asks
        self._is_the_workers = True

    def take(self) -> bool:
        """Wait for them, if they were given up."""
        return self._is_the_workers or super().take()

    def give_up(self) -> None:
        """Let others have them."""
        if self._is_the_workers:
            self._asks.touch()
            while self._asks.exists():  # a worker that is gone takes this process with it
                time.sleep(LOOK)
            self._is_the_workers = False
        super().give_up()


class Led(Job):
    """A job as the first of its processes knows it: requests reach it through the folder alone."""

    def __init__(self, path: Path, device: str, say: Callable[[str], None]) -> None:
        super().__init__(path, device, None, say)
        self.status = folder.read_status(path)  # the worker is still the one that it names


# --- in each of the processes ----------------------------------------------------------------------------------------


def main(name: str, meeting: str, places: str, launcher: str) -> None:
    """Be one of the processes of the run in a folder; end with the process that launched it."""
    system.end_with(int(launcher))
    try:
        record(_take_part)(Path(name), Path(meeting), places.split(","))
    except BardlabError:
        sys.exit(1)  # the worker tells it
    except LeftAlone:
        sys.exit(LEFT_ALONE)


def _take_part(path: Path, meeting: Path, places: list[str]) -> None:
    rank, count = int(os.environ["RANK"]), len(places)

    def join() -> Ranks:
        torch.set_num_threads(devices.share_of_threads(count))
        device = torch.device(places[rank])
        meet(device, rank, count, system.interface("127.0.0.1"), init_method=f"file://{meeting / 'ranks'}")
        return Ranks(rank, count, device)

    def led(say: Callable[[str], None]) -> Job:
        job = Led(path, places[rank], say)
        job.place = Lent(job, places, meeting / LEND)
        return job

    take_part(path, torch.device(places[rank]), join, led)


def take_part(
    path: Path, device: torch.device, join: Callable[[], Ranks], led: Callable[[Callable[[str], None]], Job]
) -> None:
    """Do the share of one process in a run: `join` the others, and lead the job that `led` makes, or follow.

    Raises BardlabError with the reason if it fails, and LeftAlone if another one is gone.
    """
    config = reading.read(path).need()

    def say(line: str) -> None:
        folder.note(path, line)

    try:
        if device.type == "cuda":
            if reason := devices.usable(device):
                raise BardlabError(f"{device} cannot be used ({reason}); set train.devices 1 or --device cpu")
            torch.cuda.set_device(device)
        team = join()
        if team.leads:
            job = led(say)
            work.lead(job, config, work.status_of(job), device, team=team)
        else:
            trainer = work.set_up(path, config, device, team).trainer
            team.begin(trainer)
            follow(trainer, team)
        team.order(Order.END)
        team.leave()
    except Exception as error:
        if is_left_alone(error):
            say(f"a process found another one gone: {str(error).splitlines()[0]}")
            raise LeftAlone(str(error)) from error
        if is_out_of_memory(error):
            let_go(error)
            raise BardlabError(trial.out_of_memory(config, device.type)) from error
        raise BardlabError(waiting.explain(error, say)) from error
