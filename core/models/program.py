"""One more character as a list of small steps on vectors: what a rung offers to be run without Python.

A rung's `program` describes what its `forward` computes with a cache, step by step: which vectors are multiplied by
which weights and what is kept for later characters. Nothing is compiled for one rung: core/inference runs any such list
as machine code. torch stays the definition; tests/core/inference/test_decoder.py holds both to the same logits.

Every vector has its place in one row of working memory, everything kept from character to character in one row of
state for each text, all weights in one flat array. Nothing here needs the compiler.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.models.packing import concatenated, packed, rounded_up

Float = NDArray[np.float32]


class Step(IntEnum):
    """What one row of the list does."""

    EMBED = 0
    POSITION = 1
    LINEAR = 2
    NORM = 3
    ACTIVATE = 4
    COMBINE = 5
    GATE = 6
    RECENT = 7
    DELAY = 8
    ATTEND = 9
    CELL = 10
    RECALL = 11
    WEIGHTED = 12
    TRIGRAM = 13
    KEEP = 14
    LOOK = 15


BEFORE = 4
"""Characters before the one that is read which are at hand too: to look up three, to guess the next."""
GUESSES = 7
"""The most characters that are guessed ahead. What is kept of characters stands by their position, with room for as
many more, so that nothing has to be put back after a wrong guess."""
FEW = 1 + GUESSES
"""Vectors up to which each sum is taken in one order, however many are multiplied at once, and up to which rows that
all of them multiply by zero are left out: more have few such rows."""
KEEPING = (Step.RECENT, Step.DELAY, Step.ATTEND, Step.CELL)
"""The steps that keep something for later characters."""
ACTIVATIONS = ("", "relu", "gelu", "relu2", "tanh")
"""Element by element; the number of each is its place here."""
CELLS = ("plain", "gru", "lstm")


@dataclass(frozen=True)
class Vector:
    """A place in the row of working memory."""

    at: int
    size: int

    def part(self, start: int, size: int) -> "Vector":
        """A piece of it."""
        return Vector(self.at + start, size)


def _places(row: tuple[int, ...]) -> list[int]:
    """Which columns of a step are places in working memory."""
    with_b = row[0] in (Step.COMBINE, Step.ATTEND, Step.CELL)
    return [column for column in (1, 3, 5) if row[column] >= 0 and (column != 5 or with_b)]


@dataclass
class Program:
    """The list under construction, and when `logits` is set, finished."""

    vocab_size: int
    halves: bool = False
    """True if the matrices are to be kept rounded to bfloat16."""
    one_by_one: bool = False
    """True if a character's first step needs the last step of the one before: several cannot be read at once."""
    rows: list[tuple[int, ...]] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    width: int = 0
    state: int = 0
    logits: Vector | None = None
    _floats: list[NDArray[Any]] = field(default_factory=list)
    _shorts: list[NDArray[Any]] = field(default_factory=list)
    _counts: list[int] = field(default_factory=lambda: [0, 0])

    # --- room ---

    def vector(self, size: int) -> Vector:
        """Make room for a vector."""
        made = Vector(self.width, size)
        self.vectors.append(made)
        self.width += rounded_up(size)
        return made

    def kept(self, size: int) -> int:
        """Make room for numbers that last, zero before the text. Returns where."""
        self.state += size
        return self.state - size

    def weights(self, values: Tensor | list[float]) -> int:
        """Take over weights. Returns where they begin."""
        return self._take(self._floats, 0, torch.as_tensor(values).detach().float().contiguous().numpy().ravel())

    def matrix(self, values: Tensor, pack: bool = True) -> int:
        """Take over a matrix, rounded to bfloat16 if that is asked for. Returns where it begins.

        Packed for products, or as it is, row by row.
        """
        numbers = values.detach().float().contiguous()
        array: NDArray[Any] = numbers.numpy()
        if self.halves:
            array = numbers.bfloat16().view(torch.int16).numpy().view(np.uint16)
        array = packed(array) if pack else array.ravel()
        return self._take(self._shorts, 1, array) if self.halves else self._take(self._floats, 0, array)

    def _take(self, pieces: list[NDArray[Any]], which: int, array: NDArray[Any]) -> int:
        pieces.append(array)
        self._counts[which] += rounded_up(array.size)
        return self._counts[which] - rounded_up(array.size)

    @property
    def floats(self) -> Float:
        """All weights but the rounded matrices."""
        return concatenated(self._floats, np.float32)

    @property
    def shorts(self) -> NDArray[np.uint16]:
        """The upper halves of the rounded matrices."""
        return concatenated(self._shorts, np.uint16)

    def _add(
        self,
        step: Step,
        out: Vector,
        a: Vector | None = None,
        b: Vector | None = None,
        w: int = -1,
        bias: int = -1,
        one: int = -1,
        two: int = -1,
    ) -> Vector:
        at_a, n_a = (a.at, a.size) if a is not None else (-1, 0)
        self.rows.append((step, out.at, out.size, at_a, n_a, b.at if b is not None else -1, w, bias, one, two))
        return out

    @property
    def reading(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """The steps that leave a trace for later characters, or lead to one: no other is needed to read a prompt.

        And those that lead on to the logits, for the character after which they are wanted.
        """
        last = max((i for i, row in enumerate(self.rows) if row[0] in KEEPING), default=-1)
        first, then = self.rows[: last + 1], self.rows[last + 1 :]
        if first and first[-1][0] == Step.ATTEND:
            attend = first.pop()[1:]
            first, then = [*first, (Step.KEEP, *attend)], [(Step.LOOK, *attend), *then]
        return first, then

    def compact(self) -> None:
        """Give vectors that are not needed at the same time the same place, so that the processor's cache holds all."""
        assert self.logits is not None
        starts = [vector.at for vector in self.vectors]
        used: dict[int, list[int]] = {}  # by vector, the steps

        def owner(at: int) -> int:
            return bisect_right(starts, at) - 1

        for i, row in enumerate(self.rows):
            for column in _places(row):
                used.setdefault(owner(row[column]), []).append(i)
        used[owner(self.logits.at)].append(len(self.rows))
        moved: dict[int, int] = {}
        taken: list[tuple[int, int, int]] = []  # start, end, last step, of those that are needed still
        self.width = 0
        for which, steps in sorted(used.items(), key=lambda item: item[1]):
            taken = sorted(place for place in taken if place[2] >= steps[0])
            at, size = 0, rounded_up(self.vectors[which].size)
            for start, end, _ in taken:
                if start - at >= size:
                    break
                at = max(at, end)
            moved[which] = at - starts[which]
            taken.append((at, at + size, steps[-1]))
            self.width = max(self.width, at + size)
        self.rows = [
            tuple(n + moved[owner(n)] if column in _places(row) else n for column, n in enumerate(row))
            for row in self.rows
        ]
        self.logits = Vector(self.logits.at + moved[owner(self.logits.at)], self.logits.size)
        self.vectors = []

    # --- steps ---

    def embed(self, table: Tensor, into: Vector | None = None) -> Vector:
        """Look up the character's row."""
        return self._add(Step.EMBED, into or self.vector(table.shape[1]), w=self.weights(table))

    def position(self, x: Vector, table: Tensor) -> None:
        """Add the row of the position, counted from where reading began."""
        self._add(Step.POSITION, x, w=self.weights(table))

    def linear(
        self,
        x: Vector,
        weight: Tensor,
        bias: Tensor | None = None,
        activation: str = "",
        into: Vector | None = None,
        sparse: bool = False,
        scale: Tensor | None = None,
    ) -> Vector:
        """Multiply by a matrix, then by a scale for each number, add the bias, apply the activation.

        `sparse`: of many zeros in x none is multiplied by.
        """
        out = into or self.vector(weight.shape[0])
        at = self.matrix(weight)
        turned = self.matrix(weight.t(), pack=False) if sparse else -1
        offset = -1 if bias is None else self.weights(bias)
        stretched = None if scale is None else Vector(self.weights(scale), out.size)
        kind = ACTIVATIONS.index(activation)
        return self._add(Step.LINEAR, out, x, stretched, w=at, bias=offset, one=turned, two=kind)

    def norm(self, x: Vector, layer: nn.Module) -> Vector:
        """Layer normalisation; what is no such layer changes nothing."""
        if not isinstance(layer, nn.LayerNorm):
            return x
        at = self.weights([layer.eps])
        out = self.vector(x.size)
        return self._add(Step.NORM, out, x, w=self.weights(layer.weight), bias=self.weights(layer.bias), one=at)

    def activate(self, x: Vector, activation: str) -> Vector:
        """Apply an activation element by element."""
        return self._add(Step.ACTIVATE, self.vector(x.size), x, two=ACTIVATIONS.index(activation))

    def combine(self, a: Vector, b: Vector, of_a: float = 1.0, of_b: float = 1.0, into: Vector | None = None) -> Vector:
        """Add two vectors, each times a number."""
        return self._add(Step.COMBINE, into or self.vector(a.size), a, b, w=self.weights([of_a, of_b]))

    def gate(self, x: Vector, into: Vector | None = None) -> Vector:
        """Tanh of the first half times the logistic function of the second."""
        return self._add(Step.GATE, into or self.vector(x.size // 2), x)

    def recent(self, x: Vector, count: int) -> Vector:
        """Put the vectors of the last `count` characters side by side, oldest first."""
        out = self.vector(count * x.size)
        return self._add(Step.RECENT, out, x, one=self.kept((count + GUESSES) * x.size))

    def delay(self, x: Vector, steps: int, into: Vector | None = None) -> Vector:
        """Give what x was so many characters ago."""
        kept = self.kept((steps + GUESSES) * x.size)
        return self._add(Step.DELAY, into or self.vector(x.size), x, one=kept, two=steps)

    def weighted(self, out: Vector, x: Vector, weight: Tensor) -> None:
        """Add x, each number times its own weight."""
        self._add(Step.WEIGHTED, out, x, w=self.weights(weight))

    def trigram(self, out: Vector, table: Tensor) -> None:
        """Add the row that belongs to the last three characters, if there are so many."""
        self._add(Step.TRIGRAM, out, w=self.weights(table), one=len(table), two=self.vocab_size)

    def attend(self, qkv: Vector, heads: int, context: int, rotary: tuple[Tensor, Tensor] | None) -> Vector:
        """Mix what was read so far by attention; `rotary`: cosines and sines of positions."""
        size = qkv.size // 3
        cos, sin = (-1, -1) if rotary is None else (self.weights(rotary[0]), self.weights(rotary[1]))
        head, places = size // heads, rounded_up(context)
        both = self.vector(places + size)
        scores, out = both.part(0, places), both.part(places, size)
        kept = self.kept(heads * places * (head + rounded_up(head)))
        return self._add(Step.ATTEND, out, qkv, scores, w=cos, bias=sin, one=kept, two=heads)

    def memory(self, units: int, carried: int) -> tuple[int, Vector]:
        """Make a cell's memory. Returns where it is kept, and its state after the character before."""
        self.one_by_one = True
        kept = self.kept(units * carried)
        return kept, self._add(Step.RECALL, self.vector(units), one=kept)

    def cell(self, kind: str, seen: Vector, recalled: Vector, kept: int, units: int) -> Vector:
        """Renew a cell's memory from the sums over the input and over the memory; gives the new state."""
        return self._add(Step.CELL, self.vector(units), seen, recalled, one=kept, two=CELLS.index(kind))
