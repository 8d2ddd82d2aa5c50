"""Knock-outs: switch parts of a model off and measure what that costs on text it has never seen.

A knock-out is an intervention (core/inspect/trace.py): in the run that makes the prediction, what a part hands on is
replaced at its tap. By zero, which also takes away what the part says on average and may lead the rest where it has
never been; or by its mean over the evaluation set, which leaves the average and takes away only what depends on the
text (Wang et al. 2022, "Interpretability in the wild", section 2.2).

Letters: W windows, T positions in each, V vocabulary, K classes of characters.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import BardlabError
from core.inspect.evaluation_set import CLASSES, Doubles, EvaluationSet, evaluation_set
from core.inspect.trace import Intervention, intervening, trace
from core.ladder.registry import rungs_whose
from core.models.answers import Part, Where
from core.models.contract import LanguageModel
from core.sampling import SamplingConfig, generate
from core.texts.corpus import Corpus

Method = Literal["mean", "zero"]
METHODS: tuple[Method, ...] = ("mean", "zero")


@cache
def rungs() -> tuple[str, ...]:
    """List the rungs whose models have parts to switch off."""
    return rungs_whose(lambda model: model.parts())


def chosen(board: Sequence[Part], keys: Iterable[str]) -> list[Part]:
    """Return the parts with these addresses, in the board's order. Raises BardlabError naming those it lacks."""
    wanted = set(keys)
    if lacking := wanted - {part.key for part in board}:
        raise BardlabError(f"this model has no part {', '.join(sorted(lacking))}; choose some on the board")
    return [part for part in board if part.key in wanted]


@torch.no_grad()
def means(model: LanguageModel, data: EvaluationSet, board: Sequence[Part]) -> dict[str, Tensor]:
    """Average what passes the board's taps over windows and positions: (1, 1, C), (1, H, 1, D) or (1, C) each."""
    names = tuple(dict.fromkeys(tap for part in board if part.fixed is None for tap in part.taps))
    total: dict[str, Tensor] = {}
    for rows in data.batches():
        share = len(data.inputs[rows]) / len(data.inputs)
        for name, x in trace(model, data.inputs[rows], names).activations.items():
            axes = (0, -2) if x.ndim > 2 else (-2,)  # (B, T, C), (B, H, T, D) or (T, C)
            total[name] = total.get(name, torch.zeros(())) + share * x.mean(axes, keepdim=True)
    return total


def interventions(off: Sequence[Part], filling: Mapping[str, Tensor] | None = None) -> dict[str, Intervention]:
    """Switch parts off: by the means `filling`, shaped as `means` gives them, or by zero where there are none."""
    changes: dict[str, list[tuple[Where, Tensor | float]]] = {}
    for part in off:
        for tap, fixed in zip(part.taps, part.fixed or [None] * len(part.taps), strict=True):
            value: Tensor | float = 0.0 if fixed is None else fixed
            if fixed is None and filling is not None:
                value = filling[tap][part.where]
            changes.setdefault(tap, []).append((part.where, value))
    return {tap: _filling(slices) for tap, slices in changes.items()}


def _filling(slices: Sequence[tuple[Where, Tensor | float]]) -> Intervention:
    def fill(x: Tensor) -> Tensor:
        x = x.clone()
        for where, value in slices:
            x[where] = value
        return x

    return fill


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none").view_as(targets)


@torch.no_grad()
def losses(model: LanguageModel, data: EvaluationSet, changes: Mapping[str, Intervention] | None = None) -> Tensor:
    """Return the loss (W, T) of every target, in nats, with interventions at work."""
    model.eval()
    with intervening(model, changes or {}):
        batches = [_cross_entropy(model(data.inputs[rows]), data.targets[rows]) for rows in data.batches()]
    return torch.cat(batches)


def by_class(losses: Tensor, classes: Tensor) -> Doubles:
    """Sum losses (W, T) over the targets of each class: (W, K)."""
    sums = torch.zeros(len(losses), len(CLASSES), dtype=torch.float64)
    by_kind: Doubles = sums.scatter_add_(1, classes, losses.cpu().double()).numpy()
    return by_kind


@dataclass(frozen=True)
class Effect:
    """What a knock-out does to the loss."""

    delta: float
    """Change of the mean loss, nats a character; positive: the part was of use."""
    se: float
    """Its standard error over windows; NaN if there is only one."""
    classes: Mapping[str, tuple[float, float]]
    """The same for the characters of each class that occurs."""
    windows: Doubles = field(repr=False)
    """(W,) the change in each window."""


def mean_and_se(sums: Doubles, counts: Doubles) -> tuple[float, float]:
    """Return the mean of a quantity and its standard error, given its sum and count in each window (W,) each.

    Windows, not characters, are taken for independent. With equal counts this is the standard deviation of the
    windows' means over √W; else the ratio estimator's (Cochran 1977, section 6.3).
    """
    n, of = len(sums), float(counts.sum())
    mean = float(sums.sum()) / of
    rest = sums - mean * counts  # (W,)
    return mean, float(np.sqrt(n / (n - 1) * (rest**2).sum()) / of) if n > 1 else float("nan")


def effect(base: Doubles, changed: Doubles, counts: Doubles) -> Effect:
    """Compare the losses of the same windows with and without a part, each summed by class (W, K)."""
    paired = changed - base  # (W, K)
    classes = {name: mean_and_se(paired[:, k], counts[:, k]) for k, name in enumerate(CLASSES) if counts[:, k].sum()}
    delta, se = mean_and_se(paired.sum(1), counts.sum(1))
    return Effect(delta, se, classes, paired.sum(1) / counts.sum(1))


@dataclass(frozen=True)
class Ranked:
    """The effects of all parts, each switched off alone, on the windows looked at so far."""

    base: float
    """The loss with nothing switched off."""
    windows: int
    effects: Mapping[str, Effect]
    """By the parts' addresses."""


def unmeasured(data: EvaluationSet, board: Sequence[Part]) -> Doubles:
    """Return the sums (1 + parts, W, K) of a ranking that has not begun: NaN throughout."""
    return np.full((1 + len(board), len(data.inputs), len(CLASSES)), np.nan)


@torch.no_grad()
def rank(
    model: LanguageModel, data: EvaluationSet, board: Sequence[Part], method: Method, sums: Doubles | None = None
) -> Iterator[tuple[float, Ranked | None]]:
    """Switch off every part alone. Yields the share that is done, and after each batch of windows what is known.

    What lies before a part's layer does not change without it, so it is computed once and each run begins there.
    `sums` (1 + parts, W, K) is filled on the way: the losses by class with everything on, then without each part. What
    is in it already, from a ranking of the same things that was ended, is not measured again.
    """
    sums = unmeasured(data, board) if sums is None else sums
    filling = means(model, data, board) if method == "mean" else None
    changes = [(part, interventions([part], filling)) for part in board]
    counts = data.counts()
    for rows in data.batches():
        x, y, kinds = data.inputs[rows], data.targets[rows], data.classes[rows]
        n_windows = rows.start + len(x)
        if n_windows < len(data.inputs) and not np.isnan(sums[:, rows]).any():
            continue
        whole = trace(model, x, tuple(model.stream()))
        sums[0, rows] = by_class(_cross_entropy(whole.logits, y), kinds)
        for n, (part, change) in enumerate(changes, 1):
            if np.isnan(sums[n, rows]).any():
                begin = _beginning(model, part.layer, whole.activations)
                with intervening(model, change):
                    logits = begin() if begin else model(x)  # (B, T, V)
                sums[n, rows] = by_class(_cross_entropy(logits, y), kinds)
                yield (rows.start + n / len(changes) * len(x)) / len(data.inputs), None
        yield n_windows / len(data.inputs), _ranked(board, sums[:, :n_windows], counts[:n_windows])


def _ranked(board: Sequence[Part], sums: Doubles, counts: Doubles) -> Ranked:
    """Turn the sums (1 + parts, W, K) over windows that are all known into effects."""
    effects = {part.key: effect(sums[0], without, counts) for part, without in zip(board, sums[1:], strict=True)}
    return Ranked(float(sums[0].sum() / counts.sum()), len(counts), effects)


def _beginning(
    model: LanguageModel, layer: int | None, activations: Mapping[str, Tensor]
) -> Callable[[], Tensor] | None:
    """Return the run from `layer` on, on what an earlier run had before it; None if the model cannot begin there."""
    if not layer or not (stream := model.stream()):
        return None
    before = activations[stream[layer]]  # (B, T, C)
    return lambda: model.onward(before, layer)


class Bench:
    """A model with its evaluation set and its board: everything that a visitor may switch off and look at."""

    def __init__(self, model: LanguageModel, corpus: Corpus) -> None:
        self.model = model
        self.board = model.parts()
        self.data = evaluation_set(model, corpus)
        self.counts = self.data.counts()
        self.base = by_class(losses(model, self.data), self.data.classes)
        self._means: dict[str, Tensor] | None = None

    @property
    def loss(self) -> float:
        """The loss on the evaluation set with everything switched on, nats a character."""
        return float(self.base.sum() / self.counts.sum())

    def changes(self, keys: Sequence[str], method: Method) -> dict[str, Intervention]:
        """Return the interventions that switch these parts off. Raises BardlabError naming those it lacks."""
        if method == "mean" and self._means is None:
            self._means = means(self.model, self.data, self.board)
        return interventions(chosen(self.board, keys), self._means if method == "mean" else None)

    def effect(self, keys: Sequence[str], method: Method) -> Effect:
        """Measure what switching these parts off together does."""
        changed = losses(self.model, self.data, self.changes(keys, method))
        return effect(self.base, by_class(changed, self.data.classes), self.counts)

    def sample(self, prompt: list[int], config: SamplingConfig, keys: Sequence[str], method: Method) -> list[int]:
        """Write on from a prompt, at least one id, without these parts."""
        with intervening(self.model, self.changes(keys, method)):
            return [choice.id for choice in generate(self.model, prompt, config)]


def redundancy(together: Effect, alone: Sequence[Effect]) -> tuple[float, float]:
    """Return by how much parts cost more together than the sum of what each costs alone, and its standard error.

    Positive: each covers for the other, and alone looks cheaper than it is. Negative: they do one job in a row.
    """
    extra = together.windows - np.sum([each.windows for each in alone], axis=0)  # (W,)
    return mean_and_se(extra, np.ones_like(extra))
