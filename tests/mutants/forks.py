"""A process that has imported what is slow to import, and runs tests in forks of itself: `-m tests.mutants.forks`.

A line of its input is a request as JSON, a line of its output the answer. It runs in a copy of the repository.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Durations:
    """A plugin of pytest: notes the seconds that each test took, with what it was given."""

    seconds: dict[str, float] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: object) -> None:
        """Add up preparation, test and what comes after."""
        name = report.nodeid  # type: ignore[attr-defined]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration  # type: ignore[attr-defined]


def answer(request: dict[str, object]) -> dict[str, object]:
    """Run the tests that are asked for in a fork."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        os._exit(run(request))
    status = wait(child, began + float(str(request["limit"])))
    if request["first"] and status == 0:
        warm(json.loads(Path(str(request["report"])).read_text(encoding="utf-8"))["libraries"])
    return {"status": status, "seconds": time.monotonic() - began}


def run(request: dict[str, object]) -> int:
    """Run pytest and return its status; what it prints goes to a file."""
    import pytest

    output = os.open(str(request["output"]), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.dont_write_bytecode = not request["first"]
    durations = Durations()
    try:
        status = int(pytest.main([str(argument) for argument in request["arguments"]], [durations]))  # type: ignore[attr-defined]
    except BaseException:
        traceback.print_exc()
        return 3
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if request["first"]:
        report = {"durations": durations.seconds, "libraries": libraries()}
        Path(str(request["report"])).write_text(json.dumps(report), encoding="utf-8")
    return status


def libraries() -> list[str]:
    """Return the modules that are loaded and are not the repository's own."""
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return sorted(name for name, file in files.items() if file and "site-packages" in file)


def warm(names: list[str]) -> None:
    """Import what the tests have imported, so that the forks that come need not: four fifths of their time."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def wait(child: int, until: float) -> int | None:
    """Wait for a fork and return its status; end it, and all that it started, when its time is up."""
    process = psutil.Process(child)
    started: dict[int, psutil.Process] = {}
    while time.monotonic() < until:
        with contextlib.suppress(psutil.Error):
            started |= {p.pid: p for p in process.children(recursive=True)}
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            end(started)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    process.kill()
    os.waitpid(child, 0)
    end(started)
    return None


def end(processes: dict[int, psutil.Process]) -> None:
    """End what a fork has left behind."""
    for process in processes.values():
        with contextlib.suppress(psutil.Error):
            process.kill()


def main() -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
