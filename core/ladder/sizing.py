"""Makes a rung's model about as large as asked for: the widths that it declares are changed until the count fits."""

import contextlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from pydantic import ValidationError

from core.errors import BardlabError
from core.ladder import registry
from core.ladder.rung import Rung
from core.models.contract import parameter_count
from core.models.footprint import weightless
from core.settings import Settings

NEAR = 0.05
"""The largest share of a target by which a size may miss it and still count as equal."""


@dataclass(frozen=True)
class Sized:
    """The configuration of a rung whose parameter count comes nearest to a target."""

    rung: Rung
    preset: str
    model: Settings
    parameters: int
    target: int

    @property
    def changed(self) -> dict[str, int]:
        """The widths that are not the preset's, with what they became."""
        return self.model.changes(self.rung.settings(self.preset, {}, {})[0])

    @property
    def off(self) -> float:
        """By what share of the target it is missed; below zero, the model is smaller."""
        return (self.parameters - self.target) / self.target

    @property
    def fits(self) -> bool:
        """True if it is near enough to be called equal."""
        return abs(self.off) <= NEAR

    @property
    def told(self) -> str:
        """How near it comes, such as `101,322 of 100,000`."""
        return f"{self.parameters:,} of {self.target:,}"


def parameters_of(rung: Rung, model: Settings, vocab_size: int) -> int:
    """Count the parameters of a model that is made without being allocated."""
    with weightless():
        return parameter_count(rung.build(model, vocab_size))


def sized(rung: Rung, preset: str, target: int, vocab_size: int) -> Sized:
    """Find the configuration nearest to `target` parameters by changing the rung's widths, all else as in the preset.

    All widths grow or shrink with the first; the others then make up for its steps, where a head's width or the like
    leaves it only some. A width that the preset has at 0 is a part switched off, and stays so. Raises BardlabError on
    an unknown preset or a target below 1.
    """
    if target < 1:
        raise BardlabError(f"{target:,} parameters are not accepted; give at least 1")
    return _sized(rung.key, preset, target, vocab_size)


@lru_cache(maxsize=256)
def _sized(rung_key: str, preset: str, target: int, vocab_size: int) -> Sized:
    rung = registry.get(rung_key)
    usual, _ = rung.settings(preset, {}, {})
    counts: dict[Settings, int] = {}

    def count(model: Settings) -> int:
        if model not in counts:
            counts[model] = parameters_of(rung, model, vocab_size)
        return counts[model]

    best = usual
    widths = [name for name in rung.widths if getattr(usual, name)]
    for place, name in enumerate(widths):
        low, high = _bounds(rung, name)
        grown = partial(_with, rung, best, name, widths[1:] if place == 0 else ())
        sizes = range(low, high + 1)
        at = bisect_left(sizes, target, key=lambda size: count(model) if (model := grown(size)) else 0)
        around = [model for size in sizes[max(0, at - 1) : at + 1] if (model := grown(size))]
        best = min([best, *around], key=lambda model: abs(count(model) - target))
    return Sized(rung, preset, best, count(best), target)


def _bounds(rung: Rung, name: str) -> tuple[int, int]:
    about = next(field for field in rung.config.fields() if field.name == name)
    return max(1, int(about.low or 1)), int(about.high or 1)


def _with(rung: Rung, model: Settings, name: str, others: Sequence[str], size: int) -> Settings | None:
    """Give a model a width, and other widths in proportion; the next smaller one where its other settings forbid it.

    None if none as small is allowed.
    """
    values = model.model_dump()
    bounds = {other: _bounds(rung, other) for other in others}
    for width in range(size, _bounds(rung, name)[0] - 1, -1):
        scaled = {
            other: min(max(values[other] * width // values[name], low), high) for other, (low, high) in bounds.items()
        }
        with contextlib.suppress(ValidationError):
            return rung.config.model_validate({**values, **scaled, name: width})
    return None
