"""Writing text with a trained model, one character at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from core.inference import loader
from core.inference.decoder import Decoder, Written, decoder_for
from core.models.contract import LanguageModel, parameter_count
from core.models.rounding import rounded
from core.settings import Settings, setting

AT_ONCE = 500_000_000
"""Weights times characters of a prompt that are read in one go, in about 30 ms: as long as nobody can stop it."""
SHARPEST = 1e-6
"""Below this temperature nothing but the likeliest character can be drawn."""


class SamplingConfig(Settings):
    """How the next character is drawn from the model's distribution."""

    tokens: int = setting(
        400, "Characters to write.", ge=1, le=20_000, ticks=(50, 100, 200, 400, 800, 1600, 5000, 20_000)
    )
    temperature: float = setting(
        1.0,
        "Divides the logits: below 1 sharpens the distribution, above 1 flattens it; 0 (in effect anything below a "
        "millionth) always takes the likeliest.",
        ge=0.0,
        le=3.0,
        step=0.05,
    )
    top_k: int = setting(
        0, "Draw from the k likeliest characters only. 0 leaves all of them in.", ge=0, le=1000, step=1
    )
    top_p: float = setting(
        1.0,
        "Draw from the smallest set of characters that holds this much probability (nucleus, Holtzman et al. 2020).",
        ge=0.01,
        le=1.0,
        step=0.01,
    )
    seed: int = setting(1337, "Same seed, same text.", ge=0, le=2**31 - 1, step=1)
    beyond: Literal["roll", "half"] = setting(
        "roll",
        "For models that cannot look further back than their context, once the text is longer. roll: read the last "
        "context characters anew for each one, as the reference does. half: when the context is full, read its last "
        "half anew and go on from there, ten times as fast; each character then sees half a context to a whole one.",
    )
    weights: Literal["float32", "bfloat16"] = setting(
        "float32",
        "How the weights are kept. bfloat16: rounded to three digits, so that half as many bytes are read for each "
        "character: a large model writes faster. The weights that ship are rounded already: the Transformer's loss "
        "over the whole validation split is 1.4628 either way. What it costs another model, `evaluate RUN --rounded` "
        "measures.",
        advanced=True,
    )


class Choice(NamedTuple):
    """One character as it was drawn. Everything but the first three is worked out when asked for."""

    id: int
    logits: Tensor
    """(V,) the model's logits, before temperature and cuts."""
    probability: float
    """What the character's chance was, after temperature and cuts."""
    config: SamplingConfig

    @property
    def log_probability(self) -> float:
        """The natural logarithm of the chance that the model itself gave it, before temperature and cuts."""
        return float(self.logits[self.id] - self.logits.logsumexp(0))

    @property
    def rank(self) -> int:
        """Its place among all characters by the model's chances, 1 the likeliest."""
        return 1 + int((self.logits > self.logits[self.id]).sum())

    def rivals(self, count: int) -> list["Rival"]:
        """List the likeliest characters, at most so many, the drawn one among them if it is one of them."""
        before = F.softmax(self.logits, dim=0)  # (V,)
        after = next_distribution(self.logits, self.config)  # (V,)
        top = before.topk(min(count, len(before)))
        ids = top.indices.tolist()
        return [Rival(*each) for each in zip(ids, top.values.tolist(), after[top.indices].tolist(), strict=True)]


class Rival(NamedTuple):
    """A character that could have been drawn."""

    id: int
    before: float
    """Its chance by the model itself."""
    after: float
    """Its chance after temperature and cuts."""


def next_distribution(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Turn logits (..., V) into the probabilities (..., V) drawn from: temperature, then top-k, then top-p."""
    if config.temperature < SHARPEST:  # float32 could not divide by it
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)  # (..., V)
    logits = logits / config.temperature  # (..., V)
    if 0 < config.top_k < logits.shape[-1]:
        kth = logits.topk(config.top_k).values[..., -1:]  # (..., 1)
        logits = logits.masked_fill(logits < kth, float("-inf"))  # (..., V)
    probs = F.softmax(logits, dim=-1)  # (..., V)
    if config.top_p < 1:
        ordered, order = probs.sort(descending=True, stable=True)  # (..., V) each
        before = ordered.cumsum(-1) - ordered  # (..., V) probability of all likelier characters
        kept = torch.where(before < config.top_p, ordered, 0.0)  # (..., V) likeliest first
        probs = torch.zeros_like(probs).scatter(-1, order, kept)  # (..., V)
        probs = probs / probs.sum(-1, keepdim=True)
    return probs


def generate(
    model: LanguageModel,
    prompt: list[int],
    config: SamplingConfig,
    *,
    fast: bool = False,
    ahead: bool = True,
) -> Iterator[Choice]:
    """Continue `prompt` (at least one id) by `config.tokens` characters, one at a time. See `streams`."""
    for step in streams(model, [prompt], config, fast=fast, ahead=ahead):
        yield step[0]


def streams(
    model: LanguageModel,
    prompts: Sequence[list[int]],
    config: SamplingConfig,
    *,
    fast: bool = False,
    ahead: bool = True,
    pauses: bool = False,
) -> Iterator[list[Choice]]:
    """Continue several prompts of one length at once; each step yields one character of each text.

    Each is drawn from the distribution after the last `context` characters. While the text fits the context, a cache
    lets the model read each character once; beyond it the window rolls and is read anew, so that the distribution is
    the one of the definition at every position, or, with `beyond` at half, its last half is read into a fresh cache.
    A model that slides keeps its cache for ever: older characters fall out of its reach by themselves. Text number i
    draws from a generator of its own with seed `config.seed` + i, so it is the text that it would be alone.

    Of a long prompt only what a prediction can depend on is read and kept, whatever its length. A model that depends
    on all of the past gives None for its context.

    With `fast`, machine code writes as soon as it is there (core/inference): the same text from the same
    numbers drawn, in blocks of some 30 ms; with guesses `ahead`, where that is faster.

    A long prompt is read in pieces of some 30 ms; with `pauses`, an empty step comes after each, so that whoever is
    served can leave.
    """
    halves = config.weights == "bfloat16"
    if halves:
        model = rounded(model)
    device = next(model.parameters()).device
    generators = [torch.Generator().manual_seed(config.seed + i) for i in range(len(prompts))]
    context: int | None = model.context
    reach = slice(None) if context is None else slice(-context, None)
    length, left = len(prompts[0]), config.tokens
    ids = torch.tensor([prompt[reach] for prompt in prompts], device=device)  # (B, T) the latest, T <= context
    model.eval()
    cuts = (config.temperature, config.top_k, config.top_p)
    decoder: Decoder | None = None
    cache, fresh = model.new_cache(len(prompts)), ids  # fresh: what the cache has not seen
    while left:
        if fast and (kernels := loader.ready()) is not None:  # from here on, if it was not before
            fast, decoder = False, decoder_for(model, kernels, len(prompts), halves, ahead)
            if decoder is not None:
                if context is None or model.slides or cache is None:
                    fresh = ids
                else:
                    held = cache.length + fresh.shape[1]
                    full = config.beyond == "half" and held > context
                    fresh = ids[:, -max(1, context // 2) if full else -held :]  # (B, T) all that the cache held
                if context is not None and not model.slides and config.beyond == "half" and length + left > context:
                    decoder.halve(context)
        fits = context is None or model.slides or length <= context
        reader = cache if decoder is None else decoder
        if context is not None and not fits and config.beyond == "roll" and decoder and decoder.reads_windows:
            fresh, fits = decoder.begin(ids), True
        elif context is not None and not fits and config.beyond == "half" and reader is not None:
            if left == config.tokens or reader.length + fresh.shape[1] > context:  # a long prompt, or full
                cache, fresh = model.new_cache(len(prompts)), ids[:, -max(1, context // 2) :]  # (B, context/2)
                if decoder is not None:
                    fresh = decoder.begin(fresh)
                reader = cache if decoder is None else decoder
            fits = True
        if fits and decoder is not None:
            room = left if context is None or model.slides else context - decoder.length - fresh.shape[1] + 1
            for _ in decoder.read(fresh, last=True) if fresh.shape[1] > 1 else ():
                if pauses:
                    yield []
            written = decoder.write(fresh[:, -1:], min(left, room), generators, cuts)
        else:
            if fits and cache is not None:
                *pieces, fresh = torch.split(fresh, max(16, AT_ONCE // parameter_count(model)), dim=1)
                for piece in pieces:
                    _read(model, piece, cache)
                    if pauses:
                        yield []
                logits = _read(model, fresh, cache)  # (B, V)
            else:
                logits = _anew(model, ids)  # (B, V)
            written = [_drawn(logits, generators, config)]
        if not written:  # chances that are no numbers: torch says so
            decoder = cache = None
        for drawn, answers, chances in written:
            yield [Choice(drawn[i], answers[i], chances[i], config) for i in range(len(drawn))]
        fresh = (
            torch.tensor([step.ids for step in written], dtype=torch.long, device=device).view(-1, len(prompts)).t()
        )  # (B, N)
        ids, length, left = torch.cat((ids, fresh), dim=1)[:, reach], length + len(written), left - len(written)
        fresh = fresh[:, -1:]  # (B, 1) the machine code has read the others


@torch.inference_mode()
def _anew(model: LanguageModel, ids: Tensor) -> Tensor:
    """Read a whole window (B, T); gives the logits (B, V) after it."""
    return model.last(ids).float().cpu()


@torch.inference_mode()
def _read(model: LanguageModel, fresh: Tensor, cache: Any) -> Tensor:
    """Read ids (B, T) that the cache has not seen; gives the logits (B, V) after them."""
    logits: Tensor = model(fresh, cache)[:, -1]  # (B, V)
    return logits.float().cpu()


def _drawn(logits: Tensor, generators: list[torch.Generator], config: SamplingConfig) -> Written:
    """Draw one character of each text from logits (B, V)."""
    probs = next_distribution(logits, config)  # (B, V)
    drawn = [int(torch.multinomial(p, 1, generator=g)) for p, g in zip(probs, generators, strict=True)]
    return Written(drawn, logits.unbind(), [float(p[c]) for p, c in zip(probs, drawn, strict=True)])
