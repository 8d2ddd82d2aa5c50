"""What a model is made of: the shape of every weight and of everything computed, read off the live module."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from core.inspect.trace import Hook, hooked
from core.ladder import registry
from core.models.contract import LanguageModel, parameter_count
from core.models.footprint import weightless

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Anatomy:
    """Shapes of one model run on ids (B, T)."""

    batch: int
    window: int
    vocab_size: int
    parameters: int
    outputs: dict[str, Shape]
    """By module path, such as `blocks.0.attention.qkv`: the shape of what it gives."""
    weights: dict[str, Shape]
    """By parameter name."""
    dropouts: dict[str, float]
    """By module path (`x.dropout` where a layer applies it by itself), those that are switched on."""


@lru_cache(maxsize=64)
def anatomy(rung_key: str, model_json: str, vocab_size: int, batch: int, window: int = 0) -> Anatomy:
    """Build a rung's model on torch's `meta` device, run ids (B, T) through it, and note every shape.

    `window` 0 takes the model's own context. Nothing is allocated, however large the model.
    """
    rung = registry.get(rung_key)
    with weightless():
        model = rung.build(rung.config.model_validate_json(model_json), vocab_size)
        return anatomy_of(model, batch, window or model.usual_window)


@torch.no_grad()
def anatomy_of(model: LanguageModel, batch: int, window: int) -> Anatomy:
    """The same for a model at hand, on the device where it is."""
    outputs: dict[str, Shape] = {}
    with hooked([(module, _noting(outputs, name)) for name, module in model.named_modules() if name]):
        model(torch.zeros((batch, window), dtype=torch.long, device=next(model.parameters()).device))
    dropouts: dict[str, float] = {}
    for name, module in model.named_modules():
        own = getattr(module, "dropout", 0.0)
        if isinstance(module, nn.Dropout) and module.p > 0:
            dropouts[name] = module.p
        elif isinstance(own, float) and own > 0:
            dropouts[f"{name}.dropout"] = own
    weights = {name: tuple(p.shape) for name, p in model.named_parameters()}
    return Anatomy(batch, window, model.vocab_size, parameter_count(model), outputs, weights, dropouts)


def _noting(outputs: dict[str, Shape], name: str) -> Hook:
    def note(output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor):
            outputs[name] = tuple(first.shape)

    return note
