"""How far a learner is: names of what was done, with the day, and guesses.

The browser keeps them, or a file by the login's name.

Whatever comes back from where it was kept may be anybody's: what is no mark is passed over.
"""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from core import files, paths
from core.studies.course import guess as course_guess
from core.studies.course.guess import Guess

NAME = re.compile(r"[a-z][\w.:-]{0,79}", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MOST = 1000
"""Marks of one learner, and guesses."""
LONGEST_NOTE = 4000
LATEST = 10**14
"""No era is later, ms since 1970."""


@dataclass(frozen=True)
class Progress:
    """What a learner has done."""

    era: int = 0
    """When it was last forgotten, ms since 1970: what is kept of an earlier era is dropped."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """By name, such as `station.first`: the day."""
    note: str = ""
    """What the learner wrote for the lab report."""
    noted: int = 0
    """When that was written, ms since 1970."""
    guesses: Mapping[str, Guess] = field(default_factory=dict)
    """What was guessed of runs, each by its key."""

    def has(self, name: str) -> bool:
        """Whether something is done."""
        return name in self.marks

    def marked(self, name: str) -> "Progress":
        """Return it with something done today."""
        if name in self.marks or not NAME.fullmatch(name) or len(self.marks) >= MOST:
            return self
        return replace(self, marks={**self.marks, name: f"{datetime.now(UTC):%Y-%m-%d}"})

    def guessed(self, guess: Guess) -> "Progress":
        """Return it with a guess made now; an earlier one of the same stays. Raises BardlabError on nonsense."""
        guess = replace(guess.checked(), made=course_guess.now())
        if guess.key in self.guesses or len(self.guesses) >= MOST:
            return self
        return replace(self, guesses={**self.guesses, guess.key: guess})

    def with_note(self, note: str) -> "Progress":
        """Return it with what was written."""
        return self if note == self.note else replace(self, note=note[:LONGEST_NOTE], noted=_now())

    def forgotten(self) -> "Progress":
        """Return the beginning of a new era."""
        return Progress(era=max(_now(), self.era + 1))

    def merged(self, other: "Progress") -> "Progress":
        """Return what two places know together; of two eras the later one alone."""
        if other.era != self.era:
            return max(self, other, key=lambda each: each.era)
        later = max(self, other, key=lambda each: each.noted)
        marks = dict(list({**other.marks, **self.marks}.items())[:MOST])
        guesses = dict(list({**other.guesses, **self.guesses}.items())[:MOST])
        return replace(self, marks=marks, note=later.note, noted=later.noted, guesses=guesses)

    def plain(self) -> dict[str, object]:
        """Return it as it is kept."""
        guesses = {key: guess.plain() for key, guess in self.guesses.items()}
        kept = {"era": self.era, "marks": dict(self.marks), "note": self.note, "noted": self.noted}
        return {**kept, "guesses": guesses}


def parse(kept: object) -> Progress:
    """Read what was kept somewhere; what is not as it was written is left out."""
    if not isinstance(kept, Mapping):
        return Progress()
    marks = kept.get("marks")
    found = {
        name: day
        for name, day in list(marks.items() if isinstance(marks, Mapping) else ())[:MOST]
        if isinstance(name, str) and isinstance(day, str) and NAME.fullmatch(name) and DAY.fullmatch(day)
    }
    rows = kept.get("guesses")
    read = [course_guess.parse(row) for row in list(rows.values() if isinstance(rows, Mapping) else ())[:MOST]]
    guesses = {guess.key: guess for guess in read if guess is not None}
    note = kept.get("note")
    text = "".join(c for c in note[:LONGEST_NOTE] if c.isprintable() or c == "\n") if isinstance(note, str) else ""
    return Progress(_moment(kept.get("era")), found, text, _moment(kept.get("noted")), guesses)


def _moment(value: object) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST
    return int(value) if whole and isinstance(value, int | float) else 0


def _now() -> int:
    return int(time.time() * 1000)


# --- by the login's name ---------------------------------------------------------------------------------------------


def _file(learner: str) -> Path:
    return paths.home() / "learners" / f"{hashlib.sha256(learner.encode()).hexdigest()[:32]}.json"


def read(learner: str) -> Progress:
    """Return what is kept of a learner by the login's name; a beginning if there is nothing, or it is damaged."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return parse(json.loads(files.read(_file(learner))))
    return Progress()


def keep(learner: str, progress: Progress) -> None:
    """Keep it. Raises OSError."""
    file = _file(learner)
    file.parent.mkdir(parents=True, exist_ok=True)
    files.replace(file, json.dumps(progress.plain(), ensure_ascii=False).encode("utf-8", "replace"))
