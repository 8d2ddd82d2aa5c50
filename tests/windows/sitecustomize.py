"""Makes Python on Linux look like Windows to the product: put this folder first on PYTHONPATH.

Functions, signals and arguments that only POSIX has are gone; a file that any process has open cannot be replaced,
renamed or deleted, nor can its folder be renamed; locks are msvcrt's. Libraries keep what they need of the real system.
"""

import asyncio
import contextlib
import multiprocessing.util
import os
import select
import selectors  # noqa: F401  (takes select.select as it is)
import signal
import subprocess
import sys
import tempfile  # noqa: F401
import types
from collections.abc import Callable
from typing import Any

import psutil

import tests.forks.template  # (forks, which the product must not)

GONE_FROM_OS = (
    "killpg getpgid getpgrp getsid setsid setpgid nice getpriority setpriority fork forkpty mkfifo statvfs O_DIRECTORY"
)
KEPT_SIGNALS = ("SIGTERM", "SIGINT", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV", "SIG_DFL", "SIG_IGN", "SIGBREAK")
real_flock = __import__("fcntl")
real_popen = subprocess.Popen.__init__


def _strip() -> None:
    whole = types.ModuleType("signal")
    vars(whole).update(vars(signal))
    for module in list(sys.modules.values()):  # what is loaded by now are libraries
        if getattr(module, "signal", None) is signal:
            module.signal = whole  # type: ignore[attr-defined]
    for name in list(vars(signal)):
        if name.startswith("SIG") and name not in KEPT_SIGNALS:
            delattr(signal, name)
    for name in ("alarm", "setitimer", "pause", "pthread_kill", "sigwait", "pthread_sigmask", "siginterrupt"):
        delattr(signal, name)
    for name in GONE_FROM_OS.split():
        delattr(os, name)

    def no_select(*arguments: object) -> None:
        raise OSError(10038, "An operation was attempted on something that is not a socket")

    select.select = no_select  # type: ignore[assignment]


def _popen(self: Any, *arguments: Any, creationflags: int = 0, **options: Any) -> None:
    for name in ("start_new_session", "preexec_fn", "process_group", "umask", "pass_fds"):
        if name in options:
            raise ValueError(f"{name} is not supported on Windows platforms")
    if creationflags & subprocess.CREATE_NEW_PROCESS_GROUP:  # type: ignore[attr-defined]
        options["start_new_session"] = True
    real_popen(self, *arguments, **options)


def _locking(handle: int, mode: int, count: int) -> None:
    try:
        real_flock.flock(handle, real_flock.LOCK_UN if mode == 0 else real_flock.LOCK_EX | real_flock.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


def _is_open(path: str) -> bool:
    """True if some process has the file, or one in the folder, open or mapped."""
    path = os.path.realpath(path)
    inside = path + os.sep
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for handle in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{handle}")
                    if target == path or target.startswith(inside):
                        return True
            if path.endswith(".safetensors"):
                with open(f"/proc/{pid}/maps") as maps:
                    if path in maps.read():
                        return True
    return False


def _forbidding(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*paths: Any, **more: Any) -> Any:
        if not more.get("dir_fd") and any(_is_open(os.fsdecode(path)) for path in paths):
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        return function(*paths, **more)

    return call


_strip()
subprocess.CREATE_NEW_PROCESS_GROUP, subprocess.CREATE_NO_WINDOW = 0x200, 0x08000000  # type: ignore[attr-defined]
subprocess.Popen.__init__ = _popen  # type: ignore[method-assign, assignment]
psutil.BELOW_NORMAL_PRIORITY_CLASS = 10  # type: ignore[attr-defined]  # what nice() takes here
msvcrt = types.ModuleType("msvcrt")
vars(msvcrt).update(locking=_locking, LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, LK_NBRLCK=2)
sys.modules["msvcrt"] = msvcrt
os.replace, os.rename = _forbidding(os.replace), _forbidding(os.rename)
os.unlink = os.remove = _forbidding(os.unlink)
_ = asyncio, multiprocessing, tests
