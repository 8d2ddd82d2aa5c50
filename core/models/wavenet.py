"""The WaveNet: neighbours are combined two by two, at distances 1, 2, 4, ...: reach doubles with every layer.

The MLP crushes its whole context into one layer at once, and each further character costs a slab of weights. Here a
layer combines only two vectors, one at its own position and one `dilation` positions earlier. After n layers a
position has heard from 2ⁿ characters, for a cost that grows only with n.

After van den Oord et al. (2016), "WaveNet: a generative model for raw audio", sections 2.1 (dilated causal
convolutions), 2.3 (gated units) and 2.4 (residual and skip connections). The variant "fuse" is the plain form of the
same tree, with a single tanh in each node; Karpathy's course builds it in its fifth part.

Letters: B batch, T time, V vocabulary, C channels, S skip channels.
"""

import math
from collections.abc import Iterator
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import Settings, setting
from core.models.contract import LanguageModel, Tap
from core.models.mlp import TANH_GAIN


class WaveNetConfig(Settings):
    """Sizes of the WaveNet."""

    n_layer: int = setting(
        6, "Layers in one cycle, with dilations 1, 2, 4, ...: each doubles the reach.", ge=1, le=10, step=1
    )
    n_cycle: int = setting(
        1,
        "How often the row of dilations is run through. Each cycle adds 2^n_layer - 1 to the reach.",
        ge=1,
        le=4,
        step=1,
    )
    channels: int = setting(
        96,
        "Numbers that describe each position between layers.",
        ge=4,
        le=512,
        ticks=(8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512),
    )
    skip_channels: int = setting(
        128,
        "Width of the sum into which every layer writes directly, and from which the logits are read. "
        "Not used by the variant fuse.",
        ge=4,
        le=1024,
        ticks=(8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024),
    )
    dropout: float = setting(
        0.0,
        "Share of activations zeroed at random while training, against overfitting (Srivastava et al. 2014).",
        ge=0.0,
        le=0.8,
        step=0.05,
    )
    variant: Literal["dilated", "fuse"] = setting(
        "dilated",
        "The paper's layers, gated and with residual and skip connections; or a bare tree that fuses two vectors "
        "into one by a linear layer and a tanh.",
    )

    @model_validator(mode="after")
    def _a_tree_has_one_root(self) -> Self:
        if self.variant == "fuse" and self.n_cycle > 1:
            raise ValueError(
                f"the variant fuse is a single tree, but model.n_cycle is {self.n_cycle}; "
                "give n_cycle 1, or variant dilated"
            )
        return self

    @property
    def dilations(self) -> tuple[int, ...]:
        """How far back each layer looks, from the first to the last."""
        return tuple(2**i for i in range(self.n_layer)) * self.n_cycle


class Queue:
    """The last `delay` inputs of one layer, as a ring: each new one is written where the oldest was read before."""

    def __init__(self, delay: int, batch: int, like: Tensor) -> None:
        self.ring = like.new_zeros(delay + 1, batch, 1, like.shape[-1])  # zero: before the text there is nothing
        self.now = 0

    def push(self, x: Tensor) -> Tensor:
        """Take in x (B, T, C) and return the same, `delay` positions late (B, T, C)."""
        slots, T = len(self.ring), x.shape[1]
        if T == 1:  # the usual case costs the same however long the delay
            self.ring[self.now] = x  # (B, 1, C)
            self.now = (self.now + 1) % slots
            return self.ring[self.now]  # (B, 1, C) the oldest
        new = x.transpose(0, 1)[:, :, None]  # (T, B, 1, C)
        both = torch.cat((self.ring.roll(-self.now, 0)[1:], new))  # (delay+T, B, 1, C) in order of time
        self.ring, self.now = torch.cat((both[T:], new[:1])), slots - 1  # the last slot is written next
        return both[:T, :, 0].transpose(0, 1)  # (B, T, C)


def pair(x: Tensor, dilation: int, queue: Queue | None = None) -> Tensor:
    """Put each vector of x (B, T, C) next to the one `dilation` earlier: (B, T, 2C), the earlier one first.

    A linear layer on such pairs is a causal convolution with kernel 2. Before the text there are zeros.
    """
    late = queue.push(x) if queue else F.pad(x, (0, 0, dilation, 0))[:, : x.shape[1]]  # (B, T, C)
    return torch.cat((late, x), dim=-1)  # (B, T, 2C)


class GatedLayer(nn.Module):
    """One dilated layer of the paper (figure 4)."""

    def __init__(self, config: WaveNetConfig, dilation: int) -> None:
        super().__init__()
        C, depth = config.channels, len(config.dilations)
        self.dilation = dilation
        self.filter_gate = nn.Linear(2 * C, 2 * C)  # what to pass on, and how much of it, in one product
        self.residual = nn.Linear(C, C)
        self.dropout = config.dropout
        self.z, self.skip_out = Tap(), Tap()
        self.resid_skip, self.branch_out, self.resid_post = Tap(), Tap(), Tap()
        nn.init.normal_(self.filter_gate.weight, std=1 / math.sqrt(2 * C))
        nn.init.normal_(self.residual.weight, std=1 / math.sqrt(C * depth))  # the sum of all layers has size 1
        nn.init.zeros_(self.filter_gate.bias)
        nn.init.zeros_(self.residual.bias)

    def forward(self, x: Tensor, queue: Queue | None = None) -> tuple[Tensor, Tensor]:
        """Map (B, T, C) to the next layer's input (B, T, C) and what goes straight to the end (B, T, C)."""
        f, g = self.filter_gate(pair(x, self.dilation, queue)).chunk(2, dim=-1)  # (B, T, C) each
        z = torch.tanh(f) * torch.sigmoid(g)  # (B, T, C) the gate decides what of the filter gets through
        z = self.z(F.dropout(z, self.dropout, self.training))  # (B, T, C)
        out = self.resid_post(self.resid_skip(x) + self.branch_out(self.residual(z)))  # (B, T, C)
        return out, self.skip_out(z)  # (B, T, C) each


class FuseLayer(nn.Module):
    """One level of the bare tree: two vectors become one. Nothing goes around the layer, nor straight to the end."""

    def __init__(self, config: WaveNetConfig, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.fuse = nn.Linear(2 * config.channels, config.channels)
        self.dropout = config.dropout
        self.z = Tap()
        nn.init.normal_(self.fuse.weight, std=TANH_GAIN / math.sqrt(self.fuse.in_features))
        nn.init.zeros_(self.fuse.bias)

    def forward(self, x: Tensor, queue: Queue | None = None) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        fused = torch.tanh(self.fuse(pair(x, self.dilation, queue)))  # (B, T, C)
        z: Tensor = self.z(F.dropout(fused, self.dropout, self.training))  # (B, T, C)
        return z


class WaveNet(LanguageModel):
    """Embed, run the dilated layers, read the logits off the sum of their skip outputs (or off the tree's root)."""

    slides = True

    def __init__(self, config: WaveNetConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config: WaveNetConfig = config
        self.gated = config.variant == "dilated"
        self.token_embedding = nn.Embedding(vocab_size, config.channels)  # each number from N(0, 1)
        layer = GatedLayer if self.gated else FuseLayer
        self.layers = nn.ModuleList(layer(config, dilation) for dilation in config.dilations)
        top = config.channels
        if self.gated:
            top = config.skip_channels
            inputs = len(self.layers) * config.channels
            self.skip = nn.Linear(
                inputs, top
            )  # a skip connection from each layer and the sum of them all, as one product
            nn.init.normal_(self.skip.weight, std=1 / math.sqrt(inputs))
            nn.init.zeros_(self.skip.bias)
            self.mix = nn.Linear(top, top)  # one more layer on the sum
            nn.init.normal_(self.mix.weight, std=math.sqrt(2 / top))
            nn.init.zeros_(self.mix.bias)
        self.head = nn.Linear(top, vocab_size)
        self.embed, self.logits = Tap(), Tap()
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(top))  # near-equal logits: loss near ln V
        nn.init.zeros_(self.head.bias)

    @property
    def context(self) -> int:
        """The receptive field: one character, and one `dilation` more for each layer."""
        return 1 + sum(self.config.dilations)

    def forward(self, ids: Tensor, cache: list[Queue] | None = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V), each position from its receptive field alone."""
        x = self.embed(self.token_embedding(ids))  # (B, T, C)
        queues: list[Queue] | list[None] = cache or [None] * len(self.layers)
        straight: list[Tensor] = []
        for layer, queue in zip(self.layers, queues, strict=True):
            if self.gated:
                x, z = layer(x, queue)  # (B, T, C) each
                straight.append(z)
            else:
                x = layer(x, queue)  # (B, T, C)
        if self.gated:
            skips = self.skip(torch.cat(straight, dim=-1))  # (B, T, S) summed over the layers
            x = F.relu(self.mix(F.relu(skips)))  # (B, T, S)
        logits: Tensor = self.logits(self.head(x))  # (B, T, V)
        return logits

    def new_cache(self, batch: int) -> list[Queue]:
        """Return one empty queue a layer, for `batch` texts. They hold what the layer needs of any length of text."""
        return [Queue(dilation, batch, self.token_embedding.weight) for dilation in self.config.dilations]

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """Yield the weights of the layers, of the skips and of the one on their sum."""
        parts: list[nn.Module] = [self.layers, self.skip, self.mix] if self.gated else [self.layers]
        return (p for part in parts for p in part.parameters() if p.ndim == 2)

    def stacked(self, weight: nn.Parameter) -> int:
        """Two for filter and gate in one product, else one."""
        return 2 if any(isinstance(x, GatedLayer) and weight is x.filter_gate.weight for x in self.layers) else 1
