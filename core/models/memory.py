"""Main memory and GPU memory: how errors say that there was too little, and how much a process may still take."""

import contextlib
import gc
import traceback
from pathlib import Path

import psutil
import torch

from core import system

SIGNS = (
    "out of memory",  # CUDA, ROCm, Triton and Apple's, whatever the class of the error
    "alloc_failed",  # cuBLAS, cuSOLVER
    "allocation_failed",  # cuDNN
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
)
LEFT = 0.3e9
"""Bytes of a GPU that stay unused: what its libraries take when they are first needed."""
SMALL_CARD = 12e9  # bytes
CGROUPS = Path("/sys/fs/cgroup")


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means that memory ran out, on whatever device and whichever library noticed it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(sign in text for sign in SIGNS)


def let_go(error: BaseException) -> None:
    """Free what the frames of a caught error still hold, so that what is free can be told from what is used."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    gc.collect()


def at_once(device: torch.device) -> int:
    """Return how many characters to run through a model at once without keeping anything for a backward pass.

    On a CPU as many as its caches hold (twice as fast as 16,384); on a GPU more, if its memory is large.
    """
    if device.type == "cpu":
        return 2048
    if device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory >= SMALL_CARD:
        return 65_536
    return 16_384


def release(device: torch.device) -> None:
    """Give back what the allocator of a GPU keeps for later."""
    with contextlib.suppress(RuntimeError):  # where the memory is short, even this may fail
        if device.type == "cuda":
            torch.cuda.empty_cache()
        elif device.type == "mps":
            torch.mps.empty_cache()


def available() -> int:
    """Bytes of main memory that this process can still take: what the machine, its cgroup and its own limit leave."""
    return max(0, min([psutil.virtual_memory().available, *_cgroup_rooms(), *_limit_rooms()]))


def total() -> int:
    """Bytes of main memory that this process could ever have: the machine's, or fewer if its cgroup gives it fewer."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _cgroups())])


def room(device: torch.device) -> float:
    """Bytes that training may take on a device, what this process holds of a GPU already included.

    Of a GPU that does not answer, as it may after an error, its total is not known either: zero.
    """
    if device.type == "cuda":
        with contextlib.suppress(Exception):
            return float(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - LEFT)
        return 0.0
    if device.type == "mps":
        with contextlib.suppress(Exception):
            return float(torch.mps.recommended_max_memory() - LEFT)
    return 0.95 * available()


def _limit_rooms() -> list[int]:
    """What an address-space limit (`ulimit -v`) leaves, if there is one."""
    limit = system.memory_limit()
    return [] if limit is None else [limit - psutil.Process().memory_info().vms]


def _cgroup_rooms() -> list[int]:
    return [limit - used for limit, used in _cgroups()]


def _cgroups() -> list[tuple[int, int]]:
    """(limit, bytes used without what the kernel can drop) of every cgroup above this process that has a limit."""
    limits = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                limits += _limits(CGROUPS, path, "memory.max", "memory.current")
            elif "memory" in controllers.split(","):
                limits += _limits(CGROUPS / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")
    return limits


def _limits(root: Path, path: str, limit: str, usage: str) -> list[tuple[int, int]]:
    """The limits from a cgroup up to the root that is mounted here (inside a container that is the container's own)."""
    limits = []
    folder = root / path.strip("/")
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError, ValueError):
            size = int((place / limit).read_text())  # "max" is none
            if size < 2**60:
                droppable = _inactive_file(place / "memory.stat")
                limits.append((size, max(0, int((place / usage).read_text()) - droppable)))
        if place == root:
            break
    return limits


def _inactive_file(stat: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        rows = dict(line.split(" ", 1) for line in stat.read_text().splitlines())
        return int(rows.get("total_inactive_file", rows.get("inactive_file", "0")))
    return 0
