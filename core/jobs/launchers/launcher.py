"""The seam between a job and where it runs. The run folder stays the only truth about a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core import paths
from core.runs import folder


@dataclass(frozen=True)
class Node:
    """A machine of a cluster: what it has in all, and what of it is in use, by `CPU` and `GPU`."""

    key: str
    name: str
    has: dict[str, float]
    used: dict[str, float]

    def free(self, kind: str) -> float:
        """Return how many processors or GPUs nobody uses."""
        return self.has.get(kind, 0.0) - self.used.get(kind, 0.0)


class Launcher(Protocol):
    """Starts workers somewhere and ends them there. A worker is told to stop, pause and the like in its folder."""

    @property
    def here(self) -> bool:
        """True if workers run on this machine, so that its memory and devices are what they need."""

    def device(self, wanted: str, count: int = 1) -> str:
        """Return what a run's device setting comes to. Raises BardlabError in one line if there are not so many."""

    def most(self, wanted: str) -> int:
        """Return how many devices may compute one run whose device setting is `wanted`; 1 if nobody knows."""

    def has_room(self, device: str, count: int) -> bool:
        """True if so many places for runs are free, as far as anybody can say."""

    def start(self, path: Path, device: str, name: str) -> None:
        """Give a job that was put into the queue a worker. Raises BardlabError, naming it, if there can be none."""

    def kill(self, path: Path, *, force: bool) -> bool:
        """End a job's worker that ignores a request to stop, by SIGTERM or by force. True if that was done."""

    def look_after(self, path: Path) -> bool:
        """Write down what became of a worker that cannot say so itself. True if there was anything to write."""

    def waits(self, path: Path) -> str:
        """Say why a job has not begun, where its status cannot say so; else nothing."""

    def where(self, path: Path) -> str:
        """Say on which machine a job is; empty if that is this one, or it has not begun."""

    def nodes(self) -> list[Node]:
        """List the machines that jobs are sent to; none if that is this one alone. Raises BardlabError."""


def chosen() -> Launcher:
    """Return how new jobs are started: as the environment says, on this machine if it says nothing."""
    return _of(paths.cluster())


def of(path: Path) -> Launcher:
    """Return what started a job, which may be another one than what starts new ones."""
    job = folder.sent(path)
    return _of(job["cluster"] if job else "")


def _of(cluster: str) -> Launcher:
    if cluster:
        from core.jobs.launchers.ray import Ray

        return Ray(cluster)
    from core.jobs.launchers.local import Local

    return Local()
