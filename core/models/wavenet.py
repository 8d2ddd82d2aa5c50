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

from core.models.answers import Nonlinearity, Part, VectorTable, embedding_table, layer_part, unembedding_table
from core.models.contract import LanguageModel, Tap
from core.models.mlp import TANH_GAIN
from core.models.program import Program
from core.settings import Settings, setting


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


def pair(x: Tensor, dilation: int) -> Tensor:
    """Put each vector of x (B, T, C) next to the one `dilation` earlier: (B, T, 2C), the earlier one first.

    A linear layer on such pairs is a causal convolution with kernel 2. Before the text there are zeros.
    """
    late = F.pad(x, (0, 0, dilation, 0))[:, : x.shape[1]]  # (B, T, C)
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
        self.skip_out = Tap()
        self.resid_skip, self.branch_out, self.resid_post = Tap(), Tap(), Tap()
        nn.init.normal_(self.filter_gate.weight, std=1 / math.sqrt(2 * C))
        nn.init.normal_(self.residual.weight, std=1 / math.sqrt(C * depth))  # the sum of all layers has size 1
        nn.init.zeros_(self.filter_gate.bias)
        nn.init.zeros_(self.residual.bias)
        self.filter, self.gate, self.z = Tap(), Tap(), Tap()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, C) to the next layer's input (B, T, C) and what goes straight to the end (B, T, C)."""
        f, g = self.filter_gate(pair(x, self.dilation)).chunk(2, dim=-1)  # (B, T, C) each
        z = self.filter(torch.tanh(f)) * self.gate(torch.sigmoid(g))  # (B, T, C) the gate decides what gets through
        z = F.dropout(self.z(z), self.dropout, self.training)  # (B, T, C)
        out = self.resid_post(self.resid_skip(x) + self.branch_out(self.residual(z)))  # (B, T, C)
        return out, self.skip_out(z)  # (B, T, C) each


class FuseLayer(nn.Module):
    """One level of the bare tree: two vectors become one. Nothing goes around the layer, nor straight to the end."""

    def __init__(self, config: WaveNetConfig, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.fuse = nn.Linear(2 * config.channels, config.channels)
        self.dropout = config.dropout
        nn.init.normal_(self.fuse.weight, std=TANH_GAIN / math.sqrt(self.fuse.in_features))
        nn.init.zeros_(self.fuse.bias)
        self.post = Tap()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        fused = self.post(torch.tanh(self.fuse(pair(x, self.dilation))))  # (B, T, C)
        return F.dropout(fused, self.dropout, self.training)  # (B, T, C)


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

    def forward(self, ids: Tensor, cache: "Memory | None" = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V), each position from its receptive field alone."""
        if cache and cache.length:
            return torch.stack([self.next_logits(now, cache) for now in ids.unbind(1)], dim=1)  # (B, T, V)
        x = self.embed(self.token_embedding(ids))  # (B, T, C)
        straight: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            if cache:
                cache.begin(i, x)
            if self.gated:
                x, z = layer(x)  # (B, T, C) each
                straight.append(z)
            else:
                x = layer(x)  # (B, T, C)
        if cache:
            cache.length = ids.shape[1]
        return self.read_off(torch.cat(straight, dim=-1) if self.gated else x)  # (B, T, V)

    def read_off(self, x: Tensor) -> Tensor:
        """Map what all layers send to the end (..., n·C), or the root of the tree (..., C), to logits (..., V)."""
        if self.gated:
            skips = self.skip(x)  # (..., S) summed over the layers
            x = F.relu(self.mix(F.relu(skips)))  # (..., S)
        logits: Tensor = self.logits(self.head(x))  # (..., V)
        return logits

    @torch.no_grad()
    def next_logits(self, ids: Tensor, cache: "Memory") -> Tensor:
        """Map one more id of each text (B,) to logits (B, V): what `forward` computes there, in the cache's room."""
        rows, x = cache.now()  # for each layer its pair (B, 2C), whose halves are earlier and now; last the output
        x[0].copy_(self.token_embedding(ids))  # (B, C)
        for (both, earlier), here, after, z, weights in zip(rows, x, x[1:], cache.z, cache.weights, strict=False):
            W, b, W_r, b_r = weights
            if self.gated:
                torch.addmm(b, both, W, out=cache.fg)  # (B, 2C) filter and gate
                torch.mul(cache.f.tanh_(), cache.g.sigmoid_(), out=z)  # (B, C)
                torch.addmm(here, z, W_r, out=after).add_(b_r)  # (B, C)
            else:
                torch.addmm(b, both, W, out=after).tanh_()  # (B, C)
            earlier.copy_(here)  # read again `dilation` steps from now
        return self.read_off(cache.straight if self.gated else x[-1])  # (B, V)

    def new_cache(self, batch: int) -> "Memory | None":
        """Return an empty memory for `batch` texts, which holds what the layers need of any length of text.

        None while somebody listens to the layers: the memory's short cut passes no taps.
        """
        return None if any(isinstance(part, Tap) and part.observed for part in self.modules()) else Memory(self, batch)

    def program(self, halves: bool = False) -> Program:
        """Describe one more character; each layer's input stands right behind its earlier one."""
        program, C = Program(self.vocab_size, halves), self.config.channels
        pairs = [program.vector(2 * C) for _ in self.layers]
        straight = program.vector(len(self.layers) * C)
        heres = [*(both.part(C, C) for both in pairs), program.vector(C)]
        program.embed(self.token_embedding.weight, heres[0])
        for i, (layer, both) in enumerate(zip(self.layers, pairs, strict=True)):
            here, after = heres[i], heres[i + 1]
            if isinstance(layer, GatedLayer):
                program.delay(here, layer.dilation, both.part(0, C))
                z = straight.part(i * C, C)
                program.gate(program.linear(both, layer.filter_gate.weight, layer.filter_gate.bias), z)
                program.combine(here, program.linear(z, layer.residual.weight, layer.residual.bias), into=after)
            elif isinstance(layer, FuseLayer):
                program.delay(here, layer.dilation, both.part(0, C))
                program.linear(both, layer.fuse.weight, layer.fuse.bias, "tanh", after)
        x = heres[-1]
        if self.gated:
            skips = program.linear(straight, self.skip.weight, self.skip.bias, "relu")
            x = program.linear(skips, self.mix.weight, self.mix.bias, "relu")
        program.logits = program.linear(x, self.head.weight, self.head.bias)
        return program

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """Yield the weights of the layers, of the skips and of the one on their sum."""
        parts: list[nn.Module] = [self.layers, self.skip, self.mix] if self.gated else [self.layers]
        return (p for part in parts for p in part.parameters() if p.ndim == 2)

    def stacked(self, weight: nn.Parameter) -> int:
        """Two for filter and gate in one product, else one."""
        return 2 if any(isinstance(x, GatedLayer) and weight is x.filter_gate.weight for x in self.layers) else 1

    def parts(self) -> list[Part]:
        """List what each layer finds, adds, hands around itself and sends to the end."""
        parts = []
        for i in range(len(self.layers)):
            at, last = f"layers.{i}.", i == len(self.layers) - 1
            parts.append(
                layer_part(f"{i}.layer", f"all that layer {i} finds", i, "layer", at + ("z" if self.gated else "post"))
            )
            if self.gated:
                title = f"what layer {i} sends straight to the end"
                parts.append(layer_part(f"{i}.skip_out", title, i, "to the end", at + "skip_out"))
            if self.gated and not last:  # nothing listens to what the last layer hands on upwards
                parts.append(layer_part(f"{i}.branch", f"what layer {i} adds", i, "branch", at + "branch_out"))
                parts.append(layer_part(f"{i}.skip", f"the skip around layer {i}", i, "skip", at + "resid_skip"))
        return parts

    def nonlinearities(self) -> list[Nonlinearity]:
        """List the dilated layers: filter times gate, or the bare tree's tanh."""
        layers = [f"layers.{i}" for i in range(len(self.layers))]
        if self.gated:
            return [Nonlinearity(layer, f"{layer}.z", "gated") for layer in layers]
        return [Nonlinearity(layer, f"{layer}.post", "tanh") for layer in layers]

    def embeddings(self) -> list[VectorTable]:
        """List the vectors of the characters as read and as written."""
        return [embedding_table(self.token_embedding), unembedding_table(self.head)]

    @property
    def unembedding(self) -> nn.Linear:
        """The last linear layer."""
        return self.head


class Memory:
    """The last inputs of every layer, as rings of `dilation` pairs, and room for one step's results.

    One more character costs the same however far the model reaches, and nothing is allocated for it: each layer's
    input is written where its pair is read from.
    """

    def __init__(self, model: WaveNet, batch: int) -> None:
        config, like = model.config, model.token_embedding.weight
        C, n = config.channels, len(config.dilations)
        self.length = 0  # characters read so far
        rings = [like.new_zeros(dilation, batch, 2 * C) for dilation in config.dilations]  # (dilation, B, 2C) each
        self.rings = [[(both, both[:, :C], both[:, C:]) for both in ring.detach()] for ring in rings]
        self.root = like.new_zeros(batch, C)
        self.fg = like.new_zeros(batch, 2 * C)
        self.f, self.g = self.fg.chunk(2, dim=-1)  # (B, C) each
        self.straight = like.new_zeros(batch, n * C)
        self.z = torch.split(self.straight, C, dim=-1)  # (B, C) each
        self.weights = [_transposed(layer) for layer in model.layers]

    def begin(self, layer: int, x: Tensor) -> None:
        """Take in a layer's inputs x (B, T, C) at the start of a text."""
        ring, T = self.rings[layer], x.shape[1]
        for t in range(max(0, T - len(ring)), T):
            ring[t % len(ring)][1].copy_(x[:, t].detach())  # (B, C) the earlier half of the pair at t + dilation

    def now(self) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Move on by one character.

        Return each layer's pair (B, 2C) with its earlier half (B, C), and where its input is written (B, C).
        """
        slots = [ring[self.length % len(ring)] for ring in self.rings]
        self.length += 1
        return [(both, earlier) for both, earlier, _ in slots], [*(here for _, _, here in slots), self.root]


def _transposed(layer: nn.Module) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The weights of a layer as `torch.addmm` takes them. A bare tree has no way around its layers: () stands there."""
    if isinstance(layer, GatedLayer):
        first, second = layer.filter_gate, layer.residual
        return first.weight.detach().t(), first.bias.detach(), second.weight.detach().t(), second.bias.detach()
    assert isinstance(layer, FuseLayer)
    none = torch.empty(0)
    return layer.fuse.weight.detach().t(), layer.fuse.bias.detach(), none, none
