"""What a learner has said of the broken trainings: marks among the learner's progress.

Marks are never taken back, as several places that keep them are joined. So who asks again begins another round:
`fault.leak.0.1.rate` is the second answer of the first, `fault.leak.0.told` gives up, `fault.leak.0.again` ends it.
"""

import contextlib
import json
import random
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from core import files, paths
from core.studies.course.faults import FAULTS, get
from core.studies.course.progress import Progress

FILE = ".faults.json"
"""Beside the runs: by which the trainings are shuffled, alike for all learners of an installation."""
_ANSWER, _END = r"(?P<place>\d{1,3})\.(?P<said>[\w-]+)", r"(?P<end>told|again)"
MARK = re.compile(rf"fault\.(?P<key>[\w-]+)\.(?P<round>\d{{1,3}})\.(?:{_ANSWER}|{_END})")


@dataclass(frozen=True)
class Shelf:
    """The order in which the trainings stand, and what was said of each, by the fault's key."""

    seed: int
    said: dict[str, list[str]] = field(default_factory=dict)
    """The answers in the order in which they were given; the last is right if it was found."""
    given_up: tuple[str, ...] = ()
    rounds: dict[str, int] = field(default_factory=dict)
    """How often one was asked again."""

    @property
    def order(self) -> list[str]:
        """The faults' keys as they stand on the shelf, shuffled once for each installation."""
        keys = list(FAULTS)
        random.Random(self.seed).shuffle(keys)
        return keys

    def found(self, key: str) -> bool:
        """True if the right answer was given."""
        return key in self.said.get(key, ())

    def over(self, key: str) -> bool:
        """True if there is nothing left to find: it was found, or given up."""
        return self.found(key) or key in self.given_up

    @property
    def answers(self) -> dict[str, int]:
        """The faults that were found, by key, with the number of answers that it took."""
        return {key: self.said[key].index(key) + 1 for key in FAULTS if self.found(key)}


def shelf(marks: Iterable[str]) -> Shelf:
    """Return the shelf of a learner who has these marks."""
    read = [found for mark in marks if (found := MARK.fullmatch(mark)) and found["key"] in FAULTS]
    rounds: dict[str, int] = {}
    for one in read:
        if one["end"] == "again":
            rounds[one["key"]] = max(rounds.get(one["key"], 0), int(one["round"]) + 1)
    present = [one for one in read if int(one["round"]) == rounds.get(one["key"], 0)]
    said: dict[str, list[str]] = {}
    for one in sorted(present, key=lambda one: (int(one["place"] or 0), one["said"] or "")):
        if one["said"] in FAULTS and one["said"] not in said.get(one["key"], ()):
            said.setdefault(one["key"], []).append(one["said"])
    return Shelf(_seed(), said, tuple(one["key"] for one in present if one["end"] == "told"), rounds)


def answered(progress: Progress, key: str, said: str) -> Progress:
    """Return a learner's progress with an answer. Raises BardlabError if there is no such fault."""
    fault, now = get(key), shelf(progress.marks)
    get(said)
    place = len(now.said.get(key, ()))
    return progress if now.over(fault.key) else progress.marked(_mark(now, key, f"{place}.{said}"))


def given_up(progress: Progress, key: str) -> Progress:
    """Return it with the wish to be told. Raises BardlabError if there is no such fault."""
    fault, now = get(key), shelf(progress.marks)
    return progress if now.over(fault.key) else progress.marked(_mark(now, key, "told"))


def again(progress: Progress, key: str) -> Progress:
    """Return it as if nothing had been said of one training. Raises BardlabError if there is no such fault."""
    return progress.marked(_mark(shelf(progress.marks), get(key).key, "again"))


def _mark(now: Shelf, key: str, what: str) -> str:
    return f"fault.{key}.{now.rounds.get(key, 0)}.{what}"


def _seed() -> int:
    """Return what the installation shuffles by; where nothing can be written that is the same for all."""
    file = paths.runs() / FILE
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        return int(json.loads(files.read(file))["seed"])
    seed = secrets.randbelow(2**31)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, json.dumps({"seed": seed}).encode())
    except OSError:
        return 0
    return seed
