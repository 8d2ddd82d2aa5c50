"""Which device a job runs on, and whose turn it is."""

import contextlib
import functools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import psutil
import torch

from core.errors import BardlabError
from core.models.memory import is_out_of_memory
from core.training.config import TrainConfig

T = TypeVar("T")


def present() -> tuple[str, ...]:
    """List the devices of this machine by name, the one that `auto` prefers first.

    Asks the drivers how many there are and no more: nothing is set up on a GPU, so a page's server may ask too.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = ["cuda"] if gpus else []
    found += [f"cuda:{i}" for i in range(gpus)] if gpus > 1 else []
    return (*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu")


def resolve(wanted: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device that is there. Raises BardlabError if it is not."""
    there = present()
    if wanted == "auto":
        return torch.device(there[0])
    if wanted not in there and not (wanted == "cuda:0" and "cuda" in there):
        raise BardlabError(f"no {wanted} device on this machine; use --device auto, or one of: {', '.join(there)}")
    return torch.device(wanted)


def most(wanted: str) -> int:
    """Return how many devices may compute one run if it asks for `wanted`: GPUs, or processes on a CPU's cores."""
    if wanted == "auto":
        wanted = present()[0]
    if wanted == "cuda":
        return torch.cuda.device_count()
    return psutil.cpu_count() or 1 if wanted == "cpu" else 1


def check_count(wanted: str, count: int) -> None:
    """Raise BardlabError, in one line, if there are not so many devices for one run."""
    if count > (there := most(wanted)):
        kind = present()[0] if wanted == "auto" else wanted
        what = {"cpu": "processor core", "cuda": "GPU"}.get(kind, f"{kind} device") + "s" * (there != 1)
        raise BardlabError(
            f"train.devices is {count}, and there {'is' if there == 1 else 'are'} {there} {what}; give at most {there}"
        )


def usable(device: torch.device) -> str | None:
    """Say in one line why a device does not compute, found by one tiny product on it; None if it does.

    To be asked in the process that will train: a GPU keeps some memory for whoever has computed on it.
    """
    try:
        if device.type == "cuda" and (lacking := _too_old(device)):
            return lacking
        ones = torch.ones(16, 16, device=device)  # (16, 16)
        total = float((ones @ ones).sum())
    except Exception as error:  # each driver has its own
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return None if total == 16.0**3 else f"it makes 16 x 16 x 16 {total:g}"


def reporting(work: Callable[[torch.device], T], wanted: str) -> T:
    """Do some work on a device. Raises BardlabError, in one line, if it is not there or fails or is short of memory."""
    device = resolve(wanted)
    try:
        return work(device)
    except Exception as error:
        if is_out_of_memory(error):
            instead = "use --device cpu" if device.type != "cpu" else "close other programs, or take a smaller model"
            raise BardlabError(f"out of memory on {device}; {instead}") from None
        if device.type != "cpu" and (reason := usable(device)):
            raise BardlabError(f"{device} cannot be used ({reason}); use --device cpu") from None
        raise


def _too_old(device: torch.device) -> str | None:
    """Say so if this torch holds no code for a GPU as old as this one."""
    known = [int(found[1]) for name in torch.cuda.get_arch_list() if (found := re.match(r"sm_(\d+)", name))]
    major, minor = torch.cuda.get_device_capability(device)
    if not known or 10 * major + minor >= min(known):
        return None
    oldest = divmod(min(known), 10)
    return f"its compute capability is {major}.{minor}, and this torch begins at {oldest[0]}.{oldest[1]}"


def name_of(device: torch.device) -> str:
    """Return what the hardware is called: the GPU's name, or the processor's. For the process that computes on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()} GPU" if device.type == "mps" else processor()


@functools.cache
def processor() -> str:
    """Return the name of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    if names:
        return names[0]
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, timeout=5)
            return asked.stdout.decode(errors="replace").strip() or "Apple"
    return platform.processor() or platform.machine() or "an unnamed processor"


def precision_name(dtype: torch.dtype) -> str:
    """Return a number format as the settings call it: float32, bfloat16."""
    return str(dtype).removeprefix("torch.")


def limit_threads() -> int:
    """Give this process's arithmetic all cores but one, which stays free for the page and its server. Returns how many.

    Threads that wait for each other stand still as soon as one of them has to share its core: measured on two cores
    beside one busy process, a step of the small presets took 50 to 1400 ms with two threads and 17 ms with one.
    The environment variable OMP_NUM_THREADS, if set, decides instead.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads())
    return torch.get_num_threads()


def threads() -> int:
    """Return how many threads the arithmetic of a run gets."""
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, (psutil.cpu_count(logical=False) or 2) - 1)


def share_of_threads(count: int) -> int:
    """Return how many of them each of so many processes gets."""
    return max(1, threads() // count)


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
