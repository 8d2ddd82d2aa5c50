"""The seam between a job and where it runs. The run folder stays the only truth about a run."""

from pathlib import Path
from typing import Protocol


class Launcher(Protocol):
    """Starts workers somewhere and ends them there. A worker is told to stop, pause and the like in its folder."""

    @property
    def here(self) -> bool:
        """True if workers run on this machine, so that its memory and devices are what they need."""

    def device(self, wanted: str) -> str:
        """Return what a run's device setting comes to. Raises BardlabError in one line if nothing there is one."""

    def start(self, path: Path, device: str, name: str) -> None:
        """Give a job that was put into the queue a worker. Raises BardlabError, naming it, if there can be none."""

    def kill(self, path: Path, *, force: bool) -> bool:
        """End a job's worker that ignores a request to stop, by SIGTERM or by force. True if that was done."""


def chosen() -> Launcher:
    """Return how new jobs are started: on this machine."""
    from core.jobs.launchers.local import Local

    return Local()


def of(path: Path) -> Launcher:
    """Return what started a job."""
    return chosen()
