"""What a model would say if it stopped early, and what each of its parts has to say.

The logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens") reads the residual stream after every layer
with the model's own last step, as if the layers above were not there. Direct logit attribution (Elhage et al. 2021, "A
mathematical framework for transformer circuits") takes the last reading apart: the stream is a sum of what each part
wrote into it, and once LayerNorm's scale is held at the value it had, the logits are the same sum.

Letters: R readings, P parts, T positions, V vocabulary, C channels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import BardlabError
from core.inspect.trace import Trace, trace
from core.models.contract import LanguageModel
from core.models.residual import ResidualNet
from core.models.transformer import Block, Transformer

Array = NDArray[np.float64]


def has_stream(model: LanguageModel) -> bool:
    """True if the model has a residual stream from which logits can be read after every layer."""
    return type(model).unembed is not LanguageModel.unembed


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
    return ids if model.slides else ids[-model.context :]


@torch.no_grad()
def lens(model: LanguageModel, ids: list[int], last: int | None = None) -> Lens:
    """Read the stream after every layer, at the `last` positions of ids (at least one id; beyond the context, its end).

    Raises BardlabError if the model has no residual stream.
    """
    _need_stream(model)
    t = trace(model, torch.tensor([window(model, ids)]), ("*.0.resid_pre", "*.resid_post"))
    start = -(last or len(ids))
    logits = torch.cat([model.unembed(resid)[:, start:] for resid in t.activations.values()])  # (R, T, V)
    rows = ("embed", *(f"L{layer}" for layer in range(len(logits) - 1)))
    return Lens(rows, logits.double().numpy())


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
    if isinstance(model, Transformer):
        stream = _transformer_stream(model, t, position)
        last_norm, head = model.ln_final, model.lm_head
    elif isinstance(model, ResidualNet):
        stream = _residual_stream(model, t, position)
        last_norm, head = model.norm_final, model.head
    else:
        raise BardlabError(f"the stream of a {type(model).__name__} cannot be taken apart")
    stream.normalise(last_norm)
    if isinstance(model, ResidualNet):
        stream.gate()
    weight, bias = head.weight.double(), head.bias.double()  # (V, C), (V,)
    contributions = torch.stack([*stream.parts.values(), stream.biases]) @ weight.T  # (P, V)
    contributions[-1] += bias
    return Attribution((*stream.parts, "biases"), contributions.numpy())


class _Stream:
    """The residual stream at one position, as the sum of its parts, each (C,) in double precision."""

    def __init__(self, channels: int) -> None:
        self.parts: dict[str, Tensor] = {}
        self.biases = torch.zeros(channels, dtype=torch.double)

    def add(self, name: str, vector: Tensor) -> None:
        self.parts[name] = vector.double()

    def scale(self, factor: Tensor | float) -> None:
        self.parts = {name: vector * factor for name, vector in self.parts.items()}
        self.biases = self.biases * factor

    def normalise(self, norm: nn.Module) -> None:
        """Apply a LayerNorm with the scale that the whole stream gives it."""
        if not isinstance(norm, nn.LayerNorm):
            return
        spread = (self.total.var(correction=0) + norm.eps).sqrt()
        self.parts = {name: vector - vector.mean() for name, vector in self.parts.items()}
        self.biases = self.biases - self.biases.mean()
        self.scale(norm.weight.double() / spread)
        self.biases = self.biases + norm.bias.double()

    def gate(self) -> None:
        """Apply a ReLU, open where the whole stream is positive."""
        self.scale((self.total > 0).double())

    @property
    def total(self) -> Tensor:
        return torch.stack([*self.parts.values(), self.biases]).sum(0)  # (C,)


def _transformer_stream(model: Transformer, t: Trace, position: int) -> _Stream:
    config = model.config
    stream = _Stream(config.d_model)
    embedded = t["embed"][0]  # (T, C)
    stream.add("embed", embedded[position])
    if config.smear:
        before = position % len(embedded) - 1
        stream.add("smear", model.smear * (embedded[before] if before >= 0 else torch.zeros_like(embedded[0])))
    if config.trigrams:
        stream.add("trigram", t["trigram_embed"][0, position])
    if "pos_embed" in t.activations:
        stream.add("pos_embed", t["pos_embed"][position])
    for layer, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        z = t[f"blocks.{layer}.attention.z"][0, :, position].double()  # (H, D)
        proj = block.attention.proj
        weight = proj.weight.double().view(config.d_model, config.n_head, -1)  # (C, H, D)
        for h, written in enumerate(torch.einsum("hd,chd->hc", z, weight)):
            stream.add(f"L{layer} H{h}", written)
        stream.biases += proj.bias.double()
        if config.norm == "post":
            stream.normalise(block.ln1)
        stream.add(f"L{layer} MLP", t[f"blocks.{layer}.mlp_out"][0, position])
        if config.norm == "post":
            stream.normalise(block.ln2)
    return stream


def _residual_stream(model: ResidualNet, t: Trace, position: int) -> _Stream:
    stream = _Stream(model.config.width)
    stream.add("embed", t["layers.0.resid_pre"][0, position])
    for layer in range(model.config.depth):
        stream.scale(model.config.skip)
        stream.add(f"L{layer}", t[f"layers.{layer}.branch_out"][0, position])
    return stream


def _need_stream(model: LanguageModel) -> None:
    if not has_stream(model):
        raise BardlabError(
            f"a {type(model).__name__} has no residual stream to read; choose a Transformer or a residual network"
        )


def next_logits(model: LanguageModel, ids: list[int]) -> Tensor:
    """Return the logits (V,) of what comes after ids (at least one), as `generate` computes them."""
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids[-model.context :]]))[0, -1].float()
    return logits
