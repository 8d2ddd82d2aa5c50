"""A job computed by several nodes of a Ray cluster, or several places of one: Ray Train starts a worker for each.

The job that was sent takes no processor. It keeps the run's pulse, hears signals, waits, and tells what the workers
could not. The first of these leads the training and writes the run folder, which all nodes see; the others take their
share of each step, as processes of one machine do (core/jobs/ranks.py). Ray ends them with the job.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.util
import torch
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from core import system
from core.errors import BardlabError
from core.jobs import ranks
from core.jobs.launchers import node
from core.jobs.launchers.ray import needs
from core.jobs.ranks import Led, LeftAlone
from core.jobs.waiting import Job
from core.runs import folder
from core.runs.folder import State
from core.runs.state import RunConfig as Config
from core.training.ranks import Ranks, meet

ENVIRONMENT = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "604800",  # a run may wait a week for its places
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What Ray Train is told besides its arguments, where nobody told it otherwise."""
LOOK = 0.2
"""Seconds between two looks at how far Ray is."""


def launch(job: Job, config: Config) -> None:
    """Train a run with as many workers as it asks for. Raises BardlabError with the reason if it fails."""
    path = job.path
    job.newest = lambda: folder.read_status(path)
    job.tell({"state": State.QUEUED, "message": "waiting for the cluster"})
    if job.interrupt is not None:
        job.interrupt.pass_on = True
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    training = _Training(job, config.train.devices)
    training.start()
    try:
        while training.is_alive() and not training.placed:
            training.join(LOOK)
            if job.should_stop():
                return job.end(State.STOPPED, "stopped while it waited")
        if State(job.newest()["state"]) is State.QUEUED:  # their first has not begun to tell
            job.tell({"state": State.RUNNING, "message": f"starting {training.count} processes"})
        while training.is_alive():  # a signal is heard between two looks
            training.join(LOOK)
    finally:
        ray.shutdown()
    if State(job.newest()["state"]).active:
        _tell_failure(job, training.error)


class _Training(threading.Thread):
    """Ray's part, in a thread of its own: Ray would take the signals that the worker hears."""

    def __init__(self, job: Job, count: int) -> None:
        super().__init__(daemon=True)
        self.job, self.count = job, count
        self.error: Exception | None = None

    @property
    def placed(self) -> bool:
        """True once the cluster has set places aside for all workers."""
        if not ray.is_initialized():
            return False
        ours = ray.get_runtime_context().get_job_id()  # with which the names of its groups of places end
        groups = ray.util.placement_group_table().values()
        return any(each["state"] == "CREATED" and each["placement_group_id"].endswith(ours) for each in groups)

    def run(self) -> None:
        """Connect to the cluster, and wait until all workers have ended."""
        assert self.job.sent
        kind = self.job.place.kind
        about = {"path": str(self.job.path), "job": self.job.sent["job"], "version": node.fingerprint(), "kind": kind}
        try:
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
            with tempfile.TemporaryDirectory(prefix="bardlab-train-") as nothing:
                TorchTrainer(
                    _take_part,
                    train_loop_config=about,
                    torch_config=_Meeting(),
                    scaling_config=ScalingConfig(
                        num_workers=self.count, use_gpu=kind == "cuda", resources_per_worker=needs(kind)
                    ),
                    run_config=RunConfig(
                        name=self.job.path.name,
                        storage_path=nothing,  # what is kept is kept in the run folder
                        failure_config=FailureConfig(
                            max_failures=0, controller_failure_limit=0, max_preemption_failures=0
                        ),
                        logging_config=LoggingConfig("CRITICAL"),
                    ),
                ).fit()
        except Exception as error:
            self.error = error


def _tell_failure(job: Job, error: Exception | None) -> None:
    """Say how a run ended that did not do so itself: lost if a worker died. Raises BardlabError if it failed."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    causes = {rank: getattr(failure, "_base_exc", None) for rank, failure in sorted(failures.items())}
    if said := [cause for cause in causes.values() if isinstance(cause, BardlabError)]:
        raise said[0]
    if failures:
        died = [rank for rank, cause in causes.items() if not isinstance(cause, LeftAlone)]
        one = f"process {died[0] + 1} of {job.place.count}" if died else f"one of its {job.place.count} processes"
        how = f"{one} or its node died"
    else:
        job.say(f"Ray Train says: {error}")
        how = "its processes were not started, or ended without a word (see the log)"
    job.end(State.LOST, f"{how}; Resume goes on from {folder.resumes_from(job.newest())}")


# --- in each of the workers ------------------------------------------------------------------------------------------


def _take_part(about: dict[str, str]) -> None:
    path, context = Path(about["path"]), ray.train.get_context()
    node.check(about["job"], about["version"], path)
    node.stand_aside(path, about["job"])
    rank, size = context.get_world_rank(), context.get_world_size()
    device = get_device() if about["kind"] == "cuda" else torch.device("cpu")
    team: list[Ranks] = []

    def join() -> Ranks:
        team.append(Ranks(rank, size, device, node.name()))
        return team[0]

    def led(say: Callable[[str], None]) -> Job:
        job = Led(path, str(device), say)
        job.status["node"] = " + ".join(sorted(team[0].names))
        return job

    ranks.take_part(path, device, join, led)


_store: Any = None
"""Where the workers meet, in the first of them."""


def _open() -> tuple[str, int]:
    """Let the others find this worker, at the address by which the cluster knows its node and at no other."""
    global _store
    address = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)
    port: int = listener.getsockname()[1]
    _store = TCPStore(address, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    return address, port


def _meet(kind: str, rank: int, size: int, address: str, port: int) -> None:
    store = _store or TCPStore(address, port, is_master=False)
    meet(torch.device(kind), rank, size, system.interface(ray.util.get_node_ip_address()), store=store)


@dataclass
class _Meeting(TorchConfig):  # type: ignore[misc]  # Ray has no types here
    """How Ray Train has the workers meet: as it does itself, but listening on no other address than the node's."""

    @property
    def backend_cls(self) -> Any:
        return _Backend


class _Backend(TorchConfig().backend_cls):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: _Meeting) -> None:
        size = len(worker_group)
        kind = "cuda" if "nccl" in backend_config.backend else "cpu"
        address, port = worker_group.execute_single(0, _open)
        ray.get([worker_group.execute_single_async(i, _meet, kind, i, size, address, port) for i in range(size)])

    def on_shutdown(self, worker_group: Any, backend_config: _Meeting) -> None:
        """Each leaves the others by itself; one that does not is ended."""
