"""How far back the gradient survives in a recurrent network, step by step, and how the gates stand along a text.

The loss at one character is differentiated with respect to everything that was carried k characters earlier: the hidden
state, and in an LSTM its cell too. In the plain cell this is a product of k matrices, which fades or explodes (Bengio
et al. 1994, "Learning long-term dependencies with gradient descent is difficult", section IV; Pascanu et al. 2013,
section 2.1).

Letters: B texts, L layers, K steps back, T characters, H units.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import windows
from core.inspect.trace import Hook, hooked, taps, trace
from core.models.contract import LanguageModel
from core.models.recurrent import Cell, RecurrentConfig, RecurrentNet

Doubles = NDArray[np.float64]
CARRIED = ".carried"
READ_BEFORE = 32
"""Characters read before those that are measured, so that the memory holds something."""


@dataclass(frozen=True)
class MemorySpan:
    """The gradient that reaches what was carried, by distance."""

    norms: Doubles
    """(L, K) mean over texts of ‖d loss at t / d what layer l carried after t - k‖, for k = 1 ... K."""
    texts: int

    @property
    def share(self) -> Doubles:
        """(L, K) the same as parts of what it is one character back."""
        found: Doubles = self.norms / np.maximum(self.norms[:, :1], 1e-300)
        return found

    def survives(self, part: float = 0.01) -> int:
        """How many characters back the last layer's gradient is still `part` of what it is one back."""
        below = np.flatnonzero(self.share[-1] < part)
        return int(below[0]) if len(below) else self.share.shape[1]


def memory_taps(model: LanguageModel) -> list[str]:
    """Name the taps through which each layer's memory passes at every step; empty for a model that carries none."""
    return [name for name in taps(model) if name.endswith(CARRIED)]


def memory_span(model: LanguageModel, ids: Tensor, back: int = 64, texts: int = 32) -> MemorySpan:
    """Measure on `texts` pieces spread evenly over ids (N,).

    Raises BardlabError if the model carries no memory or the text is too short.
    """
    names = memory_taps(model)
    if not names:
        raise BardlabError("this model carries no memory along; choose a recurrent network")
    if len(ids) < back + READ_BEFORE + 2:
        raise BardlabError(f"the text has {len(ids)} characters, too few to go back {back}; choose a longer text")
    inputs, targets = windows(ids, back + READ_BEFORE, texts)  # (B, T) each
    passed: dict[str, list[Tensor]] = {name: [] for name in names}  # (B, 1, M·H) before each step

    def keep(name: str) -> Hook:
        def note(output: Tensor) -> Tensor:
            passed[name].append(output if output.requires_grad else output.detach().requires_grad_())
            return passed[name][-1]

        return note

    known, was_training = taps(model), model.training
    model.eval()
    try:
        with hooked([(known[name], keep(name)) for name in names]), torch.enable_grad():
            loss = F.cross_entropy(model(inputs)[:, -1], targets[:, -1], reduction="sum")  # () rows do not touch
            wanted = [memory for name in names for memory in passed[name][: -back - 1 : -1]]  # latest first
            gradients = torch.autograd.grad(loss, wanted)
    finally:
        model.train(was_training)
    norms = torch.stack([gradient.double().norm(dim=-1).mean() for gradient in gradients])  # (L·K,)
    return MemorySpan(norms.view(len(names), back).numpy(), texts)


def untrained(config: RecurrentConfig, vocab_size: int, seed: int = 1337) -> dict[Cell, RecurrentNet]:
    """Make a network of each kind of cell with these sizes, as it is before the first step; nothing else changes."""
    made: dict[Cell, RecurrentNet] = {}
    with torch.random.fork_rng(devices=[]):
        for cell in get_args(Cell):
            torch.manual_seed(seed)
            made[cell] = RecurrentNet(config.model_copy(update={"cell": cell}), vocab_size)
    return made


def gates_along(model: LanguageModel, ids: list[int]) -> Mapping[str, Doubles]:
    """Return each gate of each layer along ids, (H, T) from 0 (shut) to 1 (open), by its path in the model.

    Empty if the model has no such gates.
    """
    activations = trace(model, torch.tensor([ids]), "layers.*_gate").activations
    return {name: gate[0].T.double().numpy() for name, gate in activations.items()}
