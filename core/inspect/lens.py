"""What a model would say if it stopped early, and what each of its parts has to say.

The logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens") reads the residual stream after every layer
with the model's own last step, as if the layers above were not there. Direct logit attribution (Elhage et al. 2021, "A
mathematical framework for transformer circuits") takes the last reading apart: the stream is a sum of what each part
wrote into it, and once LayerNorm's scale is held at the value it had, the logits are the same sum.

Letters: R readings, P parts, T positions, V vocabulary, C channels.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BardlabError
from core.inspect.trace import Trace, trace
from core.ladder.registry import rungs_whose
from core.models.contract import LanguageModel

Array = NDArray[np.float64]


def has_stream(model: LanguageModel) -> bool:
    """True if the model has a residual stream from which logits can be read after every layer."""
    return bool(model.stream())


@cache
def rungs_with_a_stream() -> tuple[str, ...]:
    """Return the keys of the rungs whose models have a residual stream."""
    return rungs_whose(has_stream)


@dataclass(frozen=True)
class Lens:
    """Readings of the residual stream: one before the first layer, one after each."""

    rows: tuple[str, ...]
    """(R,) `embed`, `L0`, `L1`, ...; the last is what the model says."""
    logits: Array
    """(R, T, V)"""

    @cached_property
    def log_probs(self) -> Array:
        """(R, T, V), in nats."""
        return log_softmax(self.logits)

    @property
    def entropy(self) -> Array:
        """(R, T) how undecided each reading is, in bits: 0 for a certain one, log2 V for an even one."""
        bits: Array = -(np.exp(self.log_probs) * self.log_probs).sum(-1) / np.log(2)
        return bits

    @property
    def kl_to_final(self) -> Array:
        """(R, T) KL(final ‖ reading), in bits: what the reading would lose against the model's own prediction."""
        final = self.log_probs[-1]
        bits: Array = (np.exp(final) * (final - self.log_probs)).sum(-1) / np.log(2)
        return np.maximum(bits, 0.0)


def log_softmax(logits: Array) -> Array:
    """Turn logits (..., V) into log-probabilities (..., V), in nats."""
    shifted = logits - logits.max(-1, keepdims=True)
    normal: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return normal


def window(model: LanguageModel, ids: list[int]) -> list[int]:
    """Return the end of ids that the model can read at once: all of it if the model slides."""
    return ids[-model.readable(len(ids)) :]


@torch.no_grad()
def lens(model: LanguageModel, ids: list[int], last: int | None = None) -> Lens:
    """Read the stream after every layer, at the `last` positions of ids (at least one id; beyond the context, its end).

    Raises BardlabError if the model has no residual stream.
    """
    _need_stream(model)
    run = trace(model, torch.tensor([window(model, ids)]), tuple(model.stream()))
    logits = readings(model, run)[:, -(last or len(ids)) :]  # (R, T, V)
    rows = ("embed", *(f"L{layer}" for layer in range(len(logits) - 1)))
    return Lens(rows, logits.double().numpy())


@torch.no_grad()
def readings(model: LanguageModel, run: Trace) -> Tensor:
    """Read logits (R, T, V) off the stream of a traced prompt: before the first layer, and after each."""
    return model.unembed(torch.cat([run[name] for name in model.stream()]))  # (R, T, V)


@dataclass(frozen=True)
class Attribution:
    """One prediction as a sum over the parts that wrote into the residual stream."""

    parts: tuple[str, ...]
    """(P,) `embed`, `smear` (the character before), `trigram`, `L0 H0`, ..., `L0 MLP`, ...; last `biases`."""
    contributions: Array
    """(P, V) what each part adds to the logits. The sum over the parts is the logits."""

    @property
    def logits(self) -> Array:
        """(V,) the model's logits, as this sum."""
        total: Array = self.contributions.sum(0)
        return total

    @property
    def centred(self) -> Array:
        """(P, V) contributions less their mean over the characters, which no probability depends on."""
        difference: Array = self.contributions - self.contributions.mean(1, keepdims=True)
        return difference


@torch.no_grad()
def attribution(model: LanguageModel, ids: list[int], position: int = -1) -> Attribution:
    """Take the prediction after `position` of ids apart; position counts within `window(model, ids)`.

    LayerNorm's scale (and, in a residual network, the gates of the last ReLU) are held as they were in this very
    prediction, which makes all that follows a sum. A part's influence through later parts is counted as theirs.
    Raises BardlabError if the model has no residual stream.
    """
    _need_stream(model)
    t = trace(model, torch.tensor([window(model, ids)]))
    stream, head = model.written_parts(t.activations, position), model.unembedding
    weight, bias = head.weight.double(), head.bias.double()  # (V, C), (V,)
    contributions = torch.stack([*stream.parts.values(), stream.biases]) @ weight.T  # (P, V)
    contributions[-1] += bias
    return Attribution((*stream.parts, "biases"), contributions.numpy())


@dataclass(frozen=True)
class Contrast:
    """Why one character rather than another: the difference of their logits, as a sum over the parts."""

    parts: tuple[str, ...]
    """(P,)"""
    adds: Array
    """(P,) what each part adds to the logit of the one, less what it adds to that of the other."""
    whole: float
    """The difference of the model's own logits."""

    @property
    def residual(self) -> float:
        """What the sum misses: rounding."""
        return float(self.whole - self.adds.sum())


def contrast(model: LanguageModel, ids: list[int], one: int, other: int) -> Contrast:
    """Take apart why `one` rather than `other` comes after ids. Raises BardlabError as `attribution` does."""
    found = attribution(model, ids)
    logits = next_logits(model, ids).double()  # (V,)
    adds = found.contributions[:, one] - found.contributions[:, other]  # (P,)
    return Contrast(found.parts, adds, float(logits[one] - logits[other]))


def _need_stream(model: LanguageModel) -> None:
    if not has_stream(model):
        others = ", ".join(rungs_with_a_stream())
        raise BardlabError(f"a {type(model).__name__} has no residual stream to read; choose one of: {others}")


def next_logits(model: LanguageModel, ids: list[int]) -> Tensor:
    """Return the logits (V,) of what comes after ids (at least one), as `generate` computes them."""
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids[-model.readable(len(ids)) :]]))[0, -1].float()
    return logits
