"""Patching: carry an activation from one prompt's run over into another's, and see what becomes of the prediction.

What moves the prediction towards the other prompt's holds what tells the two apart, at that layer and position.

After Meng et al. (2022), "Locating and editing factual associations in GPT", section 2 (causal tracing), and Wang et
al. (2022), "Interpretability in the wild", section 3 (between two prompts). The readings of the residual stream along
the way are the logit lens (nostalgebraist 2020).

Letters: T positions, L layers, V vocabulary. A is the prompt that is run, B the one that is taken from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.errors import BardlabError
from core.inspect.lens import readings
from core.inspect.trace import Intervention, Trace, taps, trace
from core.models.contract import LanguageModel

LONGEST = 64
"""Characters of a prompt that are looked at, at most: a sweep runs the model once for each layer and position."""
AT_ONCE = 2048  # characters a batch, as in core/evaluation.py

Doubles = NDArray[np.float64]

NAMES = {
    "resid_pre": "the residual stream before the layer",
    "z": "what the layer has found, before it is weighed",
    "attn_out": "what attention adds",
    "resid_mid": "the residual stream between attention and MLP",
    "mlp_out": "what the MLP adds",
    "branch_out": "what the layer adds",
    "skip_out": "what the layer sends straight to the end",
    "resid_post": "the residual stream after the layer",
    "post": "the hidden layer's activations",
    "state": "what the layer hands on upwards",
}
"""Kinds of activations that can be patched, by the last part of their taps' names."""


@dataclass(frozen=True)
class Site:
    """One kind of activation, layer by layer."""

    key: str
    title: str
    taps: tuple[str, ...]
    """(L,) where it passes, first layer first."""
    heads: int
    """How many heads it is made of; 0 if of none."""


def sites(model: LanguageModel) -> list[Site]:
    """List the kinds of activations that a model has, in the order of the computation. Empty for a bigram."""
    names = list(taps(model))
    kinds = []
    for key, title in NAMES.items():
        layers = tuple(name for name in names if name.endswith(f".{key}"))
        if layers:
            kinds.append(Site(key, title, layers, model.n_attention_heads if key == "z" else 0))
    return kinds


def patch(source: Tensor, positions: slice | int = slice(None), head: int | None = None) -> Intervention:
    """Put in what another run had, `source` (1, T, C) or (1, H, T, D): at some positions, of one head or of all."""

    def put(x: Tensor) -> Tensor:
        x = x.clone()
        if x.ndim == 4:
            heads = slice(None) if head is None else head
            x[:, heads, positions] = source[:, heads, positions]
        else:
            x[:, positions] = source[:, positions]
        return x

    return put


def same_length(a: Sequence[int], b: Sequence[int]) -> None:
    """Raise BardlabError unless two prompts are equally long and not empty."""
    if not len(a) or not len(b):
        raise BardlabError("a prompt is empty; give both at least one character")
    if len(a) != len(b):
        raise BardlabError(
            f"the prompts have {len(a)} and {len(b)} characters; give both the same length, so that each position of "
            "one has its counterpart in the other"
        )


@dataclass(frozen=True)
class Reading:
    """What one run predicts, at its end and along the way."""

    log_probs: Doubles
    """(V,) of the character after the prompt."""
    lens: Doubles | None
    """(1 + L, T, V) probabilities read off the residual stream before the first layer and after each; None if the
    model has no such stream."""


def read(model: LanguageModel, run: Trace) -> Reading:
    """Read a trace of one prompt that holds the stream, if the model has one."""
    last: Doubles = F.log_softmax(run.logits[0, -1].double(), dim=-1).numpy()
    lens: Doubles | None = F.softmax(readings(model, run).double(), dim=-1).numpy() if model.stream() else None
    return Reading(last, lens)


def run_patched(
    model: LanguageModel,
    a: Sequence[int],
    b: Sequence[int],
    site: Site,
    layer: int,
    position: int,
    head: int | None = None,
) -> Reading:
    """Run prompt `a` (T ids) with one activation of prompt `b`'s run (T ids) in the place of its own.

    Raises BardlabError if the prompts differ in length.
    """
    same_length(a, b)
    name = site.taps[layer]
    source = trace(model, torch.tensor([b]), name)[name]
    change = {name: patch(source, position, head)}
    return read(model, trace(model, torch.tensor([a]), tuple(model.stream()), change))


def reading(model: LanguageModel, ids: Sequence[int]) -> Reading:
    """Run a prompt (T ids) as it is."""
    return read(model, trace(model, torch.tensor([ids]), tuple(model.stream())))


def answers(a: Reading, b: Reading) -> tuple[int, int]:
    """Return the characters by which two runs are best told apart: the one that gains most from B to A, and back.

    Raises BardlabError if both predict the same.
    """
    gain = np.exp(b.log_probs) - np.exp(a.log_probs)  # (V,)
    if np.abs(gain).max() < 1e-9:
        raise BardlabError("both prompts lead to the same prediction; change one of them")
    return int(gain.argmin()), int(gain.argmax())


def difference(log_probs: Doubles, pair: tuple[int, int]) -> Doubles:
    """How much more likely the second character of a pair is than the first, in nats: (..., V) to (...)."""
    found: Doubles = log_probs[..., pair[1]] - log_probs[..., pair[0]]
    return found


@torch.no_grad()
def sweep(
    model: LanguageModel,
    a: Sequence[int],
    b: Sequence[int],
    site: Site,
    pair: tuple[int, int],
    head: int | None = None,
) -> Doubles:
    """Patch each layer and position in turn: the log-probability difference (L, T) of `pair` at the prompt's end.

    Raises BardlabError if the prompts differ in length.
    """
    same_length(a, b)
    source = trace(model, torch.tensor([b]), site.taps)
    grid = np.zeros((len(site.taps), len(a)))
    rows = max(1, AT_ONCE // len(a))
    for layer, name in enumerate(site.taps):
        for start in range(0, len(a), rows):
            positions = torch.arange(start, min(start + rows, len(a)))  # (n,) one copy of A for each
            change = {name: _each(source[name], positions, head)}
            run = trace(model, torch.tensor([a] * len(positions)), (), change)
            log_probs = F.log_softmax(run.logits[:, -1].double(), dim=-1).numpy()  # (n, V)
            grid[layer, start : start + len(positions)] = difference(log_probs, pair)
    return grid


def _each(source: Tensor, positions: Tensor, head: int | None) -> Intervention:
    """Patch row i of a batch at position i of `positions` (n,)."""
    copies = torch.arange(len(positions))

    def put(x: Tensor) -> Tensor:
        x = x.clone()
        if x.ndim == 4:
            heads: Sequence[int] = range(x.shape[1]) if head is None else [head]
            for h in heads:
                x[copies, h, positions] = source[0, h, positions]
        else:
            x[copies, positions] = source[0, positions]
        return x

    return put


def recovered(grid: Doubles, a: Reading, b: Reading, pair: tuple[int, int]) -> Doubles:
    """Scale differences (L, T), in nats, so that 0 is A's own prediction and 1 is B's.

    NaN throughout if the pair does not tell the two apart.
    """
    low, high = float(difference(a.log_probs, pair)), float(difference(b.log_probs, pair))
    if abs(high - low) < 1e-9:
        return np.full_like(grid, np.nan)
    return (grid - low) / (high - low)
