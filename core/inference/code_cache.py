"""Where compiled code is kept, and whether it is there.

It is kept in the learner's home and serves every later process, and if that home is the folder of the program itself,
every other home too. Another processor, another version or a changed source find nothing and compile anew.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from core import paths

_ROOM = Path(__file__).parent
_MODELS = _ROOM.parent / "models"


def folders() -> list[Path]:
    """Where compiled code may be: in this home, and in the one that everybody has who names no other."""
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(named)]
    return [home / "cache" / "compiled" for home in (paths.home(), paths.ROOT)]


def sources() -> list[Path]:
    """Every file on which the compiled code depends: all of this room, and how programs are described and laid out.

    numba compares one file alone, the one in which a function stands, and forgets those from which it calls others.
    """
    return [_MODELS / "program.py", _MODELS / "packing.py", *sorted(_ROOM.rglob("*.py"))]


def fingerprint(files: Iterable[Path]) -> str:
    """Name what is compiled of these files, for this processor and by these versions."""
    import llvmlite.binding as llvm

    depends = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    depends += [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy")]
    depends += [path.read_text(encoding="utf-8") for path in files]
    return hashlib.sha256(chr(0).join(depends).encode()).hexdigest()[:16]


@cache
def _fingerprint() -> str:
    return fingerprint(sources())


def mark() -> Path:
    """The file that stands once everything is compiled for this processor, these versions and this source.

    In the home that has it, or where it will be.
    """
    marks = [folder / _fingerprint() / "done" for folder in folders()]
    return next((mark for mark in marks if mark.exists()), marks[0])
