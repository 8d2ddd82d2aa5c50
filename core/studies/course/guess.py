"""One number that a learner guessed of a run, or of two."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from core.errors import BardlabError

HIGHEST = 20.0
"""Nats a character beyond which no guess makes sense."""
LONGEST = 200
"""Characters of a run's slug."""


@dataclass(frozen=True)
class Guess:
    """One number guessed, give or take."""

    run: str
    """The slug of the run that it is about."""
    value: float
    """Nats a character: the validation loss at the run's end, or its distance from another run's."""
    within: float
    """How far off it may be and still count as right."""
    rival: str = ""
    """The slug of the run that it was compared with; empty if the end itself was guessed."""
    done: float = 0.0
    """How much of the training had been seen when it was said, from 0 to 1."""
    made: str = ""
    """When, in ISO 8601."""

    @property
    def key(self) -> str:
        """What there is one guess of: a run, or two of them."""
        return key(self.run, self.rival)

    def checked(self) -> "Guess":
        """Return the guess. Raises BardlabError if it is none."""
        low = -HIGHEST if self.rival else 0.0
        if not (math.isfinite(self.value) and low <= self.value <= HIGHEST):
            raise BardlabError(f"a guess of {self.value:g} nats is none; give {low:g} to {HIGHEST:g}")
        if not (math.isfinite(self.within) and 0 < self.within <= HIGHEST):
            raise BardlabError(f"a guess within {self.within:g} nats is none; give more than 0, at most {HIGHEST:g}")
        return self

    def plain(self) -> dict[str, object]:
        """Return it as it is kept."""
        return asdict(self)


def key(run: str, rival: str = "") -> str:
    """Return what a guess of a run, or of it against a rival, is kept under."""
    return f"{run}|{rival}" if rival else run


def now() -> str:
    """Return the moment at which something is said."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def parse(row: object) -> Guess | None:
    """Read one that was kept; None if it is not as it was written."""
    if not isinstance(row, Mapping) or not row.get("run"):
        return None
    with contextlib.suppress(ValueError, TypeError, LookupError, OverflowError, BardlabError):
        names = [str(row[name])[:LONGEST] for name in ("run", "rival", "made")]
        done = float(row["done"])
        found = Guess(names[0], float(row["value"]), float(row["within"]), names[1], done, names[2]).checked()
        return found if 0 <= done <= 1 else None
    return None
