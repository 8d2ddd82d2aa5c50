"""Files that are replaced whole, so that readers see the old content or the new, never a part."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from core import system

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The errors that say that a disk, or somebody's share of it, is full."""


def replace(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Replace a file whole: readers see the old content or the new, never a part. `durable` waits for the disk."""
    with replacing(path, durable=durable) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Yield a file that takes the place of `path` only when all of it has been written."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        system.persist(lambda: os.replace(part, path))
        if durable:
            system.sync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def clear_parts(folder: Path, *names: str) -> None:
    """Remove what a process that was killed left half-written of files whose names begin so. For their only writer."""
    for name in names:
        for part in folder.glob(f".{name}*.part"):
            part.unlink(missing_ok=True)


def read(path: Path) -> bytes:
    """Return the content of a file that others may be replacing at this moment. Raises OSError."""
    return system.persist(path.read_bytes)


def remove(path: Path) -> None:
    """Remove a file if it is there. Raises OSError."""
    system.persist(lambda: path.unlink(missing_ok=True))


def explain(error: OSError, *, naming: bool = False) -> str:
    """Say in plain words why a file operation failed, `naming` the file where whoever tells it names none."""
    if error.errno in FULL:
        return "the disk is full; free some space and try again"
    why = (error.strerror or str(error)).lower()
    file = error.filename2 or error.filename  # of two it is the one to be replaced
    return f"{why}: {os.fsdecode(file)}" if naming and file else why
