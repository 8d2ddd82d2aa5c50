"""`python tasks.py mutants [MODULE ...]`: put small faults into modules, one at a time; see which the unit tests miss.

A fixed sample of each module's faults is tried (--all: every one). For each, those tests that run its line, of the
module's test files, are run in a copy of the repository. A fault that changes nothing anybody can see is listed with
the reason in equivalents.toml.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from core import paths
from tests.mutants.bed import Bed
from tests.mutants.operators import Mutant, sample
from tests.mutants.table import TESTS

WANTED = 0.85
"""The share of a module's faults that its tests should find."""
EQUIVALENTS = Path(__file__).with_name("equivalents.toml")


@dataclass
class Count:
    """What became of one module's faults."""

    module: str
    killed: int = 0
    hung: int = 0
    equivalent: int = 0
    survived: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many faults there were, without those that change nothing."""
        return self.killed + self.hung + len(self.survived)

    @property
    def share(self) -> float:
        """The share that the tests found; one that makes them hang is found."""
        return (self.killed + self.hung) / self.tried if self.tried else 1.0


def main() -> int:
    """Try the faults, print a table, and return 1 if a module's tests find too few."""
    parser = argparse.ArgumentParser(prog="tasks.py mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="files, by default all that are listed")
    parser.add_argument("--all", action="store_true", help="every fault, not a sample")
    parser.add_argument("--sample", type=int, default=12, help="how many faults a module")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many copies at the same time")
    options = parser.parse_args()
    modules = [module.removeprefix("core/") for module in options.modules] or list(TESTS)
    if unknown := [module for module in modules if module not in TESTS]:
        parser.error(f"not in tests/mutants/table.py: {', '.join(unknown)}")
    count = None if options.all else options.sample
    texts = {module: (paths.ROOT / "core" / module).read_text(encoding="utf-8") for module in modules}
    work = {module: sample(text, count, f"{options.seed}") for module, text in texts.items()}
    with beds(min(options.jobs, len(work))) as free, ThreadPoolExecutor(options.jobs) as pool:
        counts = list(pool.map(lambda module: attempt(module, work[module], free), (m for m in work if work[m])))
    print(f"\n{'module':<36} {'found':>6} {'tried':>6} {'share':>6}   hanging, changing nothing")
    for each in counts:
        found = each.killed + each.hung
        print(f"{each.module:<36} {found:>6} {each.tried:>6} {each.share:>6.0%}   {each.hung}, {each.equivalent}")
    found, tried = sum(c.killed + c.hung for c in counts), sum(c.tried for c in counts)
    print(f"{'all':<36} {found:>6} {tried:>6} {found / max(tried, 1):>6.0%}")
    return int(any(c.share < WANTED for c in counts))


@contextmanager
def beds(count: int) -> Iterator[queue.Queue[Bed]]:
    """Keep so many copies of the repository for as long as the block runs."""
    free: queue.Queue[Bed] = queue.Queue()
    with TemporaryDirectory(prefix="bardlab-mutants-") as folder:
        made = [Bed(Path(folder) / str(i)) for i in range(count)]
        for bed in made:
            free.put(bed)
        try:
            yield free
        finally:
            for bed in made:
                bed.close()


def attempt(module: str, mutants: list[Mutant], free: queue.Queue[Bed]) -> Count:
    """Try the faults of one module, and tell those that are not found."""
    count, reasons = Count(module), equivalents(module)
    bed = free.get()
    try:
        lines = bed.begin(module, tuple(f"tests/core/{test}" for test in TESTS[module]))
        for mutant in mutants:
            if named(mutant) in reasons:
                count.equivalent += 1
                continue
            chosen = lines.of(mutant)
            with bed.changed(module, mutant):
                status = bed.ask(["-x", *chosen], lines.limit(chosen)) if chosen else 0
            if status is None:
                count.hung += 1
            elif status:
                count.killed += 1
            else:
                by = f"{len(chosen)} tests run it" if chosen else "no test runs it"
                count.survived.append(
                    f"{module}:{mutant.line}: {one_line(mutant.old)}  ->  {one_line(mutant.new)}  ({by})"
                )
    finally:
        free.put(bed)
    told = [f"{module}: {count.killed + count.hung} of {count.tried} found", *(f"  {line}" for line in count.survived)]
    print("\n".join(told), flush=True)
    return count


def equivalents(module: str) -> set[tuple[str, str, str]]:
    """Return the faults of a module that change nothing anybody can see, as `named` names them."""
    with EQUIVALENTS.open("rb") as file:
        return {(fault["line"], fault["old"], fault["new"]) for fault in tomllib.load(file).get(module, [])}


def named(mutant: Mutant) -> tuple[str, str, str]:
    """Return what a fault is known by as long as its line stays: the line, what stands there, what would."""
    return mutant.code, one_line(mutant.old), one_line(mutant.new)


def one_line(code: str) -> str:
    """Return code without line breaks."""
    return " ".join(code.split())


if __name__ == "__main__":
    sys.exit(main())
