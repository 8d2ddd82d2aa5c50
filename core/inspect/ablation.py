"""Knock-outs: switch parts of a model off and measure what that costs on text it has never seen.

A knock-out is an intervention (core/inspect/trace.py): in the run that makes the prediction, what a part hands on is
replaced at its tap. By zero, which also takes away what the part says on average and may lead the rest where it has
never been; or by its mean over the evaluation set, which leaves the average and takes away only what depends on the
text (Wang et al. 2022, "Interpretability in the wild", section 2.2).

Letters: W windows, T positions in each, V vocabulary, K classes of characters.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.corpus import Corpus, text_classes
from core.errors import BardlabError
from core.evaluation import evaluation_window
from core.inspect.trace import Intervention, intervening, trace
from core.models.contract import LanguageModel
from core.models.mlp import MLP
from core.models.residual import ResidualNet
from core.models.transformer import Transformer
from core.models.wavenet import WaveNet

Method = Literal["mean", "zero"]
METHODS: tuple[Method, ...] = ("mean", "zero")
CLASSES = ("speaker name", "capital", "vowel", "consonant", "space", "newline", "punctuation", "digit")
CHARACTERS = 8192
"""The size of the evaluation set: large enough for standard errors far below what a useful head is worth."""
AT_ONCE = 2048  # characters a batch, as in core/evaluation.py

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Something that can be switched off."""

    key: str
    """Its address, such as 0.2 (head 2 of layer 0), 3.mlp or pos."""
    title: str
    row: str
    column: str
    """Where it stands on the board."""
    taps: tuple[str, ...]
    """The taps at which what it hands on is replaced."""
    where: tuple[slice | int | EllipsisType, ...] = (...,)
    """Which slice of what passes there is its own."""
    layer: int | None = None
    """The layer before which its absence changes nothing; None if everything may change."""
    fixed: tuple[float, ...] | None = None
    """For each tap what stands there when it is off, whatever the method."""


def parts(model: LanguageModel) -> list[Part]:
    """List what can be switched off in a model, in the order of the board. Empty for a rung without parts."""
    match model:
        case Transformer():
            return [*_blocks(model), *_positions(model)]
        case WaveNet():
            return _wavenet_layers(model)
        case ResidualNet():
            return [*_residual_layers(model), *_seen(model.context, model.config.d_embed)]
        case MLP():
            hidden = [
                _whole(f"{i}.layer", f"hidden layer {i}", i, "layer", f"hidden.{i}.act")
                for i in range(len(model.hidden))
            ]
            return [*hidden, *_seen(model.context, model.config.d_embed)]
    return []


def _whole(key: str, title: str, layer: int, column: str, tap: str) -> Part:
    return Part(key, title, f"layer {layer}", column, (tap,), layer=layer)


def _blocks(model: Transformer) -> Iterator[Part]:
    for i in range(model.config.n_layer):
        at, row = f"blocks.{i}.", f"layer {i}"
        for h in range(model.config.n_head):
            where = (slice(None), h)
            yield Part(f"{i}.{h}", f"head {h} of layer {i}", row, f"head {h}", (at + "attention.z",), where, i)
        yield _whole(f"{i}.mlp", f"the feed-forward layer of layer {i}", i, "MLP", at + "mlp_out")
        yield _whole(f"{i}.attn_skip", f"the skip around layer {i}'s attention", i, "skip: attn", at + "attn_skip")
        yield _whole(f"{i}.mlp_skip", f"the skip around layer {i}'s MLP", i, "skip: MLP", at + "mlp_skip")


def _positions(model: Transformer) -> Iterator[Part]:
    """Position vectors are replaced like all else; rotary turns are left undone, at every layer, by either method."""
    kind = model.config.positions
    if kind == "rotary":
        taps = [f"blocks.{i}.attention.rot_{f}" for i in range(model.config.n_layer) for f in ("cos", "sin")]
        fixed = (1.0, 0.0) * model.config.n_layer
        yield Part("pos", "the positions (rotary turns)", "input", "positions", tuple(taps), fixed=fixed)
    elif kind != "none":
        yield Part("pos", f"the positions ({kind} vectors)", "input", "positions", ("pos_embed",))


def _wavenet_layers(model: WaveNet) -> list[Part]:
    found = []
    for i in range(len(model.layers)):
        at, last = f"layers.{i}.", i == len(model.layers) - 1
        found.append(_whole(f"{i}.layer", f"all that layer {i} finds", i, "layer", at + "z"))
        if model.gated:
            found.append(
                _whole(f"{i}.skip_out", f"what layer {i} sends straight to the end", i, "to the end", at + "skip_out")
            )
        if model.gated and not last:  # nothing listens to what the last layer hands on upwards
            found.append(_whole(f"{i}.branch", f"what layer {i} adds", i, "branch", at + "branch_out"))
            found.append(_whole(f"{i}.skip", f"the skip around layer {i}", i, "skip", at + "resid_skip"))
    return found


def _residual_layers(model: ResidualNet) -> Iterator[Part]:
    for i in range(model.config.depth):
        yield _whole(f"{i}.branch", f"what layer {i} adds", i, "branch", f"layers.{i}.branch_out")
        if model.config.skip > 0:
            yield _whole(f"{i}.skip", f"the skip around layer {i}", i, "skip", f"layers.{i}.resid_skip")


def _seen(context: int, d_embed: int) -> Iterator[Part]:
    for back in range(context):
        end = (context - back) * d_embed
        title = f"the character {back} back" if back else "the current character"
        where = (..., slice(end - d_embed, end))
        yield Part(f"back.{back}", title, "input", f"{back} back" if back else "current", ("seen",), where)


def chosen(board: Sequence[Part], keys: Iterable[str]) -> list[Part]:
    """Return the parts with these addresses, in the board's order. Raises BardlabError naming those it lacks."""
    wanted = set(keys)
    if lacking := wanted - {part.key for part in board}:
        raise BardlabError(f"this model has no part {', '.join(sorted(lacking))}; choose some on the board")
    return [part for part in board if part.key in wanted]


# --- the evaluation set ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluationSet:
    """Windows of the validation split, spread evenly over it: a part of those that the one evaluation goes through."""

    inputs: Tensor
    """(W, T) ids."""
    targets: Tensor
    """(W, T) the next characters."""
    classes: Tensor
    """(W, T) int64, what kind of character each target is: an index into CLASSES."""

    def counts(self) -> Doubles:
        """Return how many targets of each class are in each window (W, K)."""
        counts: Doubles = F.one_hot(self.classes, len(CLASSES)).sum(1).double().numpy()
        return counts

    def batches(self) -> Iterator[slice]:
        """Yield rows to run at once."""
        rows = max(1, AT_ONCE // self.inputs.shape[1])
        return (slice(i, i + rows) for i in range(0, len(self.inputs), rows))


def evaluation_set(model: LanguageModel, corpus: Corpus, characters: int = CHARACTERS) -> EvaluationSet:
    """Choose windows of about `characters` characters in all, at least two.

    Raises BardlabError if the model knows other characters than the text, or the text is too short.
    """
    if model.vocab_size != corpus.tokenizer.size:
        raise BardlabError(f"the text {corpus.name!r} has changed since this model was trained; choose another run")
    ids = corpus.val_ids
    window = min(evaluation_window(model), (len(ids) - 1) // 2)
    there = (len(ids) - 1) // window if window else 0
    if there < 2:
        raise BardlabError(f"the validation split of {corpus.name!r} is too short to measure on; choose a longer text")
    take = max(2, min(there, characters // window))
    starts = torch.arange(take) * there // take * window  # (W,)
    at = starts[:, None] + torch.arange(window)  # (W, T)
    names = {name: i for i, name in enumerate(CLASSES)}
    cut = max(0, corpus.split - 200)  # so that the split's first line is seen whole
    classes = torch.tensor([names[c] for c in text_classes(corpus.text[cut:])[corpus.split - cut :]])  # (N,)
    return EvaluationSet(ids[at], ids[at + 1], classes[at + 1])


# --- switching off ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def means(model: LanguageModel, data: EvaluationSet, board: Sequence[Part]) -> dict[str, Tensor]:
    """Average what passes through the board's taps over the evaluation set: over windows and positions, kept as 1."""
    names = tuple(dict.fromkeys(tap for part in board if part.fixed is None for tap in part.taps))
    total: dict[str, Tensor] = {}
    for rows in data.batches():
        share = len(data.inputs[rows]) / len(data.inputs)
        for name, x in trace(model, data.inputs[rows], names).activations.items():
            axes = (0, -2) if x.ndim > 2 else (-2,)  # (B, T, C), (B, H, T, D) or (T, C)
            total[name] = total.get(name, torch.zeros(())) + share * x.mean(axes, keepdim=True)
    return total


def interventions(off: Sequence[Part], filling: Mapping[str, Tensor] | None = None) -> dict[str, Intervention]:
    """Switch parts off: by the means `filling`, or by zero where there are none."""
    changes: dict[str, list[tuple[tuple[slice | int | EllipsisType, ...], Tensor | float]]] = {}
    for part in off:
        for tap, fixed in zip(part.taps, part.fixed or [None] * len(part.taps), strict=True):
            value: Tensor | float = 0.0 if fixed is None else fixed
            if fixed is None and filling is not None:
                value = filling[tap][part.where]
            changes.setdefault(tap, []).append((part.where, value))
    return {tap: _filling(slices) for tap, slices in changes.items()}


def _filling(slices: Sequence[tuple[tuple[slice | int | EllipsisType, ...], Tensor | float]]) -> Intervention:
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
        found = [_cross_entropy(model(data.inputs[rows]), data.targets[rows]) for rows in data.batches()]
    return torch.cat(found)


def by_class(losses: Tensor, classes: Tensor) -> Doubles:
    """Sum losses (W, T) over the targets of each class: (W, K)."""
    sums = torch.zeros(len(losses), len(CLASSES), dtype=torch.float64)
    found: Doubles = sums.scatter_add_(1, classes, losses.double()).numpy()
    return found


# --- what it costs ---------------------------------------------------------------------------------------------------


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


@torch.no_grad()
def rank(
    model: LanguageModel, data: EvaluationSet, board: Sequence[Part], method: Method
) -> Iterator[tuple[float, Ranked | None]]:
    """Switch off every part alone. Yields the share that is done, and after each batch of windows what is known.

    What lies before a part's layer does not change without it, so it is computed once and each run begins there.
    """
    filling = means(model, data, board) if method == "mean" else None
    changes = [(part, interventions([part], filling)) for part in board]
    counts = data.counts()
    base: list[Doubles] = []
    without: dict[str, list[Doubles]] = {part.key: [] for part in board}
    for rows in data.batches():
        x, y, kinds = data.inputs[rows], data.targets[rows], data.classes[rows]
        whole = trace(model, x, "*.resid_post")
        base.append(by_class(_cross_entropy(whole.logits, y), kinds))
        for n, (part, change) in enumerate(changes, 1):
            begin = _beginning(model, part.layer, whole.activations)
            with intervening(model, change):
                logits = begin() if begin else model(x)  # (B, T, V)
            without[part.key].append(by_class(_cross_entropy(logits, y), kinds))
            yield (rows.start + n / len(changes) * len(x)) / len(data.inputs), None
        before, n_windows = np.concatenate(base), sum(map(len, base))
        effects = {k: effect(before, np.concatenate(v), counts[:n_windows]) for k, v in without.items()}
        yield n_windows / len(data.inputs), Ranked(float(before.sum() / counts[:n_windows].sum()), n_windows, effects)


def _beginning(
    model: LanguageModel, layer: int | None, activations: Mapping[str, Tensor]
) -> Callable[[], Tensor] | None:
    """Return the run from `layer` on, on what an earlier run had before it; None if the model cannot begin there."""
    if not layer or not isinstance(model, Transformer | ResidualNet):
        return None
    stack = "blocks" if isinstance(model, Transformer) else "layers"
    before = activations[f"{stack}.{layer - 1}.resid_post"]  # (B, T, C)
    return lambda: model.onward(before, layer)
