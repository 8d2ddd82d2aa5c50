"""A worker on a node of a cluster: what must hold before it begins, and the pulse by which others see that it lives."""

import contextlib
import os
import platform
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from core import paths, system
from core.errors import BardlabError
from core.runs import folder

NAME = "BARDLAB_NODE"
"""The environment variable, set where a node was started, by which its runs are told to be there."""
AWAY = 60.0
"""Seconds for which a shared folder may be gone before a worker that has ended takes its run for deleted."""


def name() -> str:
    """Return what this machine is called: its host name, if nobody named it otherwise."""
    return os.environ.get(NAME) or platform.node()


def fingerprint() -> str:
    """Return what tells this version of `core` from any other: a checksum of its sources."""
    total = 0
    for path in sorted((paths.ROOT / "core").rglob("*.py")):
        total = zlib.crc32(path.read_bytes(), zlib.crc32(path.relative_to(paths.ROOT).as_posix().encode(), total))
    return f"{total:08x}"


def begin(job: str, version: str, path: Path) -> None:
    """Start the pulse of a job that was sent here. Ends the process in one line if this node cannot do it."""
    try:
        check(job, version, path)
    except BardlabError as error:
        sys.exit(str(error))
    _beat(path)
    threading.Thread(target=_watch, args=(path, job, _beat), daemon=True).start()


def check(job: str, version: str, path: Path) -> None:
    """Raise BardlabError in one line if this node cannot do a job that was sent to it."""
    if version != fingerprint():
        raise BardlabError(
            f"{name()} has another version of Bardlab in {paths.ROOT}; install the same one on every node"
        )
    if not path.is_dir():
        raise BardlabError(
            f"{name()} does not see {path}: mount BARDLAB_HOME there under the same path, or the run was deleted"
        )
    if not _mine(path, job):
        raise BardlabError(f"{path.name} has been started elsewhere meanwhile; nothing done")


def stand_aside(path: Path, job: str) -> None:
    """End this process, which helps with a job that was sent, if the run is given to another worker."""
    threading.Thread(target=_watch, args=(path, job), daemon=True).start()


def await_folder(path: Path, job: str) -> None:
    """Wait until a run's folder is there. Raises Taken if the run was given to another worker meanwhile."""
    until = time.monotonic() + AWAY
    while not os.path.exists(path / folder.STATUS) and time.monotonic() < until:
        time.sleep(0.2)
    if (now := folder.sent(path)) and now["job"] != job:
        raise system.Taken(path.name)


def end(path: Path, job: str) -> None:
    """Leave no pulse behind."""
    if _mine(path, job):
        with contextlib.suppress(OSError):
            (path / folder.PULSE).unlink(missing_ok=True)


def _mine(path: Path, job: str) -> bool:
    return (folder.sent(path) or {}).get("job") == job


def _beat(path: Path) -> None:
    with contextlib.suppress(OSError):
        (path / folder.PULSE).touch()


def _watch(path: Path, job: str, beat: Callable[[Path], None] = lambda path: None) -> None:
    """Beat until the process ends; end it if the run was given to another worker, which then has the folder alone."""
    pause = threading.Event()
    while not pause.wait(folder.PULSE_EVERY):
        if (now := folder.sent(path)) and now["job"] != job:
            os._exit(1)
        beat(path)
