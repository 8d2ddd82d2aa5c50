"""Writing text with a trained model, one character at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.config import Settings, setting
from core.models.contract import LanguageModel


class SamplingConfig(Settings):
    """How the next character is drawn from the model's distribution."""

    tokens: int = setting(
        400, "Characters to write.", ge=1, le=20_000, ticks=(50, 100, 200, 400, 800, 1600, 5000, 20_000)
    )
    temperature: float = setting(
        1.0,
        "Divides the logits: below 1 sharpens the distribution, above 1 flattens it; 0 always takes the likeliest.",
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


@dataclass(frozen=True)
class Choice:
    """One character as it was drawn."""

    id: int
    logits: Tensor
    """(V,) the model's logits, before temperature and cuts."""
    probability: float
    """What the character's chance was, after temperature and cuts."""


def next_distribution(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Turn logits (V,) into the probabilities (V,) that are drawn from: temperature, then top-k, then top-p."""
    if config.temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).to(logits.dtype)  # (V,)
    logits = logits / config.temperature  # (V,)
    if 0 < config.top_k < len(logits):
        kth = logits.topk(config.top_k).values[-1]
        logits = logits.masked_fill(logits < kth, float("-inf"))  # (V,)
    probs = F.softmax(logits, dim=-1)  # (V,)
    if config.top_p < 1:
        ordered, order = probs.sort(descending=True, stable=True)  # (V,) each
        before = ordered.cumsum(0) - ordered  # (V,) probability of all likelier characters
        probs = probs.index_fill(0, order[before >= config.top_p], 0.0)  # (V,)
        probs = probs / probs.sum()
    return probs


@torch.inference_mode()
def generate(model: LanguageModel, prompt: list[int], config: SamplingConfig) -> Iterator[Choice]:
    """Continue `prompt` (at least one id) by `config.tokens` characters.

    Each is drawn from the distribution after the last `context` characters. While the text fits the context, a cache
    lets the model read each character once; beyond it the window rolls and is read anew, so that the distribution is
    the one of the definition at every position. A model that slides keeps its cache for ever: older characters fall
    out of its reach by themselves.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(config.seed)
    ids = list(prompt)
    model.eval()
    cache, read = model.new_cache(1), 0
    for _ in range(config.tokens):
        if cache is not None and (model.slides or len(ids) <= model.context):
            fresh = torch.tensor([ids[read:]], device=device)  # (1, T) what the cache has not seen
            logits = model(fresh, cache)[0, -1].float().cpu()  # (V,)
            read = len(ids)
        else:
            window = torch.tensor([ids[-model.context :]], device=device)  # (1, context)
            logits = model(window)[0, -1].float().cpu()  # (V,)
        probs = next_distribution(logits, config)  # (V,)
        choice = int(torch.multinomial(probs, 1, generator=generator))
        ids.append(choice)
        yield Choice(choice, logits, float(probs[choice]))
