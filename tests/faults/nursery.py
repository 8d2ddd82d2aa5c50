"""Workers by fork: one process loads torch once, every worker is a copy of it. Fifty can be killed in a minute.

A worker made here may be told to kill itself at a certain write, which no timing from outside could hit.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core import paths
from core.runs import editing, layout, reading
from core.runs.state import Run

WATCHED = (layout.TRAINER, layout.PREVIOUS, layout.WEIGHTS, layout.BEST, "step-")
"""A checkpoint's files."""
COUNT = "boundaries"


class Nursery:
    """Starts workers for runs in the present BARDLAB_HOME."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=paths.ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)

    def _answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def begin(self, run: Run, *, die_at: int = 0, checkpoint_seconds: float = 30.0, deaf: bool = False) -> int:
        """Start a worker and return its process id. It dies at the write number `die_at`, if that is not 0."""
        assert self.process.stdin
        order = {"path": str(run.path), "die_at": die_at, "checkpoint_seconds": checkpoint_seconds, "deaf": deaf}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self._answer())

    def work(self, run: Run, **options: Any) -> Run:
        """Let a worker do a run to its end."""
        await_end(self.begin(run, **options))
        return reading.read(run.path)

    def resume(self, run: Run, **options: Any) -> Run:
        """Go on with a run to its end."""
        editing.queue_again(reading.read(run.path))
        return self.work(run, **options)


def alive(pid: int) -> bool:
    """True while a worker lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def await_end(pid: int, seconds: float = 300.0) -> None:
    """Wait until a worker has ended."""
    until = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            raise TimeoutError(f"worker {pid} did not end within {seconds:.0f} s")
        time.sleep(0.005)


class Boundaries:
    """Counts the moments between the parts of a checkpoint's writing, and kills this process at one of them."""

    def __init__(self, die_at: int) -> None:
        self.die_at, self.count = die_at, 0

    def hit(self) -> None:
        """One more moment has come."""
        self.count += 1
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Stand between the worker and the disk."""
        opened = Path.open

        def watched(path: object) -> bool:
            return any(name in os.path.basename(os.fspath(path)) for name in WATCHED)  # type: ignore[call-overload]

        def around(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **more: Any) -> Any:
                mine = any(isinstance(a, str | os.PathLike) and watched(a) for a in arguments)
                if mine:
                    self.hit()
                result = function(*arguments, **more)
                if mine:
                    self.hit()
                return result

            return call

        def open_(path: Path, mode: str = "r", *arguments: Any, **more: Any) -> Any:
            file = opened(path, mode, *arguments, **more)
            return _Halting(file, self) if mode == "wb" and watched(path) else file

        os.replace, os.link = around(os.replace), around(os.link)
        Path.open = open_  # type: ignore[assignment]


class _Halting:
    """A file that is written in two halves, with a moment before, between and after them."""

    def __init__(self, file: Any, boundaries: Boundaries) -> None:
        self._file, self._boundaries = file, boundaries

    def write(self, content: Any) -> int:
        content = bytes(content)
        for part in (content[: len(content) // 2], content[len(content) // 2 :]):
            self._boundaries.hit()
            self._file.write(part)
            self._file.flush()
        self._boundaries.hit()
        return len(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _child(order: dict[str, Any]) -> None:
    from core import system
    from core.jobs import recorder, waiting
    from core.jobs import work as jobs_work
    from core.runs import folder

    path = Path(order["path"])
    os.setsid()
    system.redirect_output(path / folder.LOG)
    recorder.CHECKPOINT_SECONDS = order["checkpoint_seconds"]
    boundaries = Boundaries(order["die_at"])
    boundaries.install()
    if order["deaf"]:
        folder.stop_requested = lambda path: False
        waiting.Interrupt._ask = lambda self, number, frame: None  # type: ignore[method-assign]
    jobs_work.work(path)
    (path / COUNT).write_text(str(boundaries.count))


def serve() -> None:
    """Load everything, then make a worker for every line."""
    import torch

    from core.ladder.registry import RUNGS
    from core.texts.corpus import load
    from core.training.trainer import Trainer
    from tests.conftest import TINY

    torch.set_num_threads(1)
    corpus = load()
    for key, rung in RUNGS.items():
        if key in TINY:
            model, train = rung.settings(None, TINY[key]["model"], TINY[key]["train"])
            Trainer(rung.build(model, corpus.tokenizer.size), train, corpus.train_ids, torch.device("cpu")).step()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects them
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                _child(json.loads(line))
            finally:
                os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    serve()
