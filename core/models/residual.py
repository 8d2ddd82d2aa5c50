"""The residual network: layers that add to what is there instead of replacing it can be stacked almost without end.

A plain stack gets worse as it gets deeper, and not by overfitting: its training loss is worse too. Every layer must
carry everything forward and every gradient back, and a little is lost at each. With a skip connection around each
layer the signal and the gradient have a straight way through; a layer only has to learn what to change.

After He et al. (2015), "Deep residual learning for image recognition", section 3, in the order of He et al. (2016),
"Identity mappings in deep residual networks", section 4: normalise, activate, then weigh. A scaled-down skip is
studied there in section 3.1. What a layer adds is scaled with the depth as in Zhang et al. (2019), section 4.

Letters: B batch, T time, V vocabulary, E d_embed, K context, W width.
"""

import math
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from core.models.answers import (
    Activations,
    Nonlinearity,
    Part,
    VectorTable,
    Written,
    characters_looked_back_on,
    embedding_table,
    layer_part,
    unembedding_table,
)
from core.models.contract import LanguageModel, Tap
from core.models.mlp import Recent, side_by_side
from core.models.normalise import LayerNorm, norm_part
from core.models.program import Program
from core.settings import Settings, setting


class ResidualConfig(Settings):
    """Sizes of the residual network."""

    context: int = setting(
        16,
        "How many characters the model sees, side by side as in the MLP.",
        ge=1,
        le=64,
        ticks=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64),
    )
    d_embed: int = setting(
        24, "Numbers that describe each character.", ge=1, le=128, ticks=(1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128)
    )
    width: int = setting(
        128, "Units in every layer.", ge=8, le=1024, ticks=(8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    )
    depth: int = setting(32, "Layers, one after another.", ge=1, le=64, ticks=(1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64))
    skip: float = setting(
        1.0,
        "How much of a layer's input is added to its output. 1 is a residual network; 0 is a plain one.",
        ge=0.0,
        le=1.0,
        step=0.05,
    )
    norm: bool = setting(
        True,
        "Bring each position to mean 0 and variance 1 before every layer and before the logits "
        "(LayerNorm, Ba et al. 2016).",
    )
    dropout: float = setting(
        0.0,
        "Share of activations zeroed at random while training, against overfitting (Srivastava et al. 2014).",
        ge=0.0,
        le=0.8,
        step=0.05,
    )


class Layer(nn.Module):
    """Normalise, ReLU, weigh; then add the input, turned down by the dial."""

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        self.skip = config.skip
        self.scale = 1 / math.sqrt(1 + config.skip**2 * (config.depth - 1))  # 1 when plain, 1/√depth when residual
        self.norm = LayerNorm(config.width) if config.norm else nn.Identity()
        self.linear = nn.Linear(config.width, config.width)
        self.drop = nn.Dropout(config.dropout)
        self.resid_pre, self.resid_skip, self.post = Tap(), Tap(), Tap()
        self.branch_out, self.resid_post = Tap(), Tap()
        nn.init.normal_(self.linear.weight, std=math.sqrt(2 / config.width))  # keeps the size through a ReLU
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, W) to (B, T, W): F(x) + x, equation 1 of the paper, with both terms weighted."""
        x = self.resid_pre(x)  # (B, T, W)
        post = self.post(F.relu(self.norm(x)))  # (B, T, W)
        added = self.branch_out(self.scale * self.drop(self.linear(post)))  # (B, T, W)
        out: Tensor = self.resid_post(self.resid_skip(self.skip * x) + added)  # (B, T, W)
        return out


class ResidualNet(LanguageModel):
    """Embed, put the context side by side, widen, run the layers, read off the logits.

    The initial weights depend on the seed and the sizes but not on the dial, so that twins start alike.
    """

    slides = True

    def __init__(self, config: ResidualConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config: ResidualConfig = config
        self.token_embedding = nn.Embedding(vocab_size, config.d_embed)  # each number from N(0, 1)
        self.widen = nn.Linear(config.context * config.d_embed, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.norm_final = LayerNorm(config.width) if config.norm else nn.Identity()
        self.head = nn.Linear(config.width, vocab_size)
        self.embed, self.seen, self.logits = Tap(), Tap(), Tap()
        nn.init.normal_(self.widen.weight, std=1 / math.sqrt(self.widen.in_features))
        nn.init.zeros_(self.widen.bias)
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(config.width))  # near-equal logits: loss near ln V
        nn.init.zeros_(self.head.bias)

    @property
    def context(self) -> int:
        """The number of characters side by side."""
        return self.config.context

    def forward(self, ids: Tensor, cache: Recent | None = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V), each position from its last `context` characters."""
        embedded = self.embed(self.token_embedding(ids))  # (B, T, E)
        x = self.widen(self.seen(side_by_side(embedded, self.context, cache)))  # (B, T, W)
        return self.onward(x, 0)  # (B, T, V)

    def onward(self, x: Tensor, first: int) -> Tensor:
        """Run the layers from `first` on, on what comes before it (B, T, W), and read off logits (B, T, V)."""
        for layer in self.layers[first:]:
            x = layer(x)  # (B, T, W)
        return self.unembed(x)  # (B, T, V)

    def unembed(self, resid: Tensor) -> Tensor:
        """Read the logits (B, T, V) off the residual stream (B, T, W)."""
        logits: Tensor = self.logits(self.head(F.relu(self.norm_final(resid))))  # (B, T, V)
        return logits

    def new_cache(self, batch: int) -> Recent:
        """Return an empty memory of the last characters, for `batch` texts."""
        return Recent(batch, self.context, self.token_embedding.weight)

    def program(self, halves: bool = False) -> Program:
        """Describe one more character."""
        program = Program(self.vocab_size, halves)
        seen = program.recent(program.embed(self.token_embedding.weight), self.context)
        x = program.linear(seen, self.widen.weight, self.widen.bias)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            post = program.activate(program.norm(x, layer.norm), "relu")
            added = program.linear(post, layer.linear.weight, layer.linear.bias, sparse=True)
            x = program.combine(x, added, layer.skip, layer.scale)
        post = program.activate(program.norm(x, self.norm_final), "relu")
        program.logits = program.linear(post, self.head.weight, self.head.bias)
        return program

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """Yield the weights of the layers, the widening one included."""
        return (p for part in (self.widen, self.layers) for p in part.parameters() if p.ndim == 2)

    def parts(self) -> list[Part]:
        """List what each layer adds, the skips, the LayerNorms, and the characters looked back on."""
        parts = []
        for i in range(self.config.depth):
            parts.append(layer_part(f"{i}.branch", f"what layer {i} adds", i, "branch", f"layers.{i}.branch_out"))
            if self.config.skip > 0:
                parts.append(layer_part(f"{i}.skip", f"the skip around layer {i}", i, "skip", f"layers.{i}.resid_skip"))
            if self.config.norm:
                title = f"the scale of layer {i}'s LayerNorm"
                parts.append(norm_part(f"{i}.norm", title, f"layer {i}", "norm", f"layers.{i}.norm", i))
        if self.config.norm:
            title = "the scale of the last LayerNorm"
            parts.append(norm_part("norm_final", title, "output", "last norm", "norm_final", self.config.depth))
        return [*parts, *characters_looked_back_on(self.context, self.config.d_embed)]

    def nonlinearities(self) -> list[Nonlinearity]:
        """List the layers, each a ReLU before its weights."""
        return [Nonlinearity(f"layers.{i}", f"layers.{i}.post", "relu") for i in range(self.config.depth)]

    def embeddings(self) -> list[VectorTable]:
        """List the vectors of the characters as read and as written."""
        return [embedding_table(self.token_embedding), unembedding_table(self.head)]

    def stream(self) -> list[str]:
        """Name the taps before the first layer and after each."""
        return ["layers.0.resid_pre", *(f"layers.{i}.resid_post" for i in range(self.config.depth))]

    def written_parts(self, activations: Activations, position: int) -> Written:
        """Take the stream apart into the embeddings and what each layer added, turned down by the later skips."""
        stream = Written(self.config.width)
        stream.add("embed", activations["layers.0.resid_pre"][0, position])  # (W,)
        for layer in range(self.config.depth):
            stream.scale(self.config.skip)
            stream.add(f"L{layer}", activations[f"layers.{layer}.branch_out"][0, position])  # (W,)
        stream.normalise(self.norm_final)
        stream.gate()
        return stream

    @property
    def unembedding(self) -> nn.Linear:
        """The last linear layer."""
        return self.head

    @property
    def skip_scale(self) -> float:
        """The dial on the skip connections."""
        return self.config.skip
