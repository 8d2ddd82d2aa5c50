"""Processes of the tests without the seconds in which each loads torch: forks of one that has loaded it.

While `forking()` lasts, `subprocess.Popen` lets a template make every `python -m core...`, `python -m streamlit` and
`python -c ...`: a fork of it runs that module or code as its main one. All else of such a process is its own, and real:
its number, session, streams, folder, environment, signals, limits, locks and exit status, and it is a child of the
process that asked.

Not served is what gives Python itself another environment, what runs under coverage or elsewhere than on Linux, and
what a test starts that is marked `started`, which sees the real command at work.
"""

import atexit
import contextlib
import ctypes
import gc
import io
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from execnet.gateway_io import popen_bootstrapline

fork, setsid = getattr(os, "fork", None), getattr(os, "setsid", None)
"""As they are when this is imported: later they may be hidden (tests/windows)."""
ROOT = Path(__file__).parents[2]
NESTING = ("tests.gpu", "pytest", "streamlit")
"""Modules that run in forks and have their own processes made by forks too, as the workers of pytest-xdist do."""
SERVED = ("core", "core.jobs.worker", "core.exchange.import_process", "tests.faults.nursery", *NESTING)
"""Modules that run in forks."""
LOADED = (
    *("core.cli.main", "core.exchange.archive", "core.jobs.rankings", "core.jobs.work", "tests.conftest"),
    *("streamlit.web.cli", "streamlit.web.bootstrap", "streamlit.web.server.starlette", "plotly.graph_objects"),
)
"""Modules that they use."""
SET: dict[str, str] = {}
"""What they write into the environment as they are imported."""
FOR_PYTHON = ("PYTHON", "LD_", "LC_", "LANG", "OMP_", "COVERAGE_")
"""How the names begin of what an interpreter and its libraries read as they start."""
UNBUFFERED, ENCODING = "PYTHONUNBUFFERED", "PYTHONIOENCODING"
"""Those that a fork heeds itself."""
ADOPTS = 36
"""Of Linux's `prctl`: orphans among a process's descendants become its children."""
Started = subprocess.Popen


def possible() -> bool:
    """True where a fork can take the place of a process that is started."""
    return sys.platform == "linux" and not any(name.startswith("COVERAGE_") for name in os.environ)


def for_python(environment: dict[str, str]) -> dict[str, str]:
    """Return what of an environment an interpreter reads as it starts."""
    return {k: v for k, v in environment.items() if k.startswith(FOR_PYTHON) and k not in (UNBUFFERED, ENCODING)}


class Template:
    """The process that is forked; unless there is one already, it begins with the first request."""

    def __init__(self, channel: socket.socket | None = None) -> None:
        self.environment = for_python(dict(os.environ))
        self._lock = threading.Lock()
        self._channel = channel
        self._process: subprocess.Popen[bytes] | None = None
        self._adopt = ctypes.CDLL(None).prctl

    def fork(self, request: dict[str, Any], streams: list[int]) -> int:
        """Have a process made that has these three streams; return its number."""
        with self._lock:
            channel = self._channel or self._begin()
            content = json.dumps(request).encode()
            self._adopt(ADOPTS, 1, 0, 0, 0)
            try:
                socket.send_fds(channel, [len(content).to_bytes(4, "little")], streams)
                channel.sendall(content)
                return int.from_bytes(read(channel, 4), "little")
            finally:
                self._adopt(ADOPTS, 0, 0, 0, 0)

    def _begin(self) -> socket.socket:
        self._channel, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", f"from {__name__} import main; main()"]
            self._process = Started(command, cwd=ROOT, stdin=theirs)
        return self._channel

    def close(self) -> None:
        """End it; what it has made lives on."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.wait()


def read(channel: socket.socket, count: int) -> bytes:
    """Read so many bytes. Raises EOFError if the other end goes away."""
    content = b""
    while len(content) < count:
        part = channel.recv(count - len(content))
        if not part:
            raise EOFError("the template is gone")
        content += part
    return content


@contextmanager
def forking(template: Template | None = None) -> Iterator[None]:
    """Let processes be made by forks, where that is possible."""
    if not possible() or subprocess.Popen is not Started:
        yield
        return
    template = template or Template()

    class Forked(Started):  # type: ignore[type-arg]
        """A process that is made by a fork where it can be."""

        def _execute_child(self, args: Any, executable: Any, *more: Any) -> None:
            _preexec, _close, passed, cwd, env, _startup, _flags, shell, *ends = more[:14]
            _signals, *_who, apart, group = more[14:]
            environment = {os.fsdecode(k): os.fsdecode(v) for k, v in (os.environ if env is None else env).items()}
            plain = isinstance(args, list | tuple) and not (shell or passed or _preexec) and group == -1
            asked = served(args) if plain else None
            if not asked or for_python(environment) != template.environment:
                return super()._execute_child(args, executable, *more)  # type: ignore[misc, no-any-return]
            streams = [end if end != -1 else number for number, end in enumerate((ends[0], ends[3], ends[5]))]
            folder = os.path.abspath(cwd or ".")
            try:
                request = {"arguments": asked, "folder": folder, "environment": environment, "apart": apart}
                self.pid = template.fork(request, streams)
                self._child_created = True
            finally:
                self._close_pipe_fds(*ends)  # type: ignore[attr-defined]

    subprocess.Popen = Forked  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = Started  # type: ignore[misc]
        template.close()


@contextmanager
def starting() -> Iterator[None]:
    """Let processes be started by their real command again."""
    made = subprocess.Popen
    subprocess.Popen = Started  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = made  # type: ignore[misc]


def served(command: Sequence[str]) -> list[str] | None:
    """Return what a fork is to do in the place of a command, None if it is to be started."""
    if command[0] != sys.executable:
        return None
    arguments = list(command[2:] if command[1] == "-u" else command[1:])  # a worker's streams are made anew anyway
    return arguments if arguments[0] == "-c" or (arguments[0] == "-m" and arguments[1] in SERVED) else None


def nests(arguments: Sequence[str]) -> bool:
    """True if what runs there has its own processes made by forks."""
    return arguments[1] in NESTING or arguments == ["-c", popen_bootstrapline]


# --- in the template -------------------------------------------------------------------------------------------------


def load() -> None:
    """Import what the processes use; a step of training and a look at its cost import more of torch."""
    before = dict(os.environ)
    import torch

    from core.ladder.cost import cost
    from core.ladder.registry import RUNGS
    from core.training.trainer import Trainer

    for name in LOADED:
        import_module(name)
    SET.update({name: value for name, value in os.environ.items() if before.get(name) != value})
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        for rung in RUNGS.values():
            model, train = rung.settings(None, dict(rung.tiny), {"batch_size": 2, "window": 8})
            Trainer(rung.build(model, 9), train, torch.arange(300) % 9, torch.device("cpu")).step()
            cost(rung, model, train, 9)


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for every request: what is asked is returned in the fork, None in the template when nobody asks more."""
    while True:
        head, found, _, _ = socket.recv_fds(channel, 4, 3)
        if not head:
            return None
        request: dict[str, Any] = json.loads(read(channel, int.from_bytes(head, "little")))
        told, tell = os.pipe()
        between = fork()  # whose end makes the process an orphan, which the one that asked adopts
        if not between:
            if child := fork():
                os.write(tell, child.to_bytes(4, "little"))
                os._exit(0)
            os.close(told)
            os.close(tell)
            channel.close()
            dress(request, found)
            return request
        os.waitpid(between, 0)
        channel.sendall(os.read(told, 4))
        for handle in (told, tell, *found):
            os.close(handle)


def dress(request: dict[str, Any], streams: list[int]) -> None:
    """Give a fork its own session, streams, folder, environment and chance."""
    import torch

    torch.seed()
    if request["apart"]:
        setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update({**SET, **request["environment"]})
    encoding = request["environment"].get(ENCODING, "").partition(":")[0] or sys.stdout.encoding
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding)
    at_once = bool(request["environment"].get(UNBUFFERED))
    for name, number in (("stdout", 1), ("stderr", 2)):  # as Python makes them: what the template's are may be a file
        raw, errors = io.FileIO(number, "w", closefd=False), getattr(sys, name).errors
        lines = name == "stderr" or os.isatty(number)
        binary: Any = raw if at_once else io.BufferedWriter(raw)
        setattr(sys, name, io.TextIOWrapper(binary, encoding, errors, line_buffering=lines, write_through=at_once))


def run(arguments: list[str]) -> None:
    """Do what `python` does with its arguments."""
    how, what, *rest = arguments
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(" ".join(arguments[1:3]))  # what `top` shows
    sys.path[0] = "" if how == "-c" else os.getcwd()
    sys.argv = [how if how == "-c" else what, *rest]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(main))


def end(error: BaseException | None) -> NoReturn:
    """End as Python does, but for taking all modules apart, which takes a second of a fork."""
    status: object = 0
    if isinstance(error, SystemExit):
        status = error.code
        if not isinstance(status, int | None):
            print(status, file=sys.stderr)
            status = 1
    elif error is not None:
        traceback.print_exception(error)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(int(status or 0) & 0xFF)  # type: ignore[call-overload]


def with_template(channel: socket.socket) -> tuple[dict[str, Any] | None, Template | None]:
    """Serve; return what a fork is to do and, if it is to have one, the template of its own: a fork of it as well."""
    while True:
        asked = serve(channel)
        if asked is None or not nests(asked["arguments"]):
            return asked, None
        ours, channel = socket.socketpair()
        if fork():
            channel.close()
            return asked, Template(ours)
        ours.close()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)


def main() -> None:
    """Load, then serve the socket that is standard input."""
    channel = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    load()
    gc.collect()
    gc.freeze()  # no fork looks through what all share
    asked, template = with_template(channel)
    if asked is None:
        end(None)
    try:
        with forking(template) if template else contextlib.nullcontext():
            run(asked["arguments"])
    except BaseException as error:
        end(error)
    end(None)
