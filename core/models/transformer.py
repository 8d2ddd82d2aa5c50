"""The Transformer: every character looks back at every earlier one and decides for itself what matters.

A decoder-only, pre-norm GPT, the reference at the top of the ladder: token and position embeddings; blocks of causal
multi-head self-attention and a feed-forward layer, each added to a residual stream; a last LayerNorm; logits.

What has a name in the literature passes through a `Tap` of that name, where inspection can read or replace it. While
nobody listens to the attention weights, they are not written out: one fused operation computes the same.

After Vaswani et al. (2017), "Attention is all you need", sections 3.1 to 3.5, with pre-norm as in Radford et al.
(2019). Dropout sits where section 5.4 and GPT-2 put it: on the attention weights, after each sub-layer.

Letters: B batch, T time (query positions), S source (key positions), C channels (d_model), H heads, D = C / H, V
vocabulary.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.answers import (
    Activations,
    Kind,
    Nonlinearity,
    Part,
    VectorTable,
    Written,
    embedding_table,
    layer_part,
    unembedding_table,
)
from core.models.contract import LanguageModel, Tap, normal_init
from core.models.normalise import LayerNorm, norm_part
from core.models.program import Program, Vector
from core.settings import Settings, setting, worth


class TransformerConfig(Settings):
    """Sizes of the Transformer. The defaults are the reference GPT: 10,788,929 parameters at 65 characters."""

    n_layer: int = setting(
        6, "Blocks, one after another. Each reads the residual stream and adds to it.", ge=1, le=12, step=1
    )
    n_head: int = setting(
        6,
        "Attention heads in each block. Each looks for something else; they share d_model.",
        ge=1,
        le=16,
        step=1,
    )
    d_model: int = setting(
        384,
        "Width of the residual stream: how many numbers describe each character. Must divide evenly among the heads.",
        ge=4,
        le=768,
        ticks=(16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768),
    )
    context: int = setting(
        256,
        "How many characters the model can look back on. Attention's cost grows with its square.",
        ge=2,
        le=1024,
        ticks=(8, 16, 32, 64, 128, 256, 512, 1024),
    )
    dropout: float = setting(
        0.2,
        "Share of activations zeroed at random while training, against overfitting (Srivastava et al. 2014).",
        ge=0.0,
        le=0.8,
        step=0.05,
    )
    positions: Literal["learned", "sinusoidal", "rotary", "none"] = setting(
        "learned",
        "How a position is told apart: a learned vector each (the reference), fixed sines (Vaswani et al. 2017), "
        "queries and keys turned by an angle that grows with the position (RoPE, Su et al. 2021), or not at all."
        + worth("Rotary instead of learned", 0.049, 0.004),
    )
    norm: Literal["pre", "post"] = setting(
        "pre",
        "Where LayerNorm sits: before each sub-layer, leaving the residual stream a straight road (the reference), or "
        "after each addition, as in Vaswani et al. (2017).",
        advanced=True,
    )
    activation: Literal["relu", "gelu", "relu2"] = setting(
        "relu",
        "What bends the feed-forward layer: ReLU as in the paper, its smooth relative GELU "
        "(Hendrycks and Gimpel 2016), or ReLU squared (So et al. 2021)."
        + worth("Squared ReLU instead of ReLU", 0.009, 0.005),
        advanced=True,
    )
    smear: bool = setting(
        False,
        "Add to each character's vector the one before it, by a learned weight per dimension, so that pairs of "
        "characters are known before the first block (after Jordan et al., modded-nanogpt, 2024)."
        + worth("It", 0.023, 0.003),
        advanced=True,
    )
    trigrams: int = setting(
        0,
        "Rows of a table with a learned vector for every three characters in a row, added where they end. A hash tells "
        "the row, so some threes share one; 0: no table. Spelling is looked up there, and the blocks are free for what "
        "lies further back (hash n-gram embeddings, Pagnoni et al. 2024, section 3.2.1)."
        + worth("The table", 0.032, 0.004),
        ge=0,
        le=12_288,
        ticks=(0, 768, 1536, 3072, 6144, 12_288),
        advanced=True,
    )
    qkv_bias: bool = setting(
        False,
        "Give queries, keys and values a bias each, as GPT-2 does; the reference has none.",
        advanced=True,
    )
    start: Literal["gpt2", "zero"] = setting(
        "gpt2",
        "Initial weights. gpt2: all from N(0, 0.02), the reference. zero: embeddings of size 1, and whatever writes to "
        "the residual stream or to the logits starts at 0, so that the first steps are not spent on undoing chance."
        + worth("The zero start", 0.028, 0.005),
        advanced=True,
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.d_model % self.n_head:
            fits = [str(n) for n in range(1, 17) if self.d_model % n == 0]
            raise ValueError(
                f"model.d_model {self.d_model} does not divide among model.n_head {self.n_head}; "
                f"give n_head one of {', '.join(fits)}"
            )
        if self.positions == "rotary" and self.d_model // self.n_head % 2:
            raise ValueError(
                f"rotary positions turn pairs of numbers, so model.d_model / model.n_head = "
                f"{self.d_model // self.n_head} must be even; choose other sizes or other positions"
            )
        return self


class KeyValueCache:
    """The keys and values of the characters already read, so that generation reads each character once."""

    def __init__(self, config: TransformerConfig, batch: int, like: Tensor) -> None:
        shape = (config.n_layer, 2, batch, config.n_head, config.context, config.d_model // config.n_head)
        self.store = torch.zeros(shape, dtype=like.dtype, device=like.device)  # (layer, k|v, B, H, context, D)
        self.length = 0
        self.last = torch.zeros(batch, 1, config.d_model, dtype=like.dtype, device=like.device)  # (B, 1, C)
        """The vector of the latest character: `smear` adds it to the next."""
        self.latest = torch.zeros(batch, 0, dtype=torch.long, device=like.device)  # (B, 0 to 2)
        """The ids of the latest two characters: with the next they make three."""

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v (B, H, T, D) of one layer; return all of that layer's so far (B, H, S, D)."""
        end = self.length + k.shape[2]
        keys, values = self.store[layer].unbind()  # (B, H, context, D) each
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]


def sinusoids(context: int, d_model: int) -> Tensor:
    """Fixed position vectors (context, C) of sines and cosines (Vaswani et al. 2017, section 3.5).

    Scaled to the size at which token embeddings start, where the paper scales the embeddings up instead.
    """
    t = torch.arange(context).float()[:, None]  # (T, 1)
    rate = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000.0) / d_model))  # (C/2,)
    waves = torch.stack(((t * rate).sin(), (t * rate).cos()), dim=-1).flatten(1)[:, :d_model]  # (T, C)
    return 0.02 * math.sqrt(2) * waves  # (T, C)


def rotations(context: int, d_head: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (context, D/2) of the angles by which RoPE turns position t (Su et al. 2021, section 3.4)."""
    t = torch.arange(context).float()[:, None]  # (T, 1)
    angle = t * 10_000.0 ** (-torch.arange(0, d_head, 2) / d_head)  # (T, D/2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x1, x2) of x (B, H, T, D) by its position's angle, given cos and sin (T, D/2)."""
    x1, x2 = x.chunk(2, dim=-1)  # (B, H, T, D/2) each
    return torch.cat((x1 * cos - x2 * sin, x1 * sin + x2 * cos), dim=-1)  # (B, H, T, D)


def trigram_rows(ids: Tensor, vocab_size: int, rows: int) -> Tensor:
    """Tell which row, of so many, belongs to each three neighbours of ids (B, T): (B, T - 2), nothing if T < 3.

    By multiplicative hashing (Knuth 1973, section 6.4): threes are spread as if by chance, and always alike.
    """
    number = (ids[:, :-2] * vocab_size + ids[:, 1:-1]) * vocab_size + ids[:, 2:]  # (B, T-2) each three its own number
    return number * 2_654_435_761 % 2**32 * rows // 2**32  # (B, T-2) from 0 to rows - 1


class Attention(nn.Module):
    """Causal multi-head self-attention (Vaswani et al. 2017, section 3.2.2)."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.n_head, self.rotary = layer, config.n_head, config.positions == "rotary"
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, config.qkv_bias)  # all three in one product
        self.proj = nn.Linear(config.d_model, config.d_model)  # mixes what the heads found
        self.dropout = config.dropout
        self.resid_drop = nn.Dropout(config.dropout)
        self.q, self.k, self.v, self.attn_scores, self.pattern, self.z = Tap(), Tap(), Tap(), Tap(), Tap(), Tap()
        self.rot_cos, self.rot_sin = Tap(), Tap()
        future = torch.ones(config.context, config.context, dtype=torch.bool).triu(1)
        self.register_buffer("future", future, persistent=False)  # (context, context) True where key comes after query
        cos, sin = rotations(config.context, config.d_model // config.n_head)
        self.register_buffer("cos", cos, persistent=False)  # (context, D/2)
        self.register_buffer("sin", sin, persistent=False)  # (context, D/2)

    future: Tensor
    cos: Tensor
    sin: Tensor

    def last(self, x: Tensor) -> Tensor:
        """Map the normalised residual stream (B, T, C) to what attention adds to its last position (B, 1, C)."""
        B, T, C = x.shape
        weights = torch.split(self.qkv.weight, (C, 2 * C))  # (C, C), (2C, C)
        biases = (None, None) if self.qkv.bias is None else torch.split(self.qkv.bias, (C, 2 * C))
        q = F.linear(x[:, -1:], weights[0], biases[0]).view(B, 1, self.n_head, -1).transpose(1, 2)  # (B, H, 1, D)
        kv = F.linear(x, weights[1], biases[1]).view(B, T, 2 * self.n_head, -1)  # (B, T, 2H, D)
        k, v = kv.transpose(1, 2).chunk(2, dim=1)  # (B, H, T, D) each
        if self.rotary:
            cos, sin = self.cos[:T], self.sin[:T]  # (T, D/2)
            q, k = rotate(q, cos[-1:], sin[-1:]), rotate(k, cos, sin)  # (B, H, 1, D), (B, H, T, D)
        z = self.mix(q, k, v).transpose(1, 2).reshape(B, 1, C)  # (B, 1, C)
        attn_out: Tensor = self.proj(z)  # (B, 1, C)
        return attn_out

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Map the normalised residual stream (B, T, C) to what attention adds to it (B, T, C)."""
        B, T, C = x.shape
        start = cache.length if cache else 0  # position of the first of these T characters
        qkv = self.qkv(x).view(B, T, 3 * self.n_head, C // self.n_head)  # (B, T, 3H, D)
        q, k, v = qkv.transpose(1, 2).chunk(3, dim=1)  # (B, H, T, D) each
        if self.rotary:
            cos, sin = self.rot_cos(self.cos[start : start + T]), self.rot_sin(self.sin[start : start + T])  # (T, D/2)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)  # (B, H, T, D)
        q, k, v = self.q(q), self.k(k), self.v(v)  # (B, H, T, D) each
        if cache:
            k, v = cache.extend(self.layer, k, v)  # (B, H, S, D), the T new ones last
        z = self.z(self.mix(q, k, v))  # (B, H, T, D) what each head carries to each position
        z = z.transpose(1, 2).reshape(B, T, C)  # (B, T, C) heads side by side
        attn_out: Tensor = self.resid_drop(self.proj(z))  # (B, T, C)
        return attn_out

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Average values v (B, H, S, D) by how well keys k match queries q (B, H, T, D), past only (equation 1)."""
        T, S = q.shape[2], k.shape[2]
        future = self.future[S - T : S, :S]  # (T, S)
        if not (self.attn_scores.observed or self.pattern.observed):
            return fused_mix(q, k, v, future, self.dropout if self.training else 0.0)  # (B, H, T, D)
        attn_scores = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5  # (B, H, T, S) scaled so that softmax stays soft
        attn_scores = self.attn_scores(attn_scores.masked_fill(future, float("-inf")))  # (B, H, T, S) no looking ahead
        pattern = self.pattern(F.softmax(attn_scores, dim=-1))  # (B, H, T, S) each row sums to 1
        return F.dropout(pattern, self.dropout, self.training) @ v  # (B, H, T, D)


def fused_mix(q: Tensor, k: Tensor, v: Tensor, future: Tensor, dropout: float) -> Tensor:
    """Compute the same (B, H, T, D) as `Attention.mix` in one operation that never writes the pattern out.

    On a CPU in float32 always: there, its backward pass in bfloat16 was measured at five times the time.
    """
    T, S = future.shape
    mask = None if T in (1, S) else ~future  # (T, S) with one query nothing is hidden; with S the operation knows
    causal = T == S > 1
    if not torch.is_autocast_enabled("cpu"):
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)  # (B, H, T, D)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask, dropout, causal)  # (B, H, T, D)


def relu_squared(x: Tensor) -> Tensor:
    """Return max(0, x)², of the shape of x (So et al. 2021, "Primer", section 4.1)."""
    return F.relu(x).square()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "relu2": relu_squared}


class FeedForward(nn.Module):
    """Two linear layers around a ReLU or its like, four times as wide inside, for each position alone (section 3.3)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.d_model, 4 * config.d_model)
        self.down = nn.Linear(4 * config.d_model, config.d_model)
        self.drop = nn.Dropout(config.dropout)
        self.bend = ACTIVATIONS[config.activation]
        self.pre, self.post = Tap(), Tap()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, C)."""
        hidden = self.post(self.bend(self.pre(self.up(x))))  # (B, T, 4C)
        mlp_out: Tensor = self.drop(self.down(hidden))  # (B, T, C)
        return mlp_out


class Block(nn.Module):
    """Communication, then computation, each added to the residual stream."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.ln1 = LayerNorm(config.d_model)
        self.attention = Attention(config, layer)
        self.ln2 = LayerNorm(config.d_model)
        self.mlp = FeedForward(config)
        self.pre_norm = config.norm == "pre"
        self.resid_pre, self.attn_out, self.resid_mid = Tap(), Tap(), Tap()
        self.mlp_out, self.resid_post = Tap(), Tap()
        self.attn_skip, self.mlp_skip = Tap(), Tap()  # what goes around each sub-layer

    def forward(self, resid_pre: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Map the residual stream (B, T, C) before the block to the one after it (B, T, C)."""
        x: Tensor = self.resid_pre(resid_pre)  # (B, T, C)
        if self.pre_norm:
            x = self.resid_mid(self.attn_skip(x) + self.attn_out(self.attention(self.ln1(x), cache)))  # (B, T, C)
            x = self.resid_post(self.mlp_skip(x) + self.mlp_out(self.mlp(self.ln2(x))))  # (B, T, C)
        else:
            x = self.resid_mid(self.ln1(self.attn_skip(x) + self.attn_out(self.attention(x, cache))))  # (B, T, C)
            x = self.resid_post(self.ln2(self.mlp_skip(x) + self.mlp_out(self.mlp(x))))  # (B, T, C)
        return x

    def last(self, resid_pre: Tensor) -> Tensor:
        """Map the residual stream (B, T, C) before the block to its last position after it (B, 1, C)."""
        x = resid_pre[:, -1:]  # (B, 1, C)
        if self.pre_norm:
            x = x + self.attention.last(self.ln1(resid_pre))  # (B, 1, C)
            x = x + self.mlp(self.ln2(x))  # (B, 1, C)
        else:
            x = self.ln1(x + self.attention.last(resid_pre))  # (B, 1, C)
            x = self.ln2(x + self.mlp(x))  # (B, 1, C)
        return x

    def describe(self, program: Program, x: Vector, config: TransformerConfig) -> Vector:
        """Add what the block does with one more character x to a program; gives the stream after it."""
        attention, mlp = self.attention, self.mlp
        qkv = program.linear(self._before(program, x, self.ln1), attention.qkv.weight, attention.qkv.bias)
        turns = (attention.cos, attention.sin) if attention.rotary else None
        z = program.attend(qkv, config.n_head, config.context, turns)
        x = self._after(
            program, program.combine(x, program.linear(z, attention.proj.weight, attention.proj.bias)), self.ln1
        )
        hidden = program.linear(self._before(program, x, self.ln2), mlp.up.weight, mlp.up.bias, config.activation)
        sparse = config.activation != "gelu"  # of the others' units most are exactly zero
        down = program.linear(hidden, mlp.down.weight, mlp.down.bias, sparse=sparse)
        return self._after(program, program.combine(x, down), self.ln2)

    def _before(self, program: Program, x: Vector, norm: nn.Module) -> Vector:
        return program.norm(x, norm) if self.pre_norm else x

    def _after(self, program: Program, x: Vector, norm: nn.Module) -> Vector:
        return x if self.pre_norm else program.norm(x, norm)


def zero_start(module: nn.Module) -> None:
    """Let a sub-layer begin by adding nothing; what it reads with keeps the size of its input."""
    if isinstance(module, Attention):
        reads, writes = module.qkv, module.proj
    elif isinstance(module, FeedForward):
        reads, writes = module.up, module.down
    else:
        return
    nn.init.normal_(reads.weight, std=reads.in_features**-0.5)
    nn.init.zeros_(writes.weight)


class Transformer(LanguageModel):
    """The whole model: embed, run the blocks, normalise, read off the logits."""

    def __init__(self, config: TransformerConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config: TransformerConfig = config
        self.token_embedding = nn.Embedding(vocab_size, config.d_model)
        if config.positions == "learned":
            self.position_embedding = nn.Embedding(config.context, config.d_model)
        if config.positions == "sinusoidal":
            self.register_buffer("sines", sinusoids(config.context, config.d_model), persistent=False)  # (context, C)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_final = LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()
        self.lm_head = nn.Linear(config.d_model, vocab_size)
        if config.smear:
            self.smear = nn.Parameter(torch.zeros(config.d_model))  # (C,)
        if config.trigrams:
            self.trigram_embedding = nn.Embedding(config.trigrams, config.d_model)
        self.embed, self.trigram_embed, self.pos_embed, self.logits = Tap(), Tap(), Tap(), Tap()
        self.apply(normal_init)
        if config.start == "zero":
            self.apply(zero_start)
            nn.init.normal_(self.token_embedding.weight)
            nn.init.zeros_(self.lm_head.weight)
            if config.trigrams:
                nn.init.zeros_(self.trigram_embedding.weight)

    sines: Tensor

    @property
    def context(self) -> int:
        """The length of the window."""
        return self.config.context

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V). T, with what the cache holds, may not exceed the context."""
        logits = self.onward(self.embedded(ids, cache), 0, cache)  # (B, T, V)
        if cache:
            cache.length += ids.shape[1]
        return logits

    def last(self, ids: Tensor) -> Tensor:
        """Give the logits (B, V) of what follows ids (B, T): the last block works for the last position alone."""
        if self.heard or self.training:
            return super().last(ids)
        *blocks, final = self.blocks
        resid = self.embedded(ids, None)  # (B, T, C)
        for block in blocks:
            resid = block(resid)  # (B, T, C)
        assert isinstance(final, Block)
        return self.unembed(final.last(resid))[:, -1]  # (B, V)

    def embedded(self, ids: Tensor, cache: KeyValueCache | None) -> Tensor:
        """Look up what enters the first block (B, T, C) for ids (B, T)."""
        start, T = cache.length if cache else 0, ids.shape[1]
        resid: Tensor = self.embed(self.token_embedding(ids))  # (B, T, C)
        if self.config.smear:
            resid = resid + self.smear * self.one_earlier(resid, cache)  # (B, T, C)
        if self.config.trigrams:
            resid = resid + self.trigram_embed(self.trigram_vectors(ids, cache))  # (B, T, C)
        if self.config.positions == "learned":
            resid = resid + self.pos_embed(self.position_embedding.weight[start : start + T])  # (B, T, C)
        if self.config.positions == "sinusoidal":
            resid = resid + self.pos_embed(self.sines[start : start + T])  # (B, T, C)
        return resid

    def onward(self, resid: Tensor, first: int, cache: KeyValueCache | None = None) -> Tensor:
        """Run the blocks from `first` on, on the residual stream (B, T, C) before it; read off logits (B, T, V)."""
        for block in self.blocks[first:]:
            resid = block(resid, cache)  # (B, T, C)
        return self.unembed(resid)  # (B, T, V)

    def unembed(self, resid: Tensor) -> Tensor:
        """Read the logits (B, T, V) off the residual stream (B, T, C)."""
        logits: Tensor = self.logits(self.lm_head(self.ln_final(resid)))  # (B, T, V)
        return logits

    def one_earlier(self, embedded: Tensor, cache: KeyValueCache | None) -> Tensor:
        """Shift vectors (B, T, C) by one position. Before the text, or what the cache holds of it, there are zeros."""
        if cache is None:
            return F.pad(embedded, (0, 0, 1, 0))[:, :-1]  # (B, T, C)
        shifted = torch.cat((cache.last, embedded[:, :-1]), dim=1)  # (B, T, C)
        cache.last = embedded[:, -1:]  # (B, 1, C)
        return shifted

    def trigram_vectors(self, ids: Tensor, cache: KeyValueCache | None) -> Tensor:
        """Look up the vector (B, T, C) of the three characters that end at each of ids; zeros where there are fewer."""
        known = ids  # (B, S) these and up to two before them
        if cache is not None:
            known = torch.cat((cache.latest, ids), dim=1)  # (B, S)
            cache.latest = known[:, -2:]  # (B, 2)
        rows = trigram_rows(known, self.vocab_size, self.config.trigrams)  # (B, S-2)
        vectors = self.trigram_embedding(rows)  # (B, S-2, C)
        return F.pad(vectors, (0, 0, ids.shape[1] - vectors.shape[1], 0))  # (B, T, C)

    def new_cache(self, batch: int) -> KeyValueCache:
        """Return an empty key-value cache for `batch` texts."""
        return KeyValueCache(self.config, batch, self.lm_head.weight)

    def program(self, halves: bool = False) -> Program:
        """Describe one more character."""
        config, program = self.config, Program(self.vocab_size, halves)
        x = program.embed(self.token_embedding.weight)
        if config.smear:
            program.weighted(x, program.delay(x, 1), self.smear)
        if config.trigrams:
            program.trigram(x, self.trigram_embedding.weight)
        if config.positions == "learned":
            program.position(x, self.position_embedding.weight)
        if config.positions == "sinusoidal":
            program.position(x, self.sines)
        for block in self.blocks:
            assert isinstance(block, Block)
            x = block.describe(program, x, config)
        program.logits = program.linear(program.norm(x, self.ln_final), self.lm_head.weight, self.lm_head.bias)
        return program

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """Yield the matrices of the blocks."""
        return (p for p in self.blocks.parameters() if p.ndim == 2)

    def stacked(self, weight: nn.Parameter) -> int:
        """Three for queries, keys and values in one product, else one."""
        return 3 if weight.shape[0] == 3 * weight.shape[1] else 1

    def parts(self) -> list[Part]:
        """List every head, feed-forward layer, skip and LayerNorm; the table of three characters; the positions.

        Position vectors are replaced like all else; rotary turns are left undone, at every layer, by either method.
        """
        parts, width = [], self.config.d_model // self.config.n_head
        for i in range(self.config.n_layer):
            at, row = f"blocks.{i}.", f"layer {i}"
            for h in range(self.config.n_head):
                own = (slice(None), slice(h * width, (h + 1) * width))
                parts.append(
                    Part(
                        f"{i}.{h}",
                        f"head {h} of layer {i}",
                        row,
                        f"head {h}",
                        (at + "attention.z",),
                        (slice(None), h),
                        i,
                        speaks=((at + "attention.proj.weight", own),),
                    )
                )
            parts.append(layer_part(f"{i}.mlp", f"the feed-forward layer of layer {i}", i, "MLP", at + "mlp_out"))
            parts.append(
                layer_part(
                    f"{i}.attn_skip", f"the skip around layer {i}'s attention", i, "skip: attn", at + "attn_skip"
                )
            )
            parts.append(
                layer_part(f"{i}.mlp_skip", f"the skip around layer {i}'s MLP", i, "skip: MLP", at + "mlp_skip")
            )
            for name, of in (("ln1", "attn"), ("ln2", "MLP")):
                title = f"the scale of the LayerNorm at layer {i}'s {'attention' if of == 'attn' else of}"
                parts.append(norm_part(f"{i}.{name}", title, row, f"norm: {of}", at + name, i))
        if self.config.norm == "pre":
            title = "the scale of the last LayerNorm"
            parts.append(norm_part("ln_final", title, "output", "last norm", "ln_final", self.config.n_layer))
        if self.config.trigrams:
            parts.append(Part("trigrams", "the table of three characters", "input", "trigrams", ("trigram_embed",)))
        kind = self.config.positions
        if kind == "rotary":
            taps = [f"blocks.{i}.attention.rot_{f}" for i in range(self.config.n_layer) for f in ("cos", "sin")]
            fixed = (1.0, 0.0) * self.config.n_layer
            title = "the positions (rotary turns)"
            parts.append(Part("pos", title, "input", "positions", tuple(taps), fixed=fixed))
        elif kind != "none":
            parts.append(Part("pos", f"the positions ({kind} vectors)", "input", "positions", ("pos_embed",)))
        return parts

    def nonlinearities(self) -> list[Nonlinearity]:
        """List the feed-forward layers."""
        kind: Kind = "gelu" if self.config.activation == "gelu" else "relu"
        layers = [f"blocks.{i}.mlp" for i in range(self.config.n_layer)]
        pre = self.config.norm == "pre"
        return [Nonlinearity(layer, f"{layer}.post", kind, f"{layer}.down" if pre else "") for layer in layers]

    def embeddings(self) -> list[VectorTable]:
        """List the vectors of the characters as read and as written, and of the positions if these have vectors."""
        tables = [embedding_table(self.token_embedding), unembedding_table(self.lm_head)]
        if self.config.positions == "learned":
            about = "What is added to a character's vector at each position of the window: learned, one vector each."
            tables.append(VectorTable("position", "positions", about, self.position_embedding.weight, True))
        if self.config.positions == "sinusoidal":
            about = "What is added to a character's vector at each position: sines and cosines, fixed before training."
            tables.append(VectorTable("position", "positions", about, self.sines, True))
        return tables

    def stream(self) -> list[str]:
        """Name the taps before the first block and after each."""
        return ["blocks.0.resid_pre", *(f"blocks.{i}.resid_post" for i in range(self.config.n_layer))]

    def written_parts(self, activations: Activations, position: int) -> Written:
        """Take the stream apart into embeddings, heads (Elhage et al. 2021) and feed-forward layers."""
        config, stream = self.config, Written(self.config.d_model)
        embedded = activations["embed"][0]  # (T, C)
        stream.add("embed", embedded[position])
        if config.smear:
            before = position % len(embedded) - 1
            stream.add("smear", self.smear * (embedded[before] if before >= 0 else torch.zeros_like(embedded[0])))
        if config.trigrams:
            stream.add("trigram", activations["trigram_embed"][0, position])
        if config.positions in ("learned", "sinusoidal"):
            stream.add("pos_embed", activations["pos_embed"][position])
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            z = activations[f"blocks.{layer}.attention.z"][0, :, position].double()  # (H, D)
            proj = block.attention.proj
            weight = proj.weight.double().view(config.d_model, config.n_head, -1)  # (C, H, D)
            for h, written in enumerate(torch.einsum("hd,chd->hc", z, weight)):  # (C,) each
                stream.add(f"L{layer} H{h}", written)
            stream.biases += proj.bias.double()
            if config.norm == "post":
                stream.normalise(block.ln1)
            stream.add(f"L{layer} MLP", activations[f"blocks.{layer}.mlp_out"][0, position])
            if config.norm == "post":
                stream.normalise(block.ln2)
        stream.normalise(self.ln_final)
        return stream

    @property
    def unembedding(self) -> nn.Linear:
        """The last linear layer."""
        return self.lm_head

    @property
    def n_attention_heads(self) -> int:
        """Heads in each layer's attention."""
        return self.config.n_head

    @property
    def position_scheme(self) -> str:
        """As the settings say."""
        return self.config.positions

    @torch.no_grad()
    def position_similarity(self) -> Tensor | None:
        """Return (T, T), T the context: cosines of position vectors, or what turning leaves of a perfect match."""
        kind = self.config.positions
        if kind == "none":
            return None
        if kind == "rotary":
            cos, sin = rotations(self.context, self.config.d_model // self.config.n_head)  # (T, D/2) each
            turned = torch.cat((cos, sin), dim=1).double()  # (T, D)
            return turned @ turned.T / cos.shape[1]  # (T, T) cos(a - b) = cos a cos b + sin a sin b
        vectors = (self.position_embedding.weight if kind == "learned" else self.sines).double()  # (T, C)
        unit: Tensor = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-30)  # (T, C)
        return unit @ unit.T  # (T, T)
