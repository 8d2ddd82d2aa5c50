"""What a run will cost before it is started: parameters, arithmetic and memory, read off the model on `meta`."""

import threading
from dataclasses import dataclass
from functools import lru_cache

import torch

from core.evaluation import evaluation_window
from core.ladder import registry
from core.ladder.rung import Rung
from core.models.contract import LanguageModel, parameter_count, parameter_table
from core.models.footprint import Footprint, footprint, weightless
from core.settings import Settings
from core.training import devices
from core.training.config import TrainConfig

AN_NGRAM = (40, 14)
"""Bytes a character of text that counting it takes at its peak, and for each length counted."""
LIBRARIES = {"cpu": 5_000_000}
"""Bytes that a processor's libraries keep of their own once they have taken a training step; measured."""
READ_AT_ONCE = {"cpu": 2048, "mps": 16_384}
"""Characters that an evaluation takes at once; a GPU of NVIDIA's with little memory takes fewer than the 65,536 of one
that has it."""


@dataclass(frozen=True)
class Work:
    """What a piece of computing consists of; its time is a weighted sum of these."""

    operations: float
    flops: float
    bytes: float
    parameters: float
    """Weights that are read or moved."""
    orthogonal: float = 0.0
    """Floating-point operations of Muon."""

    def __mul__(self, times: float) -> "Work":
        return Work(*(times * value for value in self.row))

    @property
    def row(self) -> tuple[float, ...]:
        """The same as numbers."""
        return (self.operations, self.flops, self.bytes, self.parameters, self.orthogonal)


@dataclass(frozen=True)
class Cost:
    """What a model with these settings is made of and takes."""

    parameters: int
    parts: tuple[tuple[str, int], ...]
    """(component, parameters) of each top-level part; they add up to `parameters`."""
    window: int
    """Characters in one training sequence."""
    steps: int
    """Optimiser steps; one for a model that is fitted in closed form."""
    flops_per_step: float
    """Floating-point operations of one training step, forward and backward."""
    memory_bytes: int
    """The most that training or an evaluation holds at once: weights, gradients, optimiser state, activations.

    On each of its devices, if several compute a run; so are the next two."""
    training_bytes: int
    """The same without evaluations, which take less at once where there is little."""
    step: Work
    """One training step."""
    evaluation: Work
    """An evaluation, for each character."""
    writing: Work
    """Writing one character."""
    grows_with_text: bool = False
    """True if parameters and memory are decided by the text; `parameters` then leaves that part out."""
    closed_form: bool = False
    """True if the model is fitted in one step and never compiled."""
    fused: bool = False
    """True if nothing is gained by compiling it."""
    devices: int = 1
    """How many compute the run together."""


@dataclass(frozen=True)
class _Shape:
    parameters: int
    parts: tuple[tuple[str, int], ...]
    window: int
    closed_form: bool
    grows_with_text: bool
    fused: bool
    matrices: tuple[tuple[int, int], ...]
    """Shapes of the hidden matrices, the longer side last."""
    buffers: int
    evaluated: int
    """Characters in one window of an evaluation."""


@lru_cache(maxsize=256)
def _shape_of(rung_key: str, model_json: str, vocab_size: int, window: int) -> _Shape:
    """Read off the model what does not depend on batch or device."""
    model = _model(rung_key, model_json, vocab_size)
    matrices = []
    for weight in model.hidden_matrices():
        pieces = model.stacked(weight)
        rows, columns = sorted((weight.shape[0] // pieces, weight.shape[1]))
        matrices += [(rows, columns)] * pieces
    return _Shape(
        parameter_count(model),
        tuple(parameter_table(model)),
        window or model.usual_window,
        model.closed_form,
        model.grows_with_text,
        model.fused,
        tuple(matrices),
        sum(buffer.numel() * buffer.element_size() for buffer in model.buffers()),
        evaluation_window(model),
    )


class _Latest(threading.local):
    """The model that a thread asked about last: what it asks next is mostly about the same one."""

    asked: tuple[str, str, int] | None = None
    model: LanguageModel


_latest = _Latest()


def _model(rung_key: str, model_json: str, vocab_size: int) -> LanguageModel:
    asked = rung_key, model_json, vocab_size
    if _latest.asked != asked:
        rung = registry.get(rung_key)
        with weightless():
            _latest.model = rung.build(rung.config.model_validate_json(model_json), vocab_size)
        _latest.asked = asked
    return _latest.model


@lru_cache(maxsize=512)
def _pass(
    rung_key: str, model_json: str, vocab_size: int, rows: int, window: int, kind: str, lowered: bool, training: bool
) -> Footprint:
    model = _model(rung_key, model_json, vocab_size)
    return footprint(model, rows, window, kind=kind, lowered=lowered, training=training)


def cost(
    rung: Rung,
    model: Settings,
    train: TrainConfig,
    vocab_size: int,
    device: str = "cpu",
    text_length: int = 0,
) -> Cost:
    """Read the cost of a run off its model, without allocating it.

    Memory depends on the `device` (its kind is enough) and on how long the text is.
    """
    kind = device.partition(":")[0]
    asked = rung.key, model.model_dump_json(), vocab_size
    shape = _shape_of(*asked, train.window)
    lowered = lowers(train.precision, kind)
    count = 1 if shape.closed_form else train.devices
    rows = 1 if shape.closed_form else max(1, train.batch_size // count)
    forward = _pass(*asked, rows, shape.window, kind, lowered, not shape.closed_form)
    flops = forward.flops + 8.0 * rows * shape.window * vocab_size  # the loss, which is no matrix product
    at_once = max(1, READ_AT_ONCE.get(kind, 65_536) // shape.evaluated)
    reading = _pass(*asked, at_once, shape.evaluated, kind, False, False)
    orthogonal = sum(3 * (4.0 * m * m * n + 2.0 * m**3) for m, n in shape.matrices)
    muon = train.optimizer == "muon" and bool(shape.matrices)
    operations = 3.0 * forward.operations + (60.0 * len(set(shape.matrices)) + 6.0 * len(shape.matrices)) * muon
    weights = 4 * shape.parameters + shape.buffers + 8 * text_length
    activations = max(forward.peak_bytes, reading.peak_bytes)
    if shape.closed_form:
        fixed, once, each = weights, *(AN_NGRAM if shape.grows_with_text else (0, 0))
        counted = (once + each * getattr(model, "order", 2)) * text_length
        needed = training = fixed + max(counted, reading.peak_bytes)
    else:
        state, moving = _optimiser(shape, train)
        sent = 4 * shape.parameters if count > 1 else 0  # the gradients once more, while they are averaged
        kept = weights + state + sent + LIBRARIES.get(kind, 0)
        needed, training = kept + max(activations, moving), kept + max(forward.peak_bytes, moving)
    per_character = 1.0 / (at_once * shape.evaluated)
    one_character = flops / (rows * shape.window)
    return Cost(
        parameters=shape.parameters,
        parts=shape.parts,
        window=shape.window,
        steps=1 if shape.closed_form else train.steps,
        flops_per_step=flops if shape.closed_form else 3.0 * flops * count,
        memory_bytes=needed,
        training_bytes=training,
        step=Work(operations, 3.0 * flops, 3.0 * forward.made_bytes, shape.parameters, orthogonal * muon),
        evaluation=Work(
            reading.operations * per_character,
            one_character,
            reading.made_bytes * per_character,
            shape.parameters * per_character,
        ),
        writing=Work(reading.operations, one_character, 0.0, shape.parameters),
        grows_with_text=shape.grows_with_text,
        fused=shape.fused,
        closed_form=shape.closed_form,
        devices=count,
    )


def lowers(precision: str, kind: str) -> bool:
    """True if products are in 16 bits on a device of this kind, as far as it can be told without using it."""
    if precision == "auto" and kind == "cpu":
        return devices.precision("auto", torch.device("cpu")) is not torch.float32
    return precision in ("bfloat16", "float16") or (precision == "auto" and kind == "cuda")


def _optimiser(shape: _Shape, train: TrainConfig) -> tuple[int, int]:
    """Bytes of the optimiser's state, and the most that its step holds beside it: gradients, copies, products."""
    hidden = sum(m * n for m, n in shape.matrices) if train.optimizer == "muon" else 0
    states = {"sgd": 0, "muon": 2, "adamw": 2}[train.optimizer]
    state = 4 * (states * (shape.parameters - hidden) + hidden)
    return state, 4 * (3 * shape.parameters + 3 * hidden)
