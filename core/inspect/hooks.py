"""Listening to the modules of a model that other threads may be using: a hook acts in the thread that set it, alone."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any

from torch import nn

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


def noting(found: dict[str, Any], name: str) -> Hook:
    """Make a hook that notes the latest output under a name."""

    def note(output: Any) -> None:
        found[name] = output

    return note


def _mine(hook: Hook) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
    mine = get_ident()

    def call(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        return hook(output) if get_ident() == mine else None

    return call
