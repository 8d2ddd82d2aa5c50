"""Workers on this machine: processes of their own, which wait for each other through locks on files."""

import contextlib
from pathlib import Path

import psutil

from core import files, system
from core.errors import BardlabError
from core.jobs import turns
from core.jobs.launchers.launcher import Node
from core.jobs.processes import children, hand_to_spare, lock, reap, spawn
from core.runs import folder


class Local:
    """What there is without a cluster; nothing needs to be installed for it."""

    here = True

    def device(self, wanted: str, count: int = 1) -> str:
        """Return the device that the setting comes to on this machine. Raises BardlabError if it is not there."""
        from core.training import devices

        devices.check_count(wanted, count)
        return str(devices.resolve(wanted))

    def most(self, wanted: str) -> int:
        """Return how many of a kind this machine has."""
        from core.training import devices

        return devices.most(wanted)

    def has_room(self, device: str, count: int) -> bool:
        """Its workers wait for each other by themselves."""
        return True

    def start(self, path: Path, device: str, name: str) -> None:
        """Hand the job to the spare worker, if one is warm and a place is free; else to a process of its own."""
        with lock:
            reap()
            try:
                if not (turns.free(device) and hand_to_spare(path)):
                    children.append(spawn([str(path), device], path))
                folder.announce(path, children[-1].pid)
            except psutil.Error:
                pass  # it has ended already, which its status tells
            except OSError as error:
                with contextlib.suppress(OSError):
                    files.remove(path / folder.LAUNCHED)
                raise BardlabError(f"cannot start {name}: {files.explain(error, naming=True)}") from None

    def kill(self, path: Path, *, force: bool) -> bool:
        """Signal the process that the status names, if it is still that one, and its children."""
        status = folder.read_status(path)
        pid, born = status.get("pid"), status.get("born")
        return isinstance(pid, int) and isinstance(born, float | int) and system.end(pid, born, kill=force)

    def look_after(self, path: Path) -> bool:
        """Nothing to write: the lock on a job's folder ends with its worker, which everybody on this machine sees."""
        return False

    def waits(self, path: Path) -> str:
        """Its own worker says so in its status."""
        return ""

    def where(self, path: Path) -> str:
        """Here."""
        return ""

    def nodes(self) -> list[Node]:
        """No other machine."""
        return []
