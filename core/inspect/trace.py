"""One look inside a prediction: the named activations it was made of, and what becomes of it when they are changed.

A model passes what has a name through a `Tap`; a trace listens to these while the model runs. It is the computation
that produced the logits, not a second implementation. An intervention (switch a head off, put in what another prompt
had there) replaces what passes through a tap, in the same run.

Names are the taps' paths in the model: `embed`, `blocks.3.resid_pre`, `blocks.3.attention.pattern`, `logits`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import BardlabError
from core.models.contract import LanguageModel, Tap

Intervention = Callable[[Tensor], Tensor]
"""Takes what passes through a tap and returns what shall pass instead, of the same shape."""


@dataclass(frozen=True)
class Trace:
    """What one run of a model was made of."""

    logits: Tensor
    """(B, T, V)"""
    activations: Mapping[str, Tensor]
    """By the taps' names, in the order in which they were passed."""

    def __getitem__(self, name: str) -> Tensor:
        """Return one activation. Raises KeyError if it was not listened to."""
        return self.activations[name]


def taps(model: LanguageModel) -> dict[str, Tap]:
    """List a model's taps by name, in declaration order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Tap)}


@contextmanager
def intervening(model: LanguageModel, interventions: Mapping[str, Intervention]) -> Iterator[None]:
    """Let `interventions` act on every run of the model inside the `with` block.

    They act in this thread alone, so that a model can be shared. Raises BardlabError if the model has no tap of a name.
    """
    known = taps(model)
    with hooked([(_tap(known, name), change) for name, change in interventions.items()]):
        yield


@torch.no_grad()
def trace(
    model: LanguageModel,
    ids: Tensor,
    names: str | tuple[str, ...] = "*",
    interventions: Mapping[str, Intervention] | None = None,
) -> Trace:
    """Run the model on ids (B, T) in evaluation mode and keep the activations whose names fit `names`.

    `names` are patterns such as `blocks.*.pattern` or `*.resid_post`. What an intervention changed is kept changed.
    Raises BardlabError if an intervention's tap does not exist.
    """
    wanted = (names,) if isinstance(names, str) else names
    activations: dict[str, Tensor] = {}
    was_training = model.training
    model.eval()
    try:
        named = taps(model).items()
        hooks = [(tap, capture(activations, name)) for name, tap in named if any(fnmatchcase(name, p) for p in wanted)]
        with intervening(model, interventions or {}), hooked(hooks):
            logits = model(ids)  # (B, T, V)
    finally:
        model.train(was_training)
    return Trace(logits, activations)


def _tap(known: Mapping[str, Tap], name: str) -> Tap:
    if name not in known:
        raise BardlabError(f"this model has no activation {name!r}; it has {', '.join(known) or 'none'}")
    return known[name]


Hook = Callable[[Any], Any]
"""Takes what a module gives; returns what it shall give instead, or None to leave it as it is."""


@contextmanager
def hooked(hooks: Iterable[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Let each hook see every output of its module inside the `with` block, in the order given.

    Pages share models between their visitors, so runs of the model in other threads pass as if nobody listened.
    """
    with ExitStack() as stack:
        for module, hook in hooks:
            stack.callback(module.register_forward_hook(_mine(hook)).remove)
        yield


def capture(into: dict[str, Any], name: str) -> Hook:
    """Make a hook that notes the latest output under a name."""

    def note(output: Any) -> None:
        into[name] = output

    return note


def _mine(hook: Hook) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
    mine = get_ident()

    def call(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        return hook(output) if get_ident() == mine else None

    return call
