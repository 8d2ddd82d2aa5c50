"""A job computed by several processes of this machine: its worker launches them by torch's elastic launcher, and waits.

The worker keeps the run's lock and its places, and hears signals. The first of the processes leads the training and
writes the run folder, as a worker alone does; the others take their share of each step (core/training/ranks.py). What
any of them fails of, the worker tells. None of them outlives it.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
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
from core.training.ranks import Ranks, follow, is_left_alone
from core.training.team import Order

START = (
    "import os, sys; os.environ.setdefault('TORCH_CPP_LOG_LEVEL', 'ERROR'); sys.path.insert(0, sys.argv[1]); "
    "from core.jobs import ranks; ranks.main(*sys.argv[2:])"
)
LEFT_ALONE = 3
"""How a process ends that found another one gone."""
SPARE_SIGNAL = "SIGUSR2"
"""What the launcher may listen to: the other signals are the worker's own."""


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
    with tempfile.TemporaryDirectory(prefix="bardlab-ranks-") as meeting:
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
        arguments = [str(paths.ROOT), str(path.absolute()), str(Path(meeting) / "ranks"), ",".join(places)]
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


class _Given(Place):
    """The places that the worker holds for all processes, paused or not."""

    def take(self) -> bool:
        """There is nothing to wait for."""
        return True

    def give_up(self) -> None:
        """Only the worker could."""

    def wanted(self) -> bool:
        """Whoever waits has to wait: the memory of all processes stays where it is."""
        return False


class _Led(Job):
    """A job as the first of its processes knows it: requests reach it through the folder alone."""

    def __init__(self, path: Path, device: str, say: Callable[[str], None]) -> None:
        super().__init__(path, device, None, say)
        self.status = folder.read_status(path)  # the worker is still the one that it names
        self.place = _Given(device, path, self.should_stop, self.tell)


# --- in each of the processes ----------------------------------------------------------------------------------------


def main(name: str, meeting: str, places: str, launcher: str) -> None:
    """Be one of the processes of the run in a folder; end with the process that launched it."""
    system.end_with(int(launcher))
    try:
        record(_take_part)(Path(name), Path(meeting), places.split(","))
    except BardlabError:
        sys.exit(1)  # the worker tells it


def _take_part(path: Path, meeting: Path, places: list[str]) -> None:
    rank = int(os.environ["RANK"])
    device = torch.device(places[rank])
    config = reading.read(path).need()

    def say(line: str) -> None:
        folder.note(path, line)

    try:
        if device.type == "cuda":
            if reason := devices.usable(device):
                raise BardlabError(f"{device} cannot be used ({reason}); set train.devices 1 or --device cpu")
            torch.cuda.set_device(device)
        if lo := system.loopback():  # they talk to each other through this machine alone
            for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
                os.environ.setdefault(name, lo)
        torch.set_num_threads(devices.share_of_threads(len(places)))
        team = Ranks(rank, len(places), meeting, device)
        if team.leads:
            job = _Led(path, places[rank], say)
            work.lead(job, config, work.status_of(job), device, team=team)
        else:
            trainer = work.set_up(path, config, device, team).trainer
            team.begin(trainer)
            follow(trainer, team)
        team.order(Order.END)
        team.leave()
    except Exception as error:
        if is_left_alone(error):
            say(f"process {rank + 1} found another one gone: {str(error).splitlines()[0]}")
            sys.exit(LEFT_ALONE)
        if is_out_of_memory(error):
            let_go(error)
            raise BardlabError(trial.out_of_memory(config, device.type)) from error
        raise BardlabError(waiting.explain(error, say)) from error
