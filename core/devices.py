"""Which device a job runs on, and whose turn it is."""

import contextlib
import functools
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from filelock import FileLock, Timeout

from core import paths, runs
from core.errors import BardlabError
from core.memory import is_out_of_memory
from core.runs import Run, State

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
            raise BardlabError(f"out of memory on {device}; use --device cpu") from None
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
        torch.set_num_threads(max(1, (psutil.cpu_count(logical=False) or 2) - 1))
    return torch.get_num_threads()


@functools.cache
def precision(wanted: str, device: torch.device) -> torch.dtype:
    """Turn `auto`, `float32` or `bfloat16` into the number format of matrix products on a device.

    `auto` is bfloat16 where the hardware multiplies in it: an NVIDIA GPU from Ampere on, a CPU with AVX512-BF16 or AMX.
    """
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        can = torch.cpu.get_capabilities()
        native = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


# --- whose turn it is ------------------------------------------------------------------------------------------------


def slots() -> int:
    """Return how many runs share a device: 1, or what the environment variable BARDLAB_JOBS_PER_DEVICE says.

    Each worker goes by the value it was started with.
    """
    try:
        return max(1, int(os.environ.get("BARDLAB_JOBS_PER_DEVICE", "1")))
    except ValueError:
        return 1


def lock_path(kind: str, slot: int = 0) -> Path:
    """Return the file whose lock means that one of a device's places is taken."""
    return paths.runs() / (f".device-{kind}.lock" if not slot else f".device-{kind}-{slot}.lock")


def wait_for(
    device: torch.device,
    me: Run,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
    look_after: Callable[[Run], object] = lambda run: None,
) -> FileLock | None:
    """Wait until it is this run's turn on the device and return the lock of its place, held.

    First come, first served, unless somebody moved a run in the queue. Every waiting worker looks at the queue by
    itself, so there is no scheduler that could die; `look_after` is called with each run in front. Returns None if
    `should_stop` said yes first.
    """
    locks = [FileLock(lock_path(device.type, slot)) for slot in range(slots())]
    told, pause, look = "", 0.05, 0.0
    while not should_stop():
        for lock in locks:
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                if all(run.path == me.path for run in queue(device.type)[:1]):
                    return lock
                lock.release()
                break  # there is a place, but it is another's
        if pause >= 0.4 and time.monotonic() > look:  # it is not just changing hands: say who is in front
            look = time.monotonic() + 2.0
            ahead = _ahead_of(me, device.type)
            for run in ahead:
                look_after(run)
            waiting = f"waiting for the {device.type}" + (f", behind {ahead[0].name}" if ahead else "")
            if waiting != told:
                say(waiting)
                told = waiting
        time.sleep(pause)
        pause = min(0.5, pause * 2)
    return None


def queue(kind: str | None = None) -> list[Run]:
    """List the runs that wait for a device, or for any, in the order in which they will get it."""
    found = []
    for path in runs.folders():
        status = _waiting(path)
        if status and kind in (None, status.get("device")) and runs.is_alive(path):
            found.append(((_turn(path, status.get("queued", 0.0)), path.name), path))
    return [runs.read(path) for _, path in sorted(found)]


def _waiting(path: Path) -> dict[str, Any] | None:
    """Return the status of a run that says it is queued. Many waiting workers ask for it: nothing else is read."""
    try:
        status = json.loads((path / runs.STATUS).read_bytes())
        return status if status["state"] == State.QUEUED and status["device"] else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _turn(path: Path, queued: float) -> float:
    """Return the number that orders the queue: when the run came, or what `move` wrote instead."""
    try:
        return float((path / runs.TURN).read_text())
    except (OSError, ValueError):
        return queued if isinstance(queued, float | int) else 0.0


def move(run: Run, places: int) -> list[Run]:
    """Move a waiting run forward by so many places, or back if negative, among those for the same device.

    Returns the queue as it is now. Raises BardlabError if the run is not waiting.
    """
    line = queue(run.status.device)
    at = next((i for i, other in enumerate(line) if other.path == run.path), None)
    if at is None:
        raise BardlabError(f"run {run.slug} is {run.state} and does not wait for a device; there is nothing to move")
    others = [_turn(r.path, r.status.queued) for r in line if r.path != run.path]
    to = max(0, min(len(others), at - places))
    if others and to != at:
        before = others[to - 1] if to else others[0] - 2.0
        after = others[to] if to < len(others) else others[-1] + 2.0
        runs.replace(run.path / runs.TURN, repr((before + after) / 2).encode())
    return queue(run.status.device)


def _ahead_of(me: Run, kind: str) -> list[Run]:
    """List the runs that come before `me` on the device: those that run, then those whose turn is earlier."""
    line = queue(kind)
    before = list(itertools.takewhile(lambda run: run.path != me.path, line))
    waiting = {run.path for run in line}
    busy = [r for r in runs.list_runs() if r.state.active and r.status.device == kind and r.path not in waiting]
    return [r for r in busy if r.path != me.path and r.state is not State.QUEUED] + before
