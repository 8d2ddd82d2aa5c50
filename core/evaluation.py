"""One evaluation for every rung: exact, over the whole text, always the same windows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.models.contract import LanguageModel
from core.models.memory import at_once, is_out_of_memory, release

SLIDING_WINDOW = 256


@dataclass(frozen=True)
class Evaluation:
    """The mean cross-entropy of a text under a model."""

    loss: float
    """Nats a character; infinite if the model calls a character that occurs impossible."""
    predictions: int
    """How many next characters were predicted."""
    impossible: int
    """How many of them the model had given no probability at all."""

    @property
    def bits(self) -> float:
        """Bits a character."""
        return self.loss / math.log(2)


def evaluation_window(model: LanguageModel) -> int:
    """Characters in one window: the model's own context, or 256 for a model whose shorter reach slides inside it.

    A model that carries a memory along begins each of these windows without one, as it does in training.
    """
    context = model.context
    return SLIDING_WINDOW if context is None else max(context, SLIDING_WINDOW) if model.slides else context


def spread_slice(ids: Tensor, count: int, pieces: int = 8) -> Tensor:
    """Return about `count` of ids (N,), as stretches spread evenly over the text; all of them if there are no more."""
    length = count // pieces
    if length < 2 or pieces * length >= len(ids):
        return ids
    starts = torch.linspace(0, len(ids) - length, pieces).long()
    return torch.cat([ids[start : start + length] for start in starts.tolist()])  # (pieces · length,)


def windows(ids: Tensor, length: int, rows: int) -> tuple[Tensor, Tensor]:
    """Return inputs and targets (rows, length) each, from places spread evenly over ids (N,); shorter if N is."""
    length = max(1, min(length, len(ids) - 1))
    starts = torch.linspace(0, len(ids) - length - 1, rows).long()  # (rows,)
    chunk = ids[starts[:, None] + torch.arange(length + 1)]  # (rows, length+1)
    return chunk[:, :-1], chunk[:, 1:]


@torch.no_grad()
def evaluate(model: LanguageModel, ids: Tensor) -> Evaluation:
    """Measure the mean next-character cross-entropy over every pair of neighbours in ids (N,), in nats.

    The text is cut into consecutive windows; the last, shorter one is included, so all N - 1 characters that have a
    predecessor are predicted exactly once. The model is put into evaluation mode for the time being. Where memory is
    short, fewer windows are taken at once.
    """
    window = evaluation_window(model)
    inputs, targets = ids[:-1], ids[1:]  # (N-1,) each
    full = len(inputs) // window * window
    parts = [(inputs[:full].view(-1, window), targets[:full].view(-1, window))]  # (rows, window) each
    if full < len(inputs):
        parts.append((inputs[full:][None], targets[full:][None]))  # (1, rest)
    rows = max(1, at_once(ids.device) // window)
    total = torch.zeros((), dtype=torch.float64)
    impossible = 0
    was_training = model.training
    model.eval()
    try:
        for x, y in parts:
            done = 0
            while done < len(x):
                losses = _losses_or_none(model, x[done : done + rows], y[done : done + rows], last=rows == 1)
                if losses is None:
                    rows = math.ceil(rows / 2)
                    release(ids.device)
                    continue
                total += losses.double().sum()
                impossible += int(torch.isinf(losses).sum())
                done += rows
    finally:
        model.train(was_training)
    return Evaluation(float(total) / len(inputs), len(inputs), impossible)


def _losses_or_none(model: LanguageModel, x: Tensor, y: Tensor, *, last: bool) -> Tensor | None:
    """Return the loss of each of targets (b, T) after inputs (b, T), on the CPU: (b·T,).

    None if there is not enough memory for it, which is raised only if this is the `last` and smallest attempt. What
    the attempt had allocated is free again when this returns.
    """
    try:
        return F.cross_entropy(model(x).flatten(0, 1).float(), y.flatten(), reduction="none").cpu()  # (b·T,)
    except Exception as error:
        if last or not is_out_of_memory(error):
            raise
        return None
