"""From figures to estimates and pictures: what declarations are put together from."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from core.studies import findings
from core.studies.claims.claim import Arm, Estimate, Figures, Picture, Point, Series, Values

PAIRED = "t interval of differences paired by seed, {} seeds"
SEEDS = "t interval over {} seeds"


def by_seed(figures: Figures) -> dict[int, dict[str, Values]]:
    """Turn figures around: for each seed, what was measured of each arm."""
    found: dict[int, dict[str, Values]] = {}
    for arm, seeds in figures.items():
        for seed, values in seeds.items():
            found.setdefault(seed, {})[arm] = values
    return dict(sorted(found.items()))


def over_seeds(
    number: Callable[[Mapping[str, Values]], float], method: str = SEEDS
) -> Callable[[Figures], Estimate | None]:
    """Estimate the mean over seeds of a number that one seed's arms give; a seed that lacks something is left out."""

    def estimate(figures: Figures) -> Estimate | None:
        found: dict[int, float] = {}
        for seed, arms in by_seed(figures).items():
            try:
                value = number(arms)
            except (KeyError, ZeroDivisionError):
                continue
            if math.isfinite(value):
                found[seed] = value
        if not found:
            return None
        mean, half = mean_and_half(list(found.values()))
        return Estimate(mean, mean - half, mean + half, method.format(len(found)), len(found))

    return estimate


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Return a mean and half the width of its 95 % t interval, as the product's other findings do."""
    found = findings.Finding("", tuple(range(len(values))), tuple(values), None)
    return found.mean, found.half_width


def difference(name: str, new: str, old: str) -> Callable[[Figures], Estimate | None]:
    """Estimate what `new` has more of something than `old`, paired by seed."""
    return over_seeds(lambda arms: arms[new][name] - arms[old][name], PAIRED)


def level(name: str, arm: str) -> Callable[[Figures], Estimate | None]:
    """Estimate what an arm has of something."""
    return over_seeds(lambda arms: arms[arm][name])


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the line through points by least squares."""
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread


def point(x: float | str, values: Iterable[float]) -> Point | None:
    """Return the mean of values with its interval; None without any."""
    there = [value for value in values if math.isfinite(value)]
    return Point(x, *mean_and_half(there)) if there else None


def bars(figures: Figures, arms: Sequence[Arm], quantities: Mapping[str, str], y_title: str) -> Picture:
    """Draw quantities (by name, with their titles) of each arm."""
    series = []
    for name, title in quantities.items():
        each = [
            point(arm.title, (values[name] for values in figures.get(arm.key, {}).values() if name in values))
            for arm in arms
        ]
        series.append(Series(title, tuple(found for found in each if found), joined=False))
    return Picture("", y_title, tuple(series))


def lines(
    figures: Figures, groups: Mapping[str, Mapping[str, float]], name: str, x_title: str, y_title: str, x_log: bool
) -> Picture:
    """Draw a quantity against a number: for each title, which arm stands at which x."""
    series = []
    for title, places in groups.items():
        each = [
            point(x, (values[name] for values in figures.get(arm, {}).values() if name in values))
            for arm, x in places.items()
        ]
        series.append(Series(title, tuple(found for found in each if found)))
    return Picture(x_title, y_title, tuple(series), x_log=x_log)


def curve(figures: Figures, arm: str, name: str) -> list[tuple[float, list[float]]]:
    """Return what figures called NAME@X say at each X that all seeds have."""
    seeds = list(figures.get(arm, {}).values())
    places = sorted({float(key.partition("@")[2]) for values in seeds for key in values if key.startswith(f"{name}@")})
    found = [(x, [values[f"{name}@{x:g}"] for values in seeds if f"{name}@{x:g}" in values]) for x in places]
    return [(x, ys) for x, ys in found if len(ys) == len(seeds)]
