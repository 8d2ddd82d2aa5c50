"""What a claim is: runs, a measure, the rule that was set before they ran, the words."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from core.ladder import registry
from core.runs.state import Run
from core.training.config import SPREAD

Values = Mapping[str, float]
"""What was measured of one run, by name."""
Figures = Mapping[str, Mapping[int, Values]]
"""What was measured in all, by arm and seed."""
FIRST_SEED = 1337


class Verdict(StrEnum):
    """What came of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    OPEN = "not enough seeds yet"


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: the settings of a run, trained once for each seed."""

    key: str
    title: str
    rung: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, and how that was found."""

    value: float
    low: float
    high: float
    method: str
    seeds: int


@dataclass(frozen=True)
class Criterion:
    """One thing that must be so: a number whose whole 95 % interval lies above one bound and below another."""

    what: str
    """What the number is, as a noun."""
    estimate: Callable[[Figures], Estimate | None]
    """None while nothing is known."""
    above: float = -math.inf
    below: float = math.inf
    unit: str = "nats"

    @property
    def wanted(self) -> str:
        """Where the interval must lie, in words."""
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.above):
            return f"below {_shown(self.below)}{unit}"
        if math.isinf(self.below):
            return f"above {_shown(self.above)}{unit}"
        return f"between {_shown(self.above)} and {_shown(self.below)}{unit}"

    def verdict(self, found: Estimate | None) -> Verdict:
        """Judge an estimate: inside, outside, or its interval holds a bound."""
        if found is None or not math.isfinite(found.low + found.high):
            return Verdict.OPEN
        if self.above < found.low and found.high < self.below:
            return Verdict.REPRODUCED
        outside = found.high <= self.above or found.low >= self.below
        return Verdict.NOT_REPRODUCED if outside else Verdict.OPEN


@dataclass(frozen=True)
class Finding:
    """A criterion with what was found."""

    criterion: Criterion
    estimate: Estimate | None

    @property
    def verdict(self) -> Verdict:
        """Whether the criterion is met."""
        return self.criterion.verdict(self.estimate)

    @property
    def number(self) -> str:
        """What was measured and the number, without its interval."""
        if self.estimate is None:
            return f"{self.criterion.what}: not measured yet"
        width = self.estimate.high - self.estimate.low
        shown = _shown(self.estimate.value, width if math.isfinite(width) else None)
        return f"{self.criterion.what}: {shown} {self.criterion.unit}".rstrip()

    @property
    def sentence(self) -> str:
        """The number, its interval and its method in one line."""
        what, found = f"{self.criterion.what[:1].upper()}{self.criterion.what[1:]}", self.estimate
        if found is None:
            return f"{what}: not measured yet."
        unit = f" {self.criterion.unit}" if self.criterion.unit else ""
        if not math.isfinite(found.low + found.high):
            return f"{what}: {_shown(found.value)}{unit} with one seed, which has no interval."
        width = found.high - found.low
        value, low, high = (_shown(number, width) for number in (found.value, found.low, found.high))
        return f"{what}: {value}{unit} (95 % interval {low} to {high}, {found.method})."


def _shown(value: float, width: float | None = None) -> str:
    """A number as people write it: a bound as short as it is, an estimate with the digits that its interval shows."""
    if width is None:
        text = f"{value:.3g}"
    else:
        text = f"{value:.{min(6, max(2, 2 - math.floor(math.log10(width)))) if width > 0 else 4}f}"
    return text.replace("-", "−")


@dataclass(frozen=True)
class Judgement:
    """What the figures say about a claim."""

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Reproduced if every criterion is met, not reproduced if one is surely not met."""
        verdicts = [finding.verdict for finding in self.findings]
        if Verdict.NOT_REPRODUCED in verdicts:
            return Verdict.NOT_REPRODUCED
        return Verdict.OPEN if Verdict.OPEN in verdicts else Verdict.REPRODUCED

    @property
    def deciding(self) -> Finding:
        """The finding that decides the verdict: the first that has it."""
        return next(each for each in self.findings if each.verdict is self.verdict)

    @property
    def sentence(self) -> str:
        """The verdict, and the finding that decides it."""
        return f"{self.verdict[:1].upper()}{self.verdict[1:]}. {self.deciding.sentence}"


@dataclass(frozen=True)
class Point:
    """A mean over seeds, with half the width of its 95 % interval (infinite with one seed)."""

    x: float | str
    y: float
    half: float


@dataclass(frozen=True)
class Series:
    """Points that belong together."""

    name: str
    points: tuple[Point, ...]
    joined: bool = True


@dataclass(frozen=True)
class Picture:
    """What a chart of a claim shows, without how it is drawn."""

    x_title: str
    y_title: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
    about: str = "Mean over the seeds; bars: its 95 % t interval."


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper, and how it is put to the test here."""

    key: str
    title: str
    year: int
    paper: str
    paper_url: str
    sentence: str
    """What the paper claims."""
    compared: str
    """What is trained and compared here."""
    arms: tuple[Arm, ...]
    criteria: tuple[Criterion, ...]
    """All must be met; set before the runs."""
    measure: Callable[[Run], Values]
    """Measure a finished run, beyond its losses, its seconds and its parameters."""
    picture: Callable[[Figures], Picture]
    thoughts: str = ""
    """What we think of what came out."""
    seeds: int = 3
    part: int = 0
    """Characters of the text, from its beginning, that are trained on; 0: all of it."""
    characters: int = 50_000
    """Characters that a text must have."""
    place: int = field(default=0, compare=False)
    """Where it stands among claims of one rung and year."""

    @property
    def rule(self) -> str:
        """What counts as reproduced, in words."""
        each = "; ".join(f"{criterion.what} {criterion.wanted}" for criterion in self.criteria)
        return f"Reproduced if the whole 95 % interval lies there: {each}. Not reproduced if one lies wholly outside."

    @property
    def fingerprint(self) -> str:
        """What decides the runs: figures of other settings are not this claim's."""
        arms = []
        for arm in self.arms:
            model, train = registry.get(arm.rung).settings(None, arm.model, arm.train)
            arms.append([arm.key, arm.rung, model.model_dump(), train.model_dump(exclude=set(SPREAD))])
        return hashlib.sha256(json.dumps([self.part, arms], sort_keys=True).encode()).hexdigest()[:16]

    def judge(self, figures: Figures) -> Judgement:
        """Apply the rule to what was measured."""
        return Judgement(tuple(Finding(each, each.estimate(figures)) for each in self.criteria))

    def run_seeds(self, count: int) -> list[int]:
        """The first so many seeds."""
        return [FIRST_SEED + i for i in range(count)]
