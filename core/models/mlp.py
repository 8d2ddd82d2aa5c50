"""The MLP: the last few characters, each as a learned vector, go side by side through a hidden layer.

The bigram cannot look further back than one character, because its table grows by a factor V with each one. The MLP
gives every character a short vector and lets a network generalise: contexts whose vectors lie close get similar
predictions, even those that the text never had.

After Bengio et al. (2003), "A neural probabilistic language model", section 2, without its direct connections from
input to output. Initial weights as in He et al. (2015), "Delving deep into rectifiers", section 2.2, with the gain
for tanh; batch normalisation by Ioffe and Szegedy (2015).

Letters: B batch, T time, V vocabulary, E d_embed, K context, H d_hidden.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.answers import (
    Nonlinearity,
    Part,
    VectorTable,
    characters_looked_back_on,
    embedding_table,
    layer_part,
    unembedding_table,
)
from core.models.contract import LanguageModel, Tap
from core.models.normalise import OverBatch
from core.models.program import Program
from core.settings import Settings, setting

TANH_GAIN = 5 / 3
"""What makes up for tanh's squashing, so that activations keep their size from layer to layer."""
NORM_EPS = 1e-5
"""Added to a variance before dividing by its root (Ioffe and Szegedy 2015, algorithm 1)."""


class MLPConfig(Settings):
    """Sizes of the MLP."""

    context: int = setting(
        8,
        "How many characters the model sees. Each adds d_embed × d_hidden weights.",
        ge=1,
        le=64,
        ticks=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64),
    )
    d_embed: int = setting(
        24,
        "Numbers that describe each character. With 2 they can be drawn as a map.",
        ge=1,
        le=128,
        ticks=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128),
    )
    d_hidden: int = setting(
        256,
        "Units in each hidden layer.",
        ge=8,
        le=2048,
        ticks=(8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048),
    )
    n_hidden: int = setting(1, "Hidden layers, one after another.", ge=1, le=4, step=1)
    batch_norm: bool = setting(
        False,
        "Shift and scale each hidden unit to mean 0 and variance 1 over the batch, before its tanh. Forgives a bad "
        "initial size of the weights.",
    )
    init_gain: float = setting(
        1.0,
        "Multiplies the initial hidden weights. At 1 activations keep their size; well above it tanh saturates and "
        "passes no gradient, well below it every layer shrinks the signal.",
        ge=0.0,
        le=5.0,
        step=0.1,
    )
    dropout: float = setting(
        0.0,
        "Share of hidden activations zeroed at random while training, against overfitting (Srivastava et al. 2014).",
        ge=0.0,
        le=0.8,
        step=0.05,
    )


class Recent:
    """The embeddings of the last K - 1 characters, so that generation embeds each character once.

    Before the text they are zero, as in `side_by_side`. Older characters fall out of reach, so the text may grow
    without limit.
    """

    def __init__(self, batch: int, context: int, like: Tensor) -> None:
        self.past = like.new_zeros(batch, context - 1, like.shape[-1])  # (B, K-1, E)


def side_by_side(embedded: Tensor, context: int, cache: Recent | None = None) -> Tensor:
    """Put the vectors of the last K characters into one, oldest first: (B, T, E) to (B, T, K·E).

    What lies before the text counts as a vector of zeros, which no character has. The first K - 1 positions of a
    window therefore see fewer characters; all others see exactly what they would see in a longer text.
    """
    T = embedded.shape[1]
    past = embedded.new_zeros(len(embedded), context - 1, embedded.shape[2]) if cache is None else cache.past
    padded = torch.cat((past, embedded), dim=1)  # (B, K-1+T, E)
    if cache is not None:
        cache.past = padded[:, T:]  # (B, K-1, E)
    return torch.cat([padded[:, k : k + T] for k in range(context)], dim=-1)  # (B, T, K·E)


class BatchNorm(OverBatch):
    """Mean 0 and variance 1 for each unit over batch and time, then a learned scale and shift (section 3).

    In evaluation mode the running averages take the place of the batch's, so that a prediction depends on nothing
    but its own characters.
    """

    def __init__(self, units: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.scale = nn.Parameter(torch.ones(units))  # (H,)
        self.shift = nn.Parameter(torch.zeros(units))  # (H,)
        self.register_buffer("mean", torch.zeros(units))  # (H,)
        self.register_buffer("variance", torch.ones(units))  # (H,)

    mean: Tensor
    variance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, H) to (B, T, H)."""
        if self.training and self.total is not None:
            return self._over_all(x, self.total)
        learning = self.training and x[..., 0].numel() > 1  # one position alone has no variance
        flat = F.batch_norm(
            x.flatten(0, 1), self.mean, self.variance, self.scale, self.shift, learning, self.momentum, NORM_EPS
        )  # (B·T, H)
        return flat.view_as(x)  # (B, T, H)

    def _over_all(self, x: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
        """Normalise a share (b, T, H) of a batch by mean and variance of the whole batch."""
        flat = x.flatten(0, 1).float()  # (b·T, H)
        count = float(total(flat.new_tensor([float(len(flat))])))
        mean = total(flat.sum(0)) / count  # (H,)
        centred = flat - mean  # (b·T, H)
        variance = total((centred * centred).sum(0)) / count  # (H,)
        with torch.no_grad():
            self.mean.lerp_(mean, self.momentum)
            self.variance.lerp_(variance * count / max(1.0, count - 1), self.momentum)
        normal = centred * torch.rsqrt(variance + NORM_EPS) * self.scale + self.shift  # (b·T, H)
        return normal.to(x.dtype).view_as(x)  # (b, T, H)


class Hidden(nn.Module):
    """One hidden layer: linear, batch normalisation if asked for, tanh, dropout."""

    def __init__(self, config: MLPConfig, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, config.d_hidden)
        self.norm = BatchNorm(config.d_hidden) if config.batch_norm else nn.Identity()
        self.drop = nn.Dropout(config.dropout)
        nn.init.normal_(self.linear.weight, std=config.init_gain * TANH_GAIN / math.sqrt(inputs))
        nn.init.zeros_(self.linear.bias)
        self.pre, self.post = Tap(), Tap()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, inputs) to (B, T, H)."""
        pre = self.pre(self.norm(self.linear(x)))  # (B, T, H)
        post: Tensor = self.drop(self.post(torch.tanh(pre)))  # (B, T, H)
        return post


class MLP(LanguageModel):
    """Embed, put the context side by side, run the hidden layers, read off the logits."""

    slides = True

    def __init__(self, config: MLPConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config: MLPConfig = config
        self.token_embedding = nn.Embedding(vocab_size, config.d_embed)  # each number from N(0, 1)
        sizes = [config.context * config.d_embed] + [config.d_hidden] * (config.n_hidden - 1)
        self.hidden = nn.ModuleList(Hidden(config, inputs) for inputs in sizes)
        self.head = nn.Linear(config.d_hidden, vocab_size)
        self.embed, self.seen, self.logits = Tap(), Tap(), Tap()
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(config.d_hidden))  # near-equal logits: loss near ln V
        nn.init.zeros_(self.head.bias)

    @property
    def context(self) -> int:
        """The number of characters side by side."""
        return self.config.context

    def forward(self, ids: Tensor, cache: Recent | None = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V), each position from its last `context` characters (Bengio eq. 1)."""
        embedded = self.embed(self.token_embedding(ids))  # (B, T, E)
        x = self.seen(side_by_side(embedded, self.context, cache))  # (B, T, K·E)
        for layer in self.hidden:
            x = layer(x)  # (B, T, H)
        logits: Tensor = self.logits(self.head(x))  # (B, T, V)
        return logits

    def new_cache(self, batch: int) -> Recent:
        """Return an empty memory of the last characters, for `batch` texts."""
        return Recent(batch, self.context, self.token_embedding.weight)

    def program(self, halves: bool = False) -> Program:
        """Describe one more character; batch normalisation is a scale and a part of the bias by then."""
        program = Program(self.vocab_size, halves)
        x = program.recent(program.embed(self.token_embedding.weight), self.context)
        for layer in self.hidden:
            assert isinstance(layer, Hidden)
            bias, scale = layer.linear.bias.detach(), None  # (H,)
            if isinstance(norm := layer.norm, BatchNorm):
                scale = norm.scale / (norm.variance + NORM_EPS).sqrt()  # (H,)
                bias = (bias - norm.mean) * scale + norm.shift  # (H,)
            x = program.linear(x, layer.linear.weight, bias, "tanh", scale=scale)
        program.logits = program.linear(x, self.head.weight, self.head.bias)
        return program

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """Yield the weights of the hidden layers."""
        return (p for p in self.hidden.parameters() if p.ndim == 2)

    def parts(self) -> list[Part]:
        """List the hidden layers and the characters looked back on."""
        hidden = [
            layer_part(f"{i}.layer", f"hidden layer {i}", i, "layer", f"hidden.{i}.post")
            for i in range(len(self.hidden))
        ]
        return [*hidden, *characters_looked_back_on(self.context, self.config.d_embed)]

    def nonlinearities(self) -> list[Nonlinearity]:
        """List the hidden layers."""
        layers = [f"hidden.{i}" for i in range(len(self.hidden))]
        return [Nonlinearity(at, f"{at}.post", "tanh", "head" if at == layers[-1] else "") for at in layers]

    def embeddings(self) -> list[VectorTable]:
        """List the vectors of the characters as read and as written."""
        return [embedding_table(self.token_embedding), unembedding_table(self.head)]

    @property
    def unembedding(self) -> nn.Linear:
        """The last linear layer."""
        return self.head
