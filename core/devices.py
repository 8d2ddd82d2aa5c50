"""Which device a job runs on, and whose turn it is."""

import contextlib
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from filelock import FileLock, Timeout

from core import paths, runs
from core.errors import BardlabError
from core.runs import Run, State


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


def lock_path(device: torch.device) -> Path:
    """Return the file whose lock means "this device is in use"."""
    return paths.runs() / f".device-{device.type}.lock"


def wait_for(
    device: torch.device, me: Run, should_stop: Callable[[], bool], say: Callable[[str], None]
) -> FileLock | None:
    """Wait until it is this run's turn on the device, first come first served, and return the lock held.

    Every waiting worker looks at the queue by itself, so there is no scheduler that could die. Returns None if
    `should_stop` said yes first.
    """
    lock = FileLock(lock_path(device))
    told, pause = "", 0.05
    while not should_stop():
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            if not _ahead_of(me, device):
                return lock
            lock.release()
        if pause >= 0.4:  # it is not just changing hands: say who is in front
            ahead = _ahead_of(me, device)
            waiting = f"waiting for the {device.type}" + (f", behind {ahead[0].name}" if ahead else "")
            if waiting != told:
                say(waiting)
                told = waiting
        time.sleep(pause)
        pause = min(1.0, pause * 2)
    return None


def _ahead_of(me: Run, device: torch.device) -> list[Run]:
    """List the runs that come before `me` on the device: the one that runs, then those that waited longer."""
    mine = (me.status.queued, me.slug)
    others = (run for run in runs.list_runs() if run.path != me.path and run.status.device == device.type)
    busy = [run for run in others if run.state.active and runs.is_alive(run.path)]
    before = [r for r in busy if r.state is not State.QUEUED or (r.status.queued, r.slug) < mine]
    return sorted(before, key=lambda r: (r.state is State.QUEUED, r.status.queued))
