"""Which heads take over from those that are off: what each does and is worth since the wound, beside its twin's.

Letters: S moments, H heads that were left on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.inspect import history
from core.inspect.heads import KINDS
from core.inspect.history import Portrait
from core.inspect.interventions import price_list
from core.inspect.interventions.price_list import PriceList
from core.runs import layout
from core.runs.state import Run
from core.studies.healing import METHOD, Healing, Takeover, heads

PRICED = 5
"""Snapshots at which all heads are priced, spread evenly over those that both runs have kept."""
PRICE = "price"
LEADERS = 4
"""Heads that are named."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Careers:
    """One quantity of each head along the snapshots since the wound."""

    key: str
    title: str
    help: str
    steps: tuple[int, ...]
    """(S,) since the wound."""
    heads: tuple[str, ...]
    """(H,) their addresses, such as `2.0`."""
    healed: Array
    """(S, H) in the wounded run."""
    twin: Array
    """(S, H) in the untouched one."""
    lost: Mapping[str, float]
    """The same of each head that is off, in the twin at the first moment: what there is to take over."""
    errors: tuple[Array, Array] | None = None
    """The standard errors (S, H) of both, if they are known."""

    @property
    def apart(self) -> Array:
        """(S, H) healed less twin."""
        return self.healed - self.twin

    @property
    def leaders(self) -> list[str]:
        """The heads that gained most over their twins at the last moment, the first one first."""
        return [self.heads[at] for at in np.argsort(-np.nan_to_num(self.apart[-1], nan=-np.inf), kind="stable")]

    def at(self, head: str) -> int:
        """Return a head's place."""
        return self.heads.index(head)


def moments(healing: Healing) -> list[int]:
    """Return the steps since the wound of which both runs have kept the weights."""
    kept = [layout.snapshot_steps(run.path) for run in (healing.wounded, healing.twin)]
    return sorted(set(kept[0]) & set(kept[1]))


def to_price(healing: Healing) -> list[tuple[Run, int | None]]:
    """Return the weights of both runs at which heads are priced, in the order of the steps; None for the newest."""
    kept = moments(healing)
    if not kept:
        return []
    places = np.unique(np.linspace(0, len(kept) - 1, PRICED).round().astype(int))
    steps = [kept[at] for at in places]
    return [(run, _newest(run, step)) for step in steps for run in (healing.wounded, healing.twin)]


def _newest(run: Run, step: int) -> int | None:
    """Return None for the step of the newest weights, whose price list is then that of the knock-out board."""
    return None if step == run.status.checkpoint_step else step


def roles(healing: Healing, healed: Sequence[Portrait], twin: Sequence[Portrait]) -> list[Careers]:
    """Follow how far each head does each thing; `healed` and `twin` are (S,) portraits at the same moments.

    Empty without attention scores, which need the run's text.
    """
    left, kinds = _left(healing), {kind.key for kind in KINDS}
    steps = tuple(portrait.step for portrait in healed)
    characters = healing.wounded.need().characters
    found = []
    for mine, theirs in zip(history.careers(healed, characters), history.careers(twin, characters), strict=True):
        if mine.key not in kinds or np.isnan(mine.values).all():
            continue
        columns = [mine.lines.index(head) for head in left]
        lost = {head: float(theirs.values[0, theirs.lines.index(head)]) for head in healing.off}
        pair = mine.values[:, columns], theirs.values[:, columns]
        found.append(Careers(mine.key, mine.title, mine.help, steps, left, *pair, lost))
    return found


def first_role(found: Sequence[Careers]) -> str:
    """Return the key of what the heads that are off did most; what is done at one's own place says least."""
    others = [each for each in found if each.key != "self"]
    return max(others, key=lambda each: sum(each.lost.values())).key


def prices(healing: Healing) -> Careers | None:
    """Follow what each head is worth, at the moments at which all are priced in both runs; None if there is none."""
    listed: dict[int, list[PriceList]] = {}
    for run, step in to_price(healing):
        known = price_list.read(run, step, METHOD)
        if known is not None and known.whole:
            listed.setdefault(run.status.checkpoint_step or 0 if step is None else step, []).append(known)
    both = {step: lists for step, lists in sorted(listed.items()) if len(lists) == 2}
    if not both:
        return None
    left, first = _left(healing), next(iter(both.values()))[1].parts
    healed, twin = (np.array([[p[n].parts[key].delta for key in left] for p in both.values()]) for n in (0, 1))
    errors = tuple(np.array([[p[n].parts[key].se for key in left] for p in both.values()]) for n in (0, 1))
    return Careers(
        PRICE,
        "price",
        "What the loss rises, nats a character, when that head alone is off too, by zero.",
        tuple(both),
        left,
        healed,
        twin,
        {head: first[head].delta for head in healing.off},
        (errors[0], errors[1]),
    )


def takeovers(found: Careers) -> list[Takeover]:
    """Return what each head is worth at the first and the last moment, those first that gained most over the twin."""
    if found.errors is None:
        return []
    mine, theirs = found.errors

    def one(head: str) -> Takeover:
        at = found.at(head)
        first, last, twin = found.healed[0, at], found.healed[-1, at], found.twin[-1, at]
        before, after, beside = mine[0, at], mine[-1, at], theirs[-1, at]
        return Takeover(head, (float(first), float(before)), (float(last), float(after)), (float(twin), float(beside)))

    return [one(head) for head in found.leaders]


def _left(healing: Healing) -> tuple[str, ...]:
    return tuple(head for head in heads(healing.wounded) if head not in healing.off)


def told(found: Careers) -> str:
    """Say in two sentences what the heads that went did, and which of the others do more of it than their twins."""
    last, steps, digits = len(found.steps) - 1, found.steps[-1], 4 if found.errors else 3
    ends = found.apart[last]
    low, high = np.nanpercentile(ends, (25, 75))
    named = []
    for head in found.leaders[:2]:
        at = found.at(head)
        if ends[at] > 0:
            here, there = found.healed[last, at], found.twin[last, at]
            named.append(f"head {head}, {ends[at]:+.{digits}f} ({here:.{digits}f} against {there:.{digits}f})")
    went = " and ".join(f"head {head} at {value:.{digits}f}" for head, value in list(found.lost.items())[:3])
    more = f" and {len(found.lost) - 3} more" if len(found.lost) > 3 else ""
    gained = f"most above their twins: {', and '.join(named)}" if named else "no head is above its twin"
    return (
        f"What went, of “{found.title}”: {went}{more}. {steps:,} steps later, {gained}. Half of all heads lie between "
        f"{low:+.{digits}f} and {high:+.{digits}f} of their twins."
    )
