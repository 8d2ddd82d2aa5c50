"""Ranks the parts of a run's model. What was measured is kept on disk on the way, so that a ranking can go on."""

import contextlib
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from core import files
from core.errors import BardlabError
from core.inspect.evaluation_set import Doubles, evaluation_set
from core.inspect.interventions import ablation
from core.inspect.interventions.ablation import Method
from core.inspect.interventions.price_list import as_list, write
from core.models.contract import LanguageModel
from core.runs import checkpoints, layout
from core.runs.state import Run
from core.texts import corpus

SAVE_SECONDS = 1.0  # what a killed ranking measures again is at most this old


def rank(
    run: Run, step: int | None, method: Method, device: torch.device, should_stop: Callable[[], bool]
) -> Iterator[float]:
    """Measure what every part is worth and keep it with the run. Yields the share that is done, from 0 to 1.

    After each batch of windows the run's price list is that of the windows so far. Asked to stop, it ends after the
    part it is at; called again, for the same weights on the same kind of device, it goes on there, to the same result.
    Raises BardlabError if there is nothing to measure, or what was measured cannot be kept.
    """
    weights, model = _load(run, step)
    text = corpus.load(run.need().corpus)
    data = evaluation_set(model, text)
    board = model.parts()
    if not board:
        raise BardlabError(f"a {run.need().rung.title} has no parts to switch off; choose another rung")
    about = json.dumps([weights, text.sha256, method, device.type, [part.key for part in board]])
    file = layout.ranking_path(run.path, step, method) / layout.SUMS
    sums = _read(file, about, ablation.unmeasured(data, board))
    saved = time.monotonic()
    for share, found in ablation.rank(model.to(device), data.to(device), board, method, sums):
        if found is not None:
            write(run, step, as_list(found, weights, method, len(data.inputs)))
        stop = should_stop()
        if stop or found is not None or time.monotonic() - saved > SAVE_SECONDS:
            _write(run, file, about, sums)
            saved = time.monotonic()
        yield share
        if stop and share < 1:
            return
    with contextlib.suppress(OSError):
        files.remove(file)  # all of it is in the price list


def _load(run: Run, step: int | None) -> tuple[str, LanguageModel]:
    while True:
        weights = checkpoints.fingerprint(run, step)
        model, _ = checkpoints.load_model(run, step)
        if weights == checkpoints.fingerprint(run, step):
            return weights, model


def _read(file: Path, about: str, nothing: Doubles) -> Doubles:
    """Return what an earlier ranking of the same things left; `nothing` if there is none, or it cannot be read."""
    unreadable = OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile
    with contextlib.suppress(*unreadable), file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
        if str(kept["about"]) == about and kept["sums"].shape == nothing.shape:
            return np.array(kept["sums"], np.float64)
    return nothing


def _write(run: Run, file: Path, about: str, sums: Doubles) -> None:
    try:
        with files.replacing(file, durable=False) as opened:
            np.savez(opened, about=np.array(about), sums=sums)
    except FileNotFoundError:
        raise BardlabError(f"run {run.slug} is gone; its prices were not kept") from None
    except OSError as error:
        raise BardlabError(f"the prices of {run.slug} cannot be kept: {files.explain(error, naming=True)}") from None
