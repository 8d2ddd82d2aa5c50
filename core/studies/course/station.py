"""What a station of the tour is, and the few ways in which it is seen that its act was done."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.runs.state import Run

ABSENT = object()


@dataclass
class Opening:
    """How things were when a station was opened, so that what was done before does not count."""

    created: str
    """The moment, as runs note theirs."""
    query: Mapping[str, str]
    values: MutableMapping[str, object] = field(default_factory=dict)
    """What was first seen of the session, by key."""


@dataclass(frozen=True)
class Seen:
    """What can be seen now."""

    page: str
    """The url_path of the page that the learner is on."""
    query: Mapping[str, str]
    session: Mapping[str, object]
    runs: Sequence[Run]
    opening: Opening


class Act(Protocol):
    """Something that a learner does."""

    def done(self, seen: Seen) -> bool:
        """Whether it was done since the station was opened."""


@dataclass(frozen=True)
class Trains:
    """Begins to train a run of a rung."""

    rung: str

    def done(self, seen: Seen) -> bool:
        """Such a run is there and is younger than the visit."""
        return any(run.rung_key == self.rung and _younger(run, seen.opening) for run in seen.runs)


@dataclass(frozen=True)
class Reproduces:
    """Begins to reproduce a claim."""

    def done(self, seen: Seen) -> bool:
        """A run of some claim is there and is younger than the visit."""
        return any(run.config and run.config.claim and _younger(run, seen.opening) for run in seen.runs)


def _younger(run: Run, opening: Opening) -> bool:
    return not run.shipped and run.config is not None and run.config.created >= opening.created


@dataclass(frozen=True)
class Address:
    """Brings something into the address: a certain value, or any other than at first."""

    name: str
    value: str = ""

    def done(self, seen: Seen) -> bool:
        """The address says so."""
        now = seen.query.get(self.name, "")
        return now == self.value if self.value else bool(now) and now != seen.opening.query.get(self.name, "")


@dataclass(frozen=True)
class Moves:
    """Moves a control, by its key in the session."""

    key: str

    def done(self, seen: Seen) -> bool:
        """It stands elsewhere than when it was first seen."""
        now = seen.session.get(self.key, ABSENT)
        if now is ABSENT:
            return False
        return bool(seen.opening.values.setdefault(self.key, now) != now)


@dataclass(frozen=True)
class Brings:
    """Brings forth a text that the session keeps under a key."""

    key: str

    def done(self, seen: Seen) -> bool:
        """There is one, and another than when the station was opened."""
        now = seen.session.get(self.key, "")
        before = seen.opening.values.setdefault(self.key, now)
        return bool(now) and now != before


@dataclass(frozen=True)
class Station:
    """One stop: a page in a state, the one thing on it that matters, and what to do with it."""

    key: str
    title: str
    page: str
    """Its url_path."""
    points_at: str
    """A CSS selector of one element of the page."""
    says: str
    """What matters here, in a sentence or two."""
    asks: str
    """The one act, as a request."""
    act: Act
    query: Mapping[str, str] = field(default_factory=dict)
    """What the address says beyond the page."""
    shows: str = ""
    """The rung of which a run is looked at; empty: none is asked for."""

    @property
    def mark(self) -> str:
        """What a learner's progress calls it."""
        return f"station.{self.key}"
