"""What a changed setting is worth: paired differences between runs of the same seeds, with their uncertainty."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import BardlabError
from core.runs.folder import State
from core.runs.state import Run
from core.studies.differences import changes, differences, families, lineage

INTERVAL = 0.95
"""Share of such intervals that hold the true difference, if differences between seeds are normally distributed."""


def half_width(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the mean of values (n,): t(n - 1, 0.975) · s / √n (Student 1908).

    Infinite for fewer than two values.
    """
    n = len(values)
    if n < 2:
        return math.inf
    from scipy.special import stdtrit

    mean = sum(values) / n
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    return float(stdtrit(n - 1, (1 + INTERVAL) / 2)) * deviation / math.sqrt(n)


@dataclass(frozen=True)
class Finding:
    """What a change did to the validation loss, seed by seed."""

    change: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    """Nats a character, new minus old, one for each seed."""
    time_ratio: float | None
    """Wall time of the new runs over that of the old ones; None if they did not run on the same device."""

    @property
    def mean(self) -> float:
        """Mean difference in nats a character; below zero, the change made it better."""
        return sum(self.differences) / len(self.differences)

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval around the mean."""
        return half_width(self.differences)

    @property
    def trusted(self) -> bool:
        """True if the 95 % interval does not hold zero."""
        return abs(self.mean) > self.half_width

    @property
    def sentence(self) -> str:
        """The finding in one line."""
        n = len(self.seeds)
        if n == 1:
            result = f"{_signed(self.mean)} nats with one seed, which proves nothing yet: run it with more seeds"
        else:
            figures = f"{_signed(self.mean)} ± {self.half_width:.3f} nats over {n} seeds"
            result = figures if self.trusted else f"no difference you can trust ({figures})"
        return f"{self.change}: {result}{self._pace()}"

    def _pace(self) -> str:
        if self.time_ratio is None:
            return ""
        if self.time_ratio > 1.05:
            return f"; {self.time_ratio:.1f} times slower"
        return f"; {1 / self.time_ratio:.1f} times faster" if self.time_ratio < 0.95 else "; as fast"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def paired(old: Sequence[Run], new: Sequence[Run]) -> Finding | None:
    """Compare two families of finished runs, paired by seed; None if they share no seed or no text.

    The seed fixes the batches and, where the shapes agree, the initial weights, so taking the difference within each
    seed removes most of what chance does to both. Of the n differences d the finding gives the mean and the two-sided
    95 % interval mean ± t(n - 1, 0.975) · s(d) / √n (Student 1908), which assumes that they are normally distributed
    and is honest about few seeds: with two of them, t is 12.7. A difference whose interval holds zero is not trusted.
    The loss is the last one over the whole validation split. Runs on different texts are never compared.
    """
    before, after = _by_seed(old), _by_seed(new)
    seeds = sorted(before.keys() & after.keys())
    if not seeds or before[seeds[0]].need().corpus_sha256 != after[seeds[0]].need().corpus_sha256:
        return None
    losses = [(before[s].status.val_loss, after[s].status.val_loss) for s in seeds]
    found = tuple(b - a for a, b in losses if a is not None and b is not None)
    pairs = [(before[s], after[s]) for s in seeds]
    return Finding(changes(*pairs[0]), tuple(seeds), found, _time_ratio(pairs))


def _by_seed(family: Iterable[Run]) -> dict[int, Run]:
    done = (run for run in family if run.state is State.FINISHED and not run.damage and not run.broken)
    return {run.need().train.seed: run for run in done if _number(run.status.val_loss)}


def _number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _time_ratio(pairs: Sequence[tuple[Run, Run]]) -> float | None:
    if len({(s.device, s.device_name, s.precision) for pair in pairs for s in (r.status for r in pair)}) != 1:
        return None
    if any(run.status.seconds <= 0 for pair in pairs for run in pair):
        return None
    logs = [math.log(new.status.seconds / old.status.seconds) for old, new in pairs]
    return math.exp(sum(logs) / len(logs))


def findings(compared: Sequence[Run]) -> list[Finding]:
    """Return what each family's difference from the first is worth: from the parents' family, else the oldest one."""
    sorted_families = families(compared)
    if len(sorted_families) < 2:
        return []
    parents = {run.config.parent for run in compared if run.config}
    base = next((f for f in sorted_families if any(run.slug in parents for run in f)), sorted_families[0])
    others = (family for family in sorted_families if family is not base)
    return [finding for family in others if (finding := paired(base, family)) is not None]


def table(compared: Sequence[Run]) -> dict[str, Any]:
    """Everything about several runs as plain data: what differs, sentences, losses of one text, findings.

    Raises BardlabError if fewer than two runs are given or one of them is damaged.
    """
    if len(compared) < 2:
        raise BardlabError("give at least two runs to compare")
    rows = differences(compared)
    texts = {run.need().corpus_sha256 for run in compared}
    losses: Mapping[str, float | None] = {run.slug: run.status.val_loss for run in compared} if len(texts) == 1 else {}
    return {
        "runs": [run.slug for run in compared],
        "differences": rows,
        "sentences": lineage(compared),
        "val_loss": dict(losses),
        "findings": [
            {
                "change": f.change,
                "seeds": list(f.seeds),
                "differences": list(f.differences),
                "mean": f.mean,
                "half_width": f.half_width,
                "trusted": f.trusted,
                "time_ratio": f.time_ratio,
                "sentence": f.sentence,
            }
            for f in findings(compared)
        ],
    }
