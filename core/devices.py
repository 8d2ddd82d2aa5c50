"""Which device a job runs on, and whose turn it is."""

import os
from typing import get_args

import psutil
import torch

from core import runs, turns
from core.config import TrainConfig
from core.errors import BardlabError
from core.runs import Run


def resolve(wanted: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `mps` into a device that is there. Raises BardlabError if it is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(kind for kind, present in there.items() if present))
    if not there.get(wanted, False):
        have = ", ".join(kind for kind, present in there.items() if present)
        raise BardlabError(f"no {wanted} device on this machine; use --device auto, or one of: {have}")
    return torch.device(wanted)


def limit_threads() -> int:
    """Give this process's arithmetic all cores but one, which stays free for the page and its server. Returns how many.

    Threads that wait for each other stand still as soon as one of them has to share its core: measured on two cores
    beside one busy process, a step of the small presets took 50 to 1400 ms with two threads and 17 ms with one.
    The environment variable OMP_NUM_THREADS, if set, decides instead.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (psutil.cpu_count(logical=False) or 2) - 1))
    return torch.get_num_threads()


PRECISION = "BARDLAB_PRECISION"
"""The environment variable that says what the precision `auto` means, instead of the hardware."""
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """Turn `auto` or the name of a number format into the format of matrix products on a device.

    `auto` is what the hardware multiplies in: bfloat16 on an NVIDIA GPU from Ampere on and on a CPU with AVX512-BF16
    or AMX, float16 on Volta and Turing, else float32. The environment variable BARDLAB_PRECISION, if set, decides
    instead. Raises BardlabError for a format that is not known, or that the device could only emulate.
    """
    if wanted == "auto":
        wanted = os.environ.get(PRECISION) or "auto"
        if wanted not in (known := get_args(TrainConfig.model_fields["precision"].annotation)):
            raise BardlabError(f"{PRECISION} is {wanted!r}; set it to one of {', '.join(known)}, or unset it")
    if wanted == "auto":
        return _native_precision(device)
    if wanted == "bfloat16" and device.type == "cuda" and not _has_bfloat16(device):
        raise BardlabError(
            f"this GPU has no bfloat16; set train.precision to {_name(_native_precision(device))} or auto"
        )
    if wanted == "float16" and device.type == "mps":
        raise BardlabError("train.precision float16 is for NVIDIA GPUs; take float32 or auto on this device")
    return FORMATS[wanted]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _has_bfloat16(device: torch.device) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def _native_precision(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        if _has_bfloat16(device):
            return torch.bfloat16
        return torch.float16 if torch.cuda.get_device_capability(device) >= (7, 0) else torch.float32
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return torch.bfloat16 if can.get("avx512_bf16") or can.get("amx_bf16") else torch.float32
    return torch.float32


def drain(device: torch.device) -> None:
    """Wait until a GPU has done all it was given. A CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


# --- whose turn it is ------------------------------------------------------------------------------------------------


def queue(kind: str | None = None) -> list[Run]:
    """List the runs that wait for a kind of device, or for any, in the order in which they will get it."""
    return [runs.read(path) for path in turns.queue(kind)]


def move(run: Run, places: int) -> list[Run]:
    """Move a waiting run forward by so many places, or back if negative, among those for the same kind of device.

    Returns the queue as it is now. Raises BardlabError if the run is not waiting.
    """
    line = queue(run.status.device)
    at = next((i for i, other in enumerate(line) if other.path == run.path), None)
    if at is None:
        raise BardlabError(f"run {run.slug} is {run.state} and does not wait for a device; there is nothing to move")
    others = [turns.turn(r.path, r.status.queued) for r in line if r.path != run.path]
    to = max(0, min(len(others), at - places))
    if others and to != at:
        before = others[to - 1] if to else others[0] - 2.0
        after = others[to] if to < len(others) else others[-1] + 2.0
        turns.set_turn(run.path, (before + after) / 2)
    return queue(run.status.device)
