"""Processes, locks and files as the operating system at hand has them.

The only module of `core` that asks which system it runs on or calls what only some have: everything else goes through
the functions here, each of which has a POSIX and a Windows form.
"""

import _thread
import contextlib
import ctypes
import importlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import psutil

POSIX = hasattr(os, "setsid")
fcntl: Any = importlib.import_module("fcntl") if POSIX else None
msvcrt: Any = None if POSIX else importlib.import_module("msvcrt")

T = TypeVar("T")

# --- locks -----------------------------------------------------------------------------------------------------------


class Taken(Exception):
    """Somebody else holds the lock."""


class Lock:
    """An exclusive lock on a file, which ends with the process that holds it, however that ends.

    The file is made if need be; its folder is not. Entering the lock waits `patience` seconds, then raises `Taken`.
    """

    def __init__(self, path: Path, patience: float = 0.0) -> None:
        self.path, self.patience = path, patience
        self._handle: int | None = None

    def take(self, seconds: float = 0.0) -> bool:
        """Take the lock, waiting so long if it is held. True if it is ours. Raises OSError if there is no folder."""
        until = time.monotonic() + seconds
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            while not _grab(handle, shared=False):
                if time.monotonic() >= until:
                    return False
                time.sleep(0.01)
            self._handle, handle = handle, -1
            return True
        finally:
            if handle >= 0:
                os.close(handle)

    def release(self) -> None:
        """Give the lock back, if we hold it."""
        if self._handle is not None:
            _let_go(self._handle)
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        if not self.take(self.patience):
            raise Taken(str(self.path))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """True if somebody holds the lock on a file. Makes no file, and two who ask at once do not see each other."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        for _ in range(1 if POSIX else 6):  # a Windows lock is never shared: the other may only have asked too
            if _grab(handle, shared=True):
                _let_go(handle)
                return False
            if not POSIX:
                time.sleep(random.uniform(0.0005, 0.003))
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(handle)


def _grab(handle: int, *, shared: bool) -> bool:
    try:
        if POSIX:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _let_go(handle: int) -> None:
    with contextlib.suppress(OSError):
        if POSIX:
            fcntl.flock(handle, fcntl.LOCK_UN)
        else:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)


# --- files -----------------------------------------------------------------------------------------------------------


def persist(action: Callable[[], T], seconds: float = 3.0) -> T:
    """Do something to a file, again and again for a while if another process has it open, which Windows forbids."""
    until = time.monotonic() + seconds
    while True:
        try:
            return action()
        except PermissionError:
            if POSIX or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.001, 0.01))


def sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut, where folders can be synchronised."""
    if POSIX:
        with contextlib.suppress(OSError):  # not every file system can
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


# --- processes -------------------------------------------------------------------------------------------------------


def spawn(command: list[str], folder: Path, log: IO[bytes] | None, *, inlet: bool) -> subprocess.Popen[bytes]:
    """Start a process that lives on when this one, its terminal or its login session is gone.

    What it prints goes to `log`. With `inlet` it reads what is written to the `stdin` of what is returned.
    """
    apart: dict[str, Any] = {"start_new_session": True}
    if not POSIX:
        flags: Any = subprocess
        apart = {"creationflags": flags.CREATE_NEW_PROCESS_GROUP | flags.CREATE_NO_WINDOW}
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE if inlet else subprocess.DEVNULL,
        stdout=log or subprocess.DEVNULL,
        stderr=log or subprocess.DEVNULL,
        **apart,
    )


def born(pid: int) -> float:
    """Return what tells a process from a later one with the same number. Raises psutil.Error if there is none.

    On Linux the seconds after boot at which it was made, which stay what they are when the clock is set; elsewhere the
    time of day that the system noted.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return psutil.Process(pid).create_time()


def same(pid: int, when: float) -> bool:
    """True if process `pid` lives and is the one of which `born` said `when`: numbers are given out again."""
    try:
        return abs(born(pid) - when) < 0.5 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end(pid: int, when: float, *, kill: bool) -> bool:
    """End a process and its children, if it is still the one born then: asking them by SIGTERM, or by force.

    True if that was done. Never ends the process that calls. On Windows, where no other process can be asked, one that
    hears requests ends itself (`Impatience`).
    """
    if pid == os.getpid() or not same(pid, when) or not (kill or POSIX):
        return False
    try:
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill() if kill else each.terminate()
    except psutil.Error:
        return False
    return True


ENDING: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)
"""The signals that ask a process to end."""


class Impatience:
    """Where processes cannot be sent SIGTERM from outside, a thread that raises it within, as long as `overdue()`."""

    def __init__(self, overdue: Callable[[], bool], every: float = 1.0) -> None:
        self._over = threading.Event()
        if not POSIX:
            threading.Thread(target=self._watch, args=(overdue, every), daemon=True).start()

    def _watch(self, overdue: Callable[[], bool], every: float) -> None:
        while not self._over.wait(every):
            if overdue():
                _thread.interrupt_main(signal.SIGTERM)

    def end(self) -> None:
        """Be patient from here on."""
        self._over.set()


def redirect_output(log: Path) -> None:
    """Send everything printed from now on to the end of a file, and read nothing more."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


class Inlet:
    """One line that is to come on standard input, read by a thread: no system can look at a pipe without waiting."""

    def __init__(self) -> None:
        self._line = ""
        self._came = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._line = sys.stdin.readline().strip()
        self._came.set()

    @property
    def came(self) -> bool:
        """True if there is a line, or there will be none."""
        return self._came.is_set()

    def line(self) -> str:
        """Wait for the line. Empty if the other end went away."""
        self._came.wait()
        return self._line


def end_with(pid: int) -> None:
    """End this process, whatever it is at, as soon as another one is gone. Raises psutil.Error if it is already."""
    when = born(pid)

    def watch() -> None:
        while same(pid, when):
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def interface(address: str) -> str | None:
    """Return the name of the network interface that has an address, if there is one."""
    there = psutil.net_if_addrs().items()
    return next((name for name, all_of in there if any(each.address == address for each in all_of)), None)


def step_back() -> None:
    """Let every other process compute first."""
    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process().nice(10 if POSIX else getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", 0))


def be_first_to_go(score: int = 500) -> None:
    """When memory runs out, let Linux end this process rather than the server, which belongs to everybody."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score))


def memory_limit() -> int | None:
    """Return how many bytes of address space this process may have, None without a limit."""
    if not POSIX:
        return None
    resource: Any = importlib.import_module("resource")
    limit: int = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def limit_memory(most: int) -> None:
    """Let this process have no more than so many bytes of address space, where the system can be told so."""
    if POSIX:
        resource: Any = importlib.import_module("resource")
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        with contextlib.suppress(OSError, ValueError):
            soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def lift_memory_limit() -> None:
    """Take back what `limit_memory` asked for, as far as the system lets a process."""
    if POSIX:
        resource: Any = importlib.import_module("resource")
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def allow_matrix_unit() -> bool:
    """Ask for the registers of the processor's matrix unit (AMX), as each process has to. Returns whether it has them.

    Asked of Linux alone, and only where the processor is known to have the unit.
    """
    if not sys.platform.startswith("linux"):
        return False
    arch_prctl, ask_permission, tile_data = 158, 0x1023, 18
    return bool(ctypes.CDLL(None).syscall(arch_prctl, ask_permission, tile_data) == 0)


def giving_way() -> int:
    """Return the address of the C function, of no arguments, by which a thread lets another have the processor."""
    library: Any = ctypes.CDLL(None) if POSIX else ctypes.windll.kernel32  # type: ignore[attr-defined]
    return ctypes.cast(library.sched_yield if POSIX else library.SwitchToThread, ctypes.c_void_p).value or 0
