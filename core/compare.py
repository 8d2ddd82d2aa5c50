"""What differs between runs, and what the difference is worth: settings, findings with their uncertainty, fits."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import runs, speed
from core.corpus import available
from core.errors import BardlabError
from core.runs import Run, State

SEED = "train.seed"
INTERVAL = 0.95
"""Share of such intervals that hold the true difference, if differences between seeds are normally distributed."""
ARROW = "→"
MACHINE = ("device", "number format")
"""What a run was computed on and in: a difference that is told, but no setting to label a run by."""


def settings(run: Run) -> dict[str, Any]:
    """Return everything that was chosen for a run, by dotted name: rung, text, device, model.*, train.*.

    Raises BardlabError if the run is damaged.
    """
    config = run.need()
    found: dict[str, Any] = {"rung": config.stage, "text": config.corpus, "device": run.status.device or config.device}
    found |= {f"model.{name}": value for name, value in config.model_config_.model_dump().items()}
    return found | {f"train.{name}": value for name, value in config.train.model_dump().items()}


def differences(compared: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs: for each its value in every run, None for none."""
    each = [settings(run) for run in compared]
    if all(run.status.device_name and run.status.precision for run in compared):  # older runs do not tell
        each = [
            {**one, "device": run.status.device_name, "number format": run.status.precision}
            for one, run in zip(each, compared, strict=True)
        ]
    names = dict.fromkeys(name for one in each for name in one)
    rows = {name: [one.get(name) for one in each] for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values[1:])}


def shown(value: object) -> str:
    """A setting's value as people write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) and not value.strip() else str(value)


def changes(old: Run, new: Run) -> str:
    """Return what `new` has different, such as `n_head 4 → 8, seed 1337 → 1338`; empty if nothing."""
    parts, titles = [], available()
    for name, (before, after) in differences([old, new]).items():
        if name == "text":
            before, after = titles.get(before, before), titles.get(after, after)
        parts.append(f"{name.split('.')[-1]} {shown(before)} {ARROW} {shown(after)}")
    return ", ".join(parts[:6]) + (f" and {len(parts) - 6} more" if len(parts) > 6 else "")


def against(new: Run, old: Run) -> str:
    """Return one sentence on what `new` has different from `old`."""
    if old.stage != new.stage:
        return f"another rung than {old.name}: {old.need().rung.title} {ARROW} {new.need().rung.title}"
    what = changes(old, new)
    return f"{what}, everything else as in {old.name}" if what else f"the same settings and seed as {old.name}"


def against_parent(run: Run) -> str | None:
    """Return one sentence on what a run has different from the run it was made from; None if it was made from none."""
    parent = run.config.parent if run.config else None
    if run.damage or not parent:
        return None
    try:
        return against(run, runs.find(parent))
    except BardlabError:
        return f"made from {parent}, which is no longer here or cannot be read"


def lineage(compared: Sequence[Run]) -> dict[str, str]:
    """Return one sentence for each run, by slug: against its parent, else against the first run that has none."""
    parents = {run.config.parent for run in compared if run.config}
    roots = sorted((r for r in compared if not against_parent(r)), key=lambda r: r.slug not in parents)
    found = {}
    for run in compared:
        sentence = against_parent(run)
        if sentence is None and run.slug != roots[0].slug:
            sentence = against(run, roots[0])
        if sentence is not None:
            found[run.slug] = sentence
    return found


def labels(compared: Sequence[Run]) -> dict[str, str]:
    """Return a label for each run, by slug, that says what sets it apart if one or two settings do."""
    rows = {name: values for name, values in differences(compared).items() if name not in MACHINE} if compared else {}
    if not 1 <= len(rows) <= 2:
        return {run.slug: run.name for run in compared}
    told = [", ".join(f"{n.split('.')[-1]} {shown(v[i])}" for n, v in rows.items()) for i in range(len(compared))]
    return {run.slug: f"{run.name} ({what})" for run, what in zip(compared, told, strict=True)}


# --- findings --------------------------------------------------------------------------------------------------------


def key(run: Run) -> str:
    """Return what two runs share that differ by nothing but the seed (and the device)."""
    return json.dumps({n: v for n, v in settings(run).items() if n not in (SEED, "device")}, sort_keys=True)


def families(compared: Iterable[Run]) -> list[list[Run]]:
    """Sort runs into families that differ by nothing but the seed, the oldest family first, each by seed."""
    found: dict[str, list[Run]] = {}
    for run in sorted((r for r in compared if not r.damage), key=lambda r: r.need().created):
        found.setdefault(key(run), []).append(run)
    return [sorted(family, key=lambda r: r.need().train.seed) for family in found.values()]


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
    done = (run for run in family if run.state is State.FINISHED and not run.damage)
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


# --- loss against cost -----------------------------------------------------------------------------------------------


def flops_per_step(run: Run) -> float:
    """Floating-point operations of one training step of a run, counted on its model. Raises BardlabError on damage."""
    config = run.need()
    return speed.cost(config.rung, config.model_config_, config.train, len(config.characters)).flops_per_step


@dataclass(frozen=True)
class PowerLaw:
    """Loss = factor · x^-exponent, a straight line on two logarithmic axes."""

    exponent: float
    uncertainty: float
    """Half the width of the exponent's 95 % interval."""
    factor: float
    points: int
    _mean_log: float
    _spread: float
    _residual: float

    @property
    def sentence(self) -> str:
        """The fit in one line."""
        trusted = abs(self.exponent) > self.uncertainty
        told = (
            f"loss falls as the power {self.exponent:.3f} ± {self.uncertainty:.3f}" if trusted else "no trend to trust"
        )
        return (
            f"{told} ({self.points} runs)"
            if trusted
            else (f"{told}: exponent {self.exponent:.3f} ± {self.uncertainty:.3f} ({self.points} runs)")
        )

    def at(self, x: float) -> tuple[float, float, float]:
        """Return the fitted loss at `x`, and the ends of its 95 % band."""
        from scipy.special import stdtrit

        middle = math.log(self.factor) - self.exponent * math.log(x)
        off = (math.log(x) - self._mean_log) ** 2 / self._spread
        half = float(stdtrit(self.points - 2, (1 + INTERVAL) / 2)) * self._residual * math.sqrt(1 / self.points + off)
        return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def power_law(xs: Sequence[float], losses: Sequence[float]) -> PowerLaw | None:
    """Fit loss = a · x^-b by least squares on the logarithms (xs and losses (n,), positive); None below three costs.

    The interval is that of the slope, t(n - 2, 0.975) times its standard error: it holds if the scatter around the line
    is even and normal, which runs of very different recipes are not.
    """
    points = [(math.log(x), math.log(y)) for x, y in zip(xs, losses, strict=True) if x > 0 and y > 0]
    if len({round(x, 6) for x, _ in points}) < 3:
        return None
    from scipy.special import stdtrit
    from scipy.stats import linregress

    logs, heights = [x for x, _ in points], [y for _, y in points]
    fit = linregress(logs, heights)
    n, mean = len(points), sum(logs) / len(points)
    spread = sum((x - mean) ** 2 for x in logs)
    residual = math.sqrt(sum((y - fit.intercept - fit.slope * x) ** 2 for x, y in points) / (n - 2))
    uncertainty = float(stdtrit(n - 2, (1 + INTERVAL) / 2)) * float(fit.stderr)
    return PowerLaw(-float(fit.slope), uncertainty, math.exp(float(fit.intercept)), n, mean, spread, residual)


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
