"""The one contract that every language model of the ladder keeps.

ids ``(B, T)`` in, logits ``(B, T, V)`` out, and a `context`: the number of past characters that one prediction can
see, None if nothing bounds it. Training, sampling, evaluation and the pages assume nothing else.

Letters: B batch, T time (positions), V vocabulary.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from core.models.answers import Activations, Nonlinearity, Part, VectorTable, Written
from core.models.program import Program
from core.settings import Settings


class Tap(nn.Module):
    """A named place in the computation: what passes through can be read and replaced by forward hooks, else nothing.

    Its name is its path in the model, such as `blocks.0.attention.pattern`. Inspection listens here (core/inspect/
    trace.py), so what it shows is what the prediction was made of.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Hand on x of any shape."""
        return x

    @property
    def observed(self) -> bool:
        """True while somebody listens."""
        return bool(self._forward_hooks)


class LanguageModel(nn.Module):
    """Base of the rungs."""

    slides: ClassVar[bool] = False
    """True if `forward` takes sequences of any length, each position seeing only the last `context`, if any."""
    grows_with_text: ClassVar[bool] = False
    """True if fitting decides how many numbers the model holds."""
    fused: ClassVar[bool] = False
    """True if its time goes into a library's own kernel, of which torch.compile makes nothing faster."""

    @classmethod
    def from_settings(cls, config: Any, vocab_size: int) -> "LanguageModel":
        """Make the model that the settings describe: one of this class, unless a setting asks for another."""
        return cls(config, vocab_size)

    def __init__(self, config: Settings, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size

    @property
    def context(self) -> int | None:
        """How many characters, the current one included, a prediction can depend on; None if on all of the past."""
        raise NotImplementedError

    @property
    def usual_window(self) -> int:
        """Characters in a training sequence if the settings ask for no other length: the context, if there is one."""
        if self.context is None:
            raise NotImplementedError
        return self.context

    def readable(self, length: int) -> int:
        """Return how many characters, the last ones, of a text of this length the model can read at once."""
        return length if self.slides or self.context is None else min(length, self.context)

    @property
    def closed_form(self) -> bool:
        """True if the model is fitted in one pass over the text rather than by gradient descent."""
        return False

    def forward(self, ids: Tensor, cache: Any = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V).

        With a `cache` from `new_cache`, ids hold only the characters that the cache has not seen.
        """
        raise NotImplementedError

    def last(self, ids: Tensor) -> Tensor:
        """Give the logits (B, V) of what follows ids (B, T), as `forward` without a cache does."""
        logits: Tensor = self(ids)[:, -1]  # (B, V)
        return logits

    @property
    def heard(self) -> bool:
        """True while somebody listens to any part of the model, or changes it."""
        return any(module._forward_hooks or module._forward_pre_hooks for module in self.modules())

    def unembed(self, resid: Tensor) -> Tensor:
        """Read the logits (B, T, V) off the residual stream (B, T, C), in a model that has one."""
        raise NotImplementedError

    def onward(self, resid: Tensor, first: int) -> Tensor:
        """Run the layers from `first` on, on the residual stream (B, T, C) before it; read off logits (B, T, V)."""
        raise NotImplementedError

    def new_cache(self, batch: int) -> Any:
        """Return an empty cache for generation, or None if the model has none to keep."""
        return None

    def program(self, halves: bool = False) -> Program | None:
        """Describe one more character as steps that can be compiled, or None if torch is to write it.

        They compute what `forward` does with a cache and no dropout; `halves`: with matrices rounded to bfloat16.
        """
        return None

    def fit(self, ids: Tensor) -> None:
        """Fit a closed-form model to the training text ids (N,)."""
        raise NotImplementedError

    def diagnostics(self, train_ids: Tensor) -> dict[str, float]:
        """Measure this rung's own quantities at an evaluation, by metric tag."""
        return {}

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """Yield the 2-D weights between hidden layers: those that Muon may orthogonalise."""
        return iter(())

    def stacked(self, weight: nn.Parameter) -> int:
        """How many matrices the hidden weight holds, one above another: each is a map of its own to Muon."""
        return 1

    # --- what inspection and pages ask; a rung without such things keeps the empty answer ---

    def parts(self) -> list[Part]:
        """List what can be switched off, in the order of the knock-out board."""
        return []

    def nonlinearities(self) -> list[Nonlinearity]:
        """List where the units of each hidden layer can be read, first layer first."""
        return []

    def embeddings(self) -> list[VectorTable]:
        """List the tables of vectors: of the characters as read, as written, of the positions."""
        return []

    def stream(self) -> list[str]:
        """Name the taps of the residual stream that `unembed` can read: before the first layer, then after each."""
        return []

    def written_parts(self, activations: Activations, position: int) -> Written:
        """Take the stream at one position apart, as `unembedding` reads it at the end.

        LayerNorm's scale and the gates of a last ReLU are held as they were in this very run.
        """
        raise NotImplementedError

    @property
    def unembedding(self) -> nn.Linear:
        """The last linear layer, which makes logits."""
        raise NotImplementedError

    @property
    def skip_scale(self) -> float:
        """How much of the stream each layer hands on beside what it adds."""
        return 1.0

    @property
    def n_attention_heads(self) -> int:
        """Heads in each layer's attention; 0 without attention."""
        return 0

    @property
    def position_scheme(self) -> str:
        """How the model tells places apart: learned, sinusoidal or rotary, none, or by the order of its inputs."""
        return "order"

    def position_similarity(self) -> Tensor | None:
        """How alike positions t and s look before anything is read (T, T), from -1 to 1; None if none are told apart.

        For position vectors the cosine between them; for rotary ones the mean cosine of the angles that lie between.
        """
        return None


def parameter_count(model: nn.Module) -> int:
    """Count the trained numbers of a model."""
    return sum(p.numel() for p in model.parameters())


def parameter_table(model: nn.Module) -> list[tuple[str, int]]:
    """List (component, parameters) for each top-level part of the live module; the counts add up to the whole."""
    own = [(name, p.numel()) for name, p in model.named_parameters(recurse=False)]
    parts = [(name, parameter_count(child)) for name, child in model.named_children()]
    return [(name, count) for name, count in own + parts if count]


def normal_init(module: nn.Module) -> None:
    """Draw weights of linear and embedding layers from N(0, 0.02²) and set biases to zero, as GPT-2 does."""
    if isinstance(module, nn.Linear | nn.Embedding):
        torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        torch.nn.init.zeros_(module.bias)
