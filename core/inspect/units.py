"""What single hidden units do along a text: which of them keep track of something that a reader can name.

After Karpathy et al. (2015), "Visualizing and understanding recurrent networks", section 4.2, who found cells of an
LSTM that count along a line or switch on inside quotation marks. Here nothing is looked for by eye: each unit's
activation is correlated, over a piece of text, with properties of the text that can be computed.

Works for every model whose hidden units can be read (`LanguageModel.nonlinearities`).

Letters: T characters of the text, U units, K properties, V vocabulary.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BardlabError
from core.evaluation import evaluation_window
from core.inspect.trace import trace
from core.models.answers import Nonlinearity
from core.models.contract import LanguageModel
from core.texts.character_classes import text_classes

Doubles = NDArray[np.float64]


def line_position(text: str) -> Doubles:
    """Return for each character how many have been read since the last line break (T,): 0 at the break itself."""
    found, at = np.zeros(len(text)), 0
    for i, character in enumerate(text):
        at = 0 if character == "\n" else at + 1
        found[i] = at
    return found


def speaker_name(text: str) -> Doubles:
    """Return 1 for each character of a speaker's name, else 0 (T,)."""
    return np.array([name == "speaker name" for name in text_classes(text)], dtype=np.float64)


def word_start(text: str) -> Doubles:
    """Return 1 for each letter with no letter before it, else 0 (T,)."""
    before = " " + text
    return np.array([c.isalpha() and not before[i].isalpha() for i, c in enumerate(text)], dtype=np.float64)


PROPERTIES: Mapping[str, Callable[[str], Doubles]] = {
    "line position": line_position,
    "speaker name": speaker_name,
    "word start": word_start,
}
"""What a unit may follow, by name: each takes a text and returns a number for each of its characters."""


@dataclass(frozen=True)
class UnitCorrelations:
    """How well the units of one layer follow each property of a text."""

    layer: str
    correlations: Doubles
    """(K, U) Pearson's r between activation and property, from -1 to 1; 0 where either never changes."""
    characters: int
    """T"""

    def order(self, name: str) -> list[int]:
        """Units by how well they follow one property, whatever the sign, best first."""
        row = self.correlations[list(PROPERTIES).index(name)]
        found: list[int] = np.argsort(-np.abs(row), kind="stable").tolist()
        return found


def hidden_layers(model: LanguageModel) -> dict[str, Nonlinearity]:
    """List the layers whose units can be read, by name, first layer first."""
    return {bend.layer: bend for bend in model.nonlinearities()}


def _layer(model: LanguageModel, layer: str) -> Nonlinearity:
    known = hidden_layers(model)
    if layer not in known:
        raise BardlabError(f"this model has no hidden layer {layer!r}; choose one of {', '.join(known) or 'none'}")
    return known[layer]


def activations(model: LanguageModel, ids: list[int], layer: str) -> Doubles:
    """Return what each unit of a layer gives after each of ids (T, U), read in the windows of the evaluation.

    Raises BardlabError if the model has no such layer.
    """
    tap = _layer(model, layer).tap
    pieces = torch.split(torch.tensor(ids), evaluation_window(model))
    rows: Doubles = torch.cat([trace(model, piece[None], tap)[tap][0] for piece in pieces]).double().numpy()
    return rows


def correlate_units(model: LanguageModel, ids: list[int], text: str, layer: str) -> UnitCorrelations:
    """Correlate every unit of a layer with every property of the text, whose ids are given.

    Raises BardlabError if the model has no such layer.
    """
    values = activations(model, ids, layer)  # (T, U)
    properties = np.stack([measure(text) for measure in PROPERTIES.values()])  # (K, T)
    return UnitCorrelations(layer, correlations(properties, values.T), len(text))


def correlations(rows: Doubles, others: Doubles) -> Doubles:
    """Return Pearson's r of each of rows (K, T) with each of others (U, T): (K, U); 0 where one never changes."""
    units = [_standardised(each) for each in (rows, others)]
    found: Doubles = units[0] @ units[1].T / max(1, rows.shape[1])
    return found


def _standardised(rows: Doubles) -> Doubles:
    away = rows - rows.mean(axis=1, keepdims=True)
    spread = away.std(axis=1, keepdims=True)
    found: Doubles = np.divide(away, spread, out=np.zeros_like(away), where=spread > 1e-9)
    return found


def direct_logit_effect(model: LanguageModel, ids: list[int], layer: str, unit: int) -> Doubles | None:
    """Return what one more of a unit's activation adds directly to each logit (V,), less the mean over characters.

    Of a unit that writes into a residual stream: the derivative of the last reading of the stream, the mean over the
    positions of ids (at least one), whatever later layers make of it left aside. None if a unit of this layer writes
    neither into a stream nor into the logits. Raises BardlabError if the model has no such layer.
    """
    bend = _layer(model, layer)
    if not bend.writes:
        return None
    writer = model.get_submodule(bend.writes)
    assert isinstance(writer, torch.nn.Linear)
    column = writer.weight[:, unit].detach()  # (C,) or (V,)
    added = column if writer is model.unembedding else _read_off(model, ids, column)  # (V,)
    found: Doubles = (added - added.mean()).double().numpy()
    return found


def _read_off(model: LanguageModel, ids: list[int], column: Tensor) -> Tensor:
    """What a little of a vector (C,) in the stream adds to the logits (V,), for each unit of its length."""
    last = model.stream()[-1]
    stream = trace(model, torch.tensor([ids[-model.readable(len(ids)) :]]), last)[last]  # (1, T, C)
    jvp = torch.autograd.functional.jvp(model.unembed, stream, column.expand_as(stream))  # type: ignore[no-untyped-call]
    slope: Tensor = jvp[1]  # (1, T, V)
    mean: Tensor = slope.mean((0, 1)).detach()  # (V,)
    return mean
