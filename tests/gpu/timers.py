"""Where the seconds of a run go: steps, compiling, evaluations, sampling, saving."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch

from core.jobs.recorder import Recorder
from core.jobs.timing import synchronise
from core.training import loop
from core.training.trainer import Trainer

PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "compiling": ((Trainer, "prepare"),),
    "evaluations": ((loop, "evaluate"),),
    "sampling": ((loop, "generate"),),
    "saving and curves": ((Recorder, "progress"), (Recorder, "evaluated"), (Recorder, "save")),
}
"""By kind, the functions in which a run spends its seconds; what is left is steps."""


@contextlib.contextmanager
def timed(device: torch.device) -> Iterator[dict[str, float]]:
    """Count the seconds of each kind while a run is trained in this process.

    The device is waited for before and after each, so that what it still had to do counts as steps.
    """
    spent = dict.fromkeys(PARTS, 0.0)
    with ExitStack() as stack:
        for kind, places in PARTS.items():
            for owner, name in places:
                stack.enter_context(patch.object(owner, name, _around(getattr(owner, name), kind, spent, device)))
        yield spent


def _around(work: Callable[..., Any], kind: str, spent: dict[str, float], device: torch.device) -> Callable[..., Any]:
    @functools.wraps(work)
    def counted(*args: Any, **kwargs: Any) -> Any:
        synchronise(device)
        began = time.perf_counter()
        try:
            found = work(*args, **kwargs)
            if isinstance(found, Iterator):  # a sample is written while it is asked for
                found = iter(list(found))
            return found
        finally:
            synchronise(device)
            spent[kind] += time.perf_counter() - began

    return counted
