"""A copy of the repository in which a module is changed and its tests are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import coverage

from core import paths
from tests.mutants.operators import Mutant

QUIET = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-m", "not browser"]
QUIET += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is there before pytest is
Contexts = dict[int, list[str]]
"""By line, the tests that run it; the empty one is an import, or a process that a test starts."""
BEGIN = 900.0
"""The most seconds that the tests of one module, run once, may take."""
MOST = 30.0
"""Seconds of tests that are tried on one fault, the quickest first."""


class Bed:
    """One copy, with a process that runs tests in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[tuple[str, ...], tuple[dict[str, Contexts], dict[str, float]]] = {}
        for name in files():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(paths.ROOT / name, target)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "COVERAGE_FILE": str(folder / ".coverage")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forks"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process."""
        self.process.communicate()

    def ask(self, arguments: list[str], limit: float, *, first: bool = False) -> int | None:
        """Run tests and return pytest's status, None if they take longer than the limit."""
        request = {"arguments": [*QUIET, *arguments], "limit": limit, "first": first}
        request |= {"output": str(self.folder / "output.txt"), "report": str(self.folder / "report.json")}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["status"]  # type: ignore[no-any-return]

    def output(self) -> str:
        """Return what the last tests printed."""
        return (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")

    def begin(self, module: str, tests: tuple[str, ...]) -> Lines:
        """Run a module's tests as it is, if these have not been run here, and return which run which of its lines."""
        if tests not in self.known:
            self.known[tests] = self.measured(tests)
        contexts, durations = self.known[tests]
        return Lines(contexts.get(str(self.folder / "core" / module), {}), durations)

    def measured(self, tests: tuple[str, ...]) -> tuple[dict[str, Contexts], dict[str, float]]:
        """Run tests on what is not changed, and return which lines of each file each ran and how long it took."""
        (self.folder / ".coverage").unlink(missing_ok=True)
        measure = ["--cov", "--cov-context=test", "--cov-report="]
        if self.ask([*measure, *tests], BEGIN, first=True) != 0:
            raise SystemExit(f"tests fail without a fault:\n{self.output()[-3000:]}")
        durations: dict[str, float] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))["durations"]
        data = coverage.CoverageData(str(self.folder / ".coverage"))
        data.read()
        return {file: data.contexts_by_lineno(file) for file in data.measured_files()}, durations

    @contextmanager
    def changed(self, module: str, mutant: Mutant) -> Iterator[None]:
        """Put a fault into a module for as long as the block runs."""
        file = self.folder / "core" / module
        text = file.read_text(encoding="utf-8")
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            compiled.unlink()
        file.write_text(mutant.apply(text), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(text, encoding="utf-8")


class Lines:
    """Which tests run a line of a module, and how long they take."""

    def __init__(self, contexts: Contexts, durations: dict[str, float]) -> None:
        self.durations = durations
        self.tests = {
            line: {name.rpartition("|")[0] for name in names if "|" in name} for line, names in contexts.items()
        }
        self.elsewhere = {line for line, names in contexts.items() if "" in names}

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run the fault, the quickest first, within a limit; none if no test does.

        A line that runs while a module is imported, or in a process that a test starts, is every test's.
        """
        names = self.tests.get(mutant.statement, set()) & self.durations.keys()
        if not names and mutant.statement in self.elsewhere:
            names = set(self.durations)
        chosen, spent = [], 0.0
        for name in sorted(names, key=lambda name: (self.durations[name], name)):
            spent += self.durations[name]
            if chosen and spent > MOST:
                break
            chosen.append(name)
        return chosen

    def limit(self, tests: list[str]) -> float:
        """Return the seconds after which these tests count as hanging."""
        return 60.0 + 5 * sum(self.durations[name] for name in tests)


def files() -> list[str]:
    """Return the repository's files, those not yet committed too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed: Any = subprocess.run(command, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (paths.ROOT / name).is_file()]
