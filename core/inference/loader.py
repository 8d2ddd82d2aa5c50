"""Loads the compiled code, or compiles it.

The first use on a machine compiles for some seconds. Nobody waits for it: `ready` answers at once, and until it gives
something torch writes. A worker aside does the compiling (`core.jobs.worker --compile`), a thread loads what is there.
An unwritable home or a platform without numba leave it to torch, said once in the log.
"""

import logging
from threading import Lock, Thread

import torch

from core.inference import code_cache
from core.inference.arrays import ProgramArrays
from core.inference.decoder import Decoder
from core.inference.entry_points import Kernels
from core.models.program import Program

_log = logging.getLogger(__name__)
_lock = Lock()
_kernels: Kernels | None = None
_loading = False
_failed = False


def built() -> bool:
    """Whether loading would find everything compiled. True as well where nothing can be compiled."""
    try:
        return _failed or code_cache.mark().exists()
    except (ImportError, OSError, RuntimeError) as error:
        _give_up(error)
        return True


def load() -> Kernels | None:
    """Load the kernels, compiling what is not there yet, and wait for it. None if that cannot be."""
    global _kernels
    with _lock:
        if _kernels is None and not _failed:
            try:
                _kernels = _load()
            except Exception as error:  # whatever is wrong with the compiler, torch can write
                _give_up(error)
        return _kernels


def ready() -> Kernels | None:
    """Give the kernels if they are loaded; else, if they are compiled, load them aside. Never waits."""
    global _loading
    if _kernels is None and not _failed and not _loading and built() and not _failed:
        _loading = True
        Thread(target=load, name="load-kernels", daemon=True).start()
    return _kernels


def _load() -> Kernels:
    import numba

    mark = code_cache.mark()
    mark.parent.mkdir(parents=True, exist_ok=True)  # its own for each source: numba looks at one file of it alone
    setattr(numba.config, "CACHE_DIR", str(mark.parent))  # noqa: B010 the modules make their names as they are loaded
    from core.inference.kernels.guessing import make_tables
    from core.inference.kernels.interpreter import run
    from core.inference.kernels.products import make_scratch
    from core.inference.kernels.tile_intrinsics import MATRIX_UNIT
    from core.inference.kernels.writing import write

    kernels = Kernels(run, write, make_scratch, make_tables, MATRIX_UNIT)
    _warm_up(kernels)
    mark.touch()
    return kernels


def _warm_up(kernels: Kernels) -> None:
    """Compile all: the types of all kernels follow from the smallest program there is."""
    program = Program(2)
    program.logits = program.embed(torch.zeros(2, 2))
    decoder, ids = Decoder(kernels, ProgramArrays.of(program), 1), torch.zeros(1, 1, dtype=torch.long)
    list(decoder.read(ids))
    decoder.write(ids, 2, [torch.Generator().manual_seed(1)], (1.0, 1, 0.5))


def _give_up(error: Exception) -> None:
    global _failed
    if not _failed:
        _failed = True
        _log.warning("torch writes the texts, more slowly: %s", " ".join(str(error).split())[:200])
