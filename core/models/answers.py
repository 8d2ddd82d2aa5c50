"""What a model tells of itself: its parts, its nonlinearities, its tables, what was written into its residual stream.

Pages and inspection ask the model (core/models/contract.py) instead of its class, so a new rung answers for itself.

Letters: T time, C channels of the residual stream, V vocabulary.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Literal

import torch
from torch import Tensor, nn

Activations = Mapping[str, Tensor]
"""What passed through the taps of a model in one run, by their names."""
Kind = Literal["tanh", "relu", "gelu", "gated"]
"""How a nonlinearity bends: what `gated` gives is a tanh times a sigmoid; squared ReLU counts as a ReLU."""
Where = tuple[slice | int | EllipsisType, ...]


@dataclass(frozen=True)
class Part:
    """Something that can be switched off."""

    key: str
    """Its address, such as 0.2 (head 2 of layer 0), 3.mlp or pos."""
    title: str
    row: str
    column: str
    """Where it stands on the board."""
    taps: tuple[str, ...]
    """The taps at which what it hands on is replaced."""
    where: Where = (...,)
    """Which slice of what passes there is its own."""
    layer: int | None = None
    """The layer before which its absence changes nothing; None if everything may change."""
    fixed: tuple[float, ...] | None = None
    """For each tap what stands there when it is off, whatever the method."""


def layer_part(key: str, title: str, layer: int, column: str, tap: str) -> Part:
    """Return the part that owns everything that passes a tap."""
    return Part(key, title, f"layer {layer}", column, (tap,), layer=layer)


def characters_looked_back_on(context: int, d_embed: int) -> Iterator[Part]:
    """Yield each character of a model that puts its context side by side, the current one first."""
    for back in range(context):
        end = (context - back) * d_embed
        title = f"the character {back} back" if back else "the current character"
        where = (..., slice(end - d_embed, end))
        yield Part(f"back.{back}", title, "input", f"{back} back" if back else "current", ("seen",), where)


@dataclass(frozen=True)
class Nonlinearity:
    """Where the units of a hidden layer can be read, right behind their nonlinearity."""

    layer: str
    """The path of the layer, such as blocks.0.mlp."""
    tap: str
    kind: Kind
    writes: str = ""
    """The path of the linear layer that carries each unit into the residual stream, or straight into the logits; empty
    if what a unit says is worked on further before it is added up."""


@dataclass(frozen=True)
class VectorTable:
    """A table of vectors that a model holds."""

    key: str
    title: str
    about: str
    vectors: Tensor
    """(N, d)"""
    positions: bool = False
    """True if the rows are positions, False if they are characters."""


def embedding_table(embedding: nn.Embedding) -> VectorTable:
    """Return the vectors (V, d) as which a model reads each character."""
    about = f"The {embedding.embedding_dim} numbers as which the model reads each character, learned with the rest."
    return VectorTable("token", "characters", about, embedding.weight)


def unembedding_table(head: nn.Linear) -> VectorTable:
    """Return the directions (V, d) that make each character likely."""
    about = "The direction into which the last layer must point to make each character likely (the unembedding)."
    return VectorTable("output", "outputs", about, head.weight)


class Written:
    """The residual stream at one position as the sum of what each part wrote into it, each (C,) in double precision."""

    def __init__(self, channels: int) -> None:
        self.parts: dict[str, Tensor] = {}
        self.biases = torch.zeros(channels, dtype=torch.double)

    def add(self, name: str, vector: Tensor) -> None:
        """Let a part write a vector (C,)."""
        self.parts[name] = vector.double()

    def scale(self, factor: Tensor | float) -> None:
        """Multiply the stream, and so each of its terms, by one number or one a channel (C,)."""
        self.parts = {name: vector * factor for name, vector in self.parts.items()}
        self.biases = self.biases * factor

    def normalise(self, norm: nn.Module) -> None:
        """Apply a LayerNorm with the scale that the whole stream gives it."""
        if not isinstance(norm, nn.LayerNorm):
            return
        spread = (self.total.var(correction=0) + norm.eps).sqrt()
        self.parts = {name: vector - vector.mean() for name, vector in self.parts.items()}
        self.biases = self.biases - self.biases.mean()
        self.scale(norm.weight.double() / spread)
        if norm.bias is not None:
            self.biases = self.biases + norm.bias.double()

    def gate(self) -> None:
        """Apply a ReLU, open where the whole stream is positive."""
        self.scale((self.total > 0).double())

    @property
    def total(self) -> Tensor:
        """The stream itself (C,)."""
        return torch.stack([*self.parts.values(), self.biases]).sum(0)  # (C,)
