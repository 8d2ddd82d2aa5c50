"""What a learner guessed before a run began, kept in the run's folder."""

import contextlib
import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from core import files
from core.errors import BardlabError
from core.runs.state import Run

FILE = "guess.json"
HIGHEST = 20.0
"""Nats a character beyond which no guess makes sense."""


@dataclass(frozen=True)
class Guess:
    """One number guessed, give or take."""

    value: float
    """Nats a character: the validation loss at the run's end, or its distance from another run's."""
    within: float
    """How far off it may be and still count as right."""
    rival: str = ""
    """The slug of the run that it was compared with; empty if the end itself was guessed."""
    made: str = ""
    """When, in ISO 8601."""

    def checked(self) -> "Guess":
        """Return the guess. Raises BardlabError if it is none."""
        low = -HIGHEST if self.rival else 0.0
        if not (math.isfinite(self.value) and low <= self.value <= HIGHEST):
            raise BardlabError(f"a guess of {self.value:g} nats is none; give {low:g} to {HIGHEST:g}")
        if not (math.isfinite(self.within) and 0 < self.within <= HIGHEST):
            raise BardlabError(f"a guess within {self.within:g} nats is none; give more than 0, at most {HIGHEST:g}")
        return self


def keep(run: Run, guess: Guess) -> None:
    """Write a guess into the folder of a run that has not begun. Raises BardlabError on nonsense."""
    row = asdict(guess.checked()) | {"made": datetime.now(UTC).isoformat(timespec="milliseconds")}
    try:
        files.replace(run.path / FILE, json.dumps(row).encode())
    except OSError as error:
        raise BardlabError(f"cannot keep the guess in {run.path}: {files.explain(error)}") from None


def read(path: Path) -> Guess | None:
    """Return what was guessed of the run in a folder; None if nothing was, or the file is damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError, BardlabError):
        row = json.loads(files.read(path / FILE))
        return Guess(
            float(row["value"]), float(row["within"]), str(row["rival"])[:200], str(row["made"])[:40]
        ).checked()
    return None
