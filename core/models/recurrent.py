"""The recurrent network: one character at a time, with a memory carried along.

The MLP looks at a window, and what slides out of it is gone. Here a hidden state is handed from each character to the
next: what is known after character t is made of what was known after character t - 1 and of the character itself, by
the same weights at every step. Nothing limits how far back that reaches, but what is to last must survive every step.

After Elman (1990), "Finding structure in time", for characters as in Mikolov et al. (2010), "Recurrent neural network
based language model", section 2. In the plain cell a gradient that goes back k steps is multiplied k times by the
recurrent weights and by tanh's slope, so it fades or explodes (Bengio et al. 1994, section IV). Gates let the memory
pass unchanged instead: the LSTM (Hochreiter and Schmidhuber 1997, section 4, with the forget gate of Gers et al. 2000,
section 3) and the GRU (Cho et al. 2014, section 2.3).

Torch's fused kernels compute all steps of a layer at once. While somebody listens to gates or to the memory itself,
the same steps are taken one by one, as they are written out below.

Letters: B batch, T time, V vocabulary, E d_embed, H d_hidden, I inputs of a layer, G sums a unit makes (LSTM 4, GRU 3,
plain 1), M numbers carried a unit (LSTM 2, else 1).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.answers import Kind, Nonlinearity, Part, VectorTable, embedding_table, layer_part, unembedding_table
from core.models.contract import LanguageModel, Tap
from core.models.program import Program
from core.settings import Settings, setting

Cell = Literal["plain", "gru", "lstm"]


class RecurrentConfig(Settings):
    """Sizes of the recurrent network."""

    cell: Cell = setting(
        "lstm",
        "How the memory is renewed at each character. plain: a tanh of everything, each time anew (Elman 1990). gru: a "
        "gate decides how much of the old memory stays (Cho et al. 2014). lstm: a memory cell of its own, with gates "
        "for what is kept, written and told (Hochreiter and Schmidhuber 1997).",
    )
    n_layer: int = setting(1, "Layers, one above another: each reads what the one below remembers.", ge=1, le=4, step=1)
    d_embed: int = setting(
        32,
        "Numbers that describe each character.",
        ge=1,
        le=256,
        ticks=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256),
    )
    d_hidden: int = setting(
        192,
        "Units in each layer: the numbers that are carried along. Their weights grow with its square.",
        ge=4,
        le=1024,
        ticks=(8, 16, 32, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 1024),
    )
    bptt: int = setting(
        64,
        "How many characters back the gradient is followed while training (truncated backpropagation through time, "
        "Mikolov et al. 2010). Longer training sequences hand the memory on from stretch to stretch, the gradient not.",
        ge=1,
        le=512,
        ticks=(1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512),
    )
    dropout: float = setting(
        0.0,
        "Share of activations zeroed at random while training, against overfitting: on what goes upwards, never on "
        "what is carried along (Zaremba et al. 2014).",
        ge=0.0,
        le=0.8,
        step=0.05,
    )


Gates = tuple[Tensor, ...]
"""(B, H) each, from 0 (shut) to 1 (open)."""


def plain_step(seen: Tensor, recalled: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Gates]:
    """From the sums over the input and over the memory (B, H) each: the new state (B, H), what is carried, no gates."""
    state = torch.tanh(seen + recalled)  # (B, H) all of the memory is written anew
    return state, state, ()


def gru_step(seen: Tensor, recalled: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Gates]:
    """The same with two gates; `seen` and `recalled` hold three sums a unit (B, 3H) each."""
    seen_reset, seen_update, seen_new = seen.chunk(3, dim=-1)  # (B, H) each
    recalled_reset, recalled_update, recalled_new = recalled.chunk(3, dim=-1)  # (B, H) each
    reset = torch.sigmoid(seen_reset + recalled_reset)  # (B, H) how much of the memory the candidate hears
    update = torch.sigmoid(seen_update + recalled_update)  # (B, H) how much of the memory stays
    candidate = torch.tanh(seen_new + reset * recalled_new)  # (B, H)
    state = update * memory + (1 - update) * candidate  # (B, H) where update is 1, nothing is lost
    return state, state, (reset, update)


def lstm_step(seen: Tensor, recalled: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Gates]:
    """The same with three gates and a cell; `seen` and `recalled` are (B, 4H), the memory is state and cell (B, 2H)."""
    into, keep, write, tell = (seen + recalled).chunk(4, dim=-1)  # (B, H) each
    into, keep, tell = torch.sigmoid(into), torch.sigmoid(keep), torch.sigmoid(tell)  # (B, H) the gates
    cell = keep * memory.chunk(2, dim=-1)[1] + into * torch.tanh(write)  # (B, H) a sum: the gradient passes unchanged
    state = tell * torch.tanh(cell)  # (B, H)
    return state, torch.cat((state, cell), dim=-1), (into, keep, tell)


@dataclass(frozen=True)
class Kernel:
    """What there is of a cell: its step, torch's fused form of many, its gates, and how many numbers a unit has."""

    step: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Gates]]
    fused: Callable[..., nn.RNNBase]
    gates: tuple[str, ...]
    sums: int
    """G"""
    carried: int
    """M"""
    kind: Kind


CELLS: dict[Cell, Kernel] = {
    "plain": Kernel(plain_step, nn.RNN, (), 1, 1, "tanh"),
    "gru": Kernel(gru_step, nn.GRU, ("reset", "update"), 3, 1, "gated"),
    "lstm": Kernel(lstm_step, nn.LSTM, ("input", "forget", "output"), 4, 2, "gated"),
}
"""Gates in the order in which the steps give them."""


class Layer(nn.Module):
    """One layer of cells, and the memory that it hands from character to character."""

    def __init__(self, config: RecurrentConfig, inputs: int) -> None:
        super().__init__()
        self.kernel = CELLS[config.cell]
        self.units = config.d_hidden
        self.cells = self.kernel.fused(inputs, config.d_hidden, batch_first=True)
        self.carried, self.state = Tap(), Tap()
        self.gates = {name: Tap() for name in self.kernel.gates}
        for name, tap in self.gates.items():
            self.add_module(f"{name}_gate", tap)
        W, U, b, c = self.weights
        nn.init.normal_(W, std=1 / math.sqrt(inputs))
        for square in U.data.chunk(self.kernel.sums):  # (H, H) each
            nn.init.orthogonal_(square)  # keeps the length of what it turns (Saxe et al. 2014, section 3)
        nn.init.zeros_(b)
        nn.init.zeros_(c)
        if config.cell == "lstm":
            nn.init.ones_(b.data.chunk(4)[1])  # (H,) remembers until it learns to forget (Jozefowicz et al. 2015, 2.1)

    @property
    def weights(self) -> list[nn.Parameter]:
        """On the input (G·H, I), on the memory (G·H, H), and the bias (G·H,) of each."""
        return self.cells.all_weights[0]

    def blank(self, batch: int) -> Tensor:
        """Return the memory (B, M·H) before the text: nothing."""
        return self.weights[1].new_zeros(batch, self.kernel.carried * self.units)  # (B, M·H)

    @property
    def observed(self) -> bool:
        """True while somebody listens to what the fused kernel does not tell."""
        return self.carried.observed or any(gate.observed for gate in self.gates.values())

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Map inputs (B, T, I) and the memory before them (B, M·H) to the states (B, T, H) and the memory after."""
        states, memory = (self.stepwise if self.observed else self.fused)(x, memory)  # (B, T, H), (B, M·H)
        return self.state(states), memory

    def fused(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what `forward` does, all steps by torch's kernel.

        On a CPU the kernel knows no float16; in its place it multiplies in float32 there.
        """
        parts = tuple(part[None].contiguous() for part in memory.chunk(self.kernel.carried, dim=-1))  # (1, B, H) each
        half = x.device.type == "cpu" and torch.get_autocast_dtype("cpu") == torch.float16
        with torch.autocast("cpu", enabled=False) if half else nullcontext():
            states, last = self.cells(x, parts if len(parts) > 1 else parts[0])  # (B, T, H), (1, B, H) each
        return states, torch.cat(last, dim=-1)[0] if len(parts) > 1 else last[0]

    def stepwise(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the same step by step, with taps at the memory (B, 1, M·H) before each and at the gates (B, T, H)."""
        W, U, b, c = self.weights
        states, gates = list[Tensor](), list[Gates]()
        for seen in F.linear(x, W, b).unbind(1):  # (B, G·H) each
            memory = self.carried(memory[:, None])[:, 0]  # (B, M·H)
            recalled = F.linear(memory[:, : self.units], U, c)  # (B, G·H)
            state, memory, opened = self.kernel.step(seen, recalled, memory)  # (B, H), (B, M·H), (B, H) each
            states.append(state)
            gates.append(opened)
        for tap, along in zip(self.gates.values(), zip(*gates, strict=True), strict=True):
            tap(torch.stack(along, dim=1))  # (B, T, H)
        return torch.stack(states, dim=1), memory  # (B, T, H), (B, M·H)


class Carried:
    """The memory of every layer after the characters read so far: all that generation needs, however long the text."""

    def __init__(self, layers: list[Tensor]) -> None:
        self.layers = layers  # (B, M·H) each
        self.length = 0


class RecurrentNet(LanguageModel):
    """Embed, run the layers from the first character to the last, read off the logits."""

    slides = True
    fused = True

    def __init__(self, config: RecurrentConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.config: RecurrentConfig = config
        self.token_embedding = nn.Embedding(vocab_size, config.d_embed)  # each number from N(0, 1)
        sizes = [config.d_embed] + [config.d_hidden] * (config.n_layer - 1)
        self.layers = nn.ModuleList(Layer(config, inputs) for inputs in sizes)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.d_hidden, vocab_size)
        self.embed, self.logits = Tap(), Tap()
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(config.d_hidden))  # near-equal logits: loss near ln V
        nn.init.zeros_(self.head.bias)

    @property
    def context(self) -> None:
        """Unbounded: a prediction depends on every character before it."""
        return None

    @property
    def usual_window(self) -> int:
        """As far as the gradient goes back."""
        return self.config.bptt

    def forward(self, ids: Tensor, cache: Carried | None = None) -> Tensor:
        """Map ids (B, T) to logits (B, T, V), each position from all before it (Mikolov et al. 2010, equations 1-3).

        Without a cache the memory before the first character is zero. While training, the gradient goes back `bptt`
        characters at most: from stretch to stretch the memory is carried, but not differentiated.
        """
        layers = list(self._layers())
        memory = cache.layers if cache else [layer.blank(len(ids)) for layer in layers]  # (B, M·H) each
        embedded = self.drop(self.embed(self.token_embedding(ids)))  # (B, T, E)
        tops = []
        for x in embedded.split(self.config.bptt if self.training else ids.shape[1], dim=1):  # (B, bptt, E)
            for i, layer in enumerate(layers):
                x, memory[i] = layer(x, memory[i].detach())  # (B, bptt, H), (B, M·H)
                x = self.drop(x)  # (B, bptt, H)
            tops.append(x)
        if cache:
            cache.length += ids.shape[1]
        logits: Tensor = self.logits(self.head(torch.cat(tops, dim=1)))  # (B, T, V)
        return logits

    def new_cache(self, batch: int) -> Carried:
        """Return an empty memory for `batch` texts."""
        return Carried([layer.blank(batch) for layer in self._layers()])

    def program(self, halves: bool = False) -> Program:
        """Describe one more character."""
        program = Program(self.vocab_size, halves)
        x = program.embed(self.token_embedding.weight)
        for layer in self._layers():
            W, U, b, c = layer.weights
            kept, state = program.memory(layer.units, layer.kernel.carried)
            seen, recalled = program.linear(x, W, b), program.linear(state, U, c)
            x = program.cell(self.config.cell, seen, recalled, kept, layer.units)
        program.logits = program.linear(x, self.head.weight, self.head.bias)
        return program

    def _layers(self) -> Iterator[Layer]:
        return (layer for layer in self.layers if isinstance(layer, Layer))

    def hidden_matrices(self) -> Iterator[nn.Parameter]:
        """Yield the weights of the layers: from what they read, and from their memory."""
        return (p for p in self.layers.parameters() if p.ndim == 2)

    def stacked(self, weight: nn.Parameter) -> int:
        """As many as a unit makes sums: one for the new memory, one for each gate."""
        return CELLS[self.config.cell].sums

    def parts(self) -> list[Part]:
        """List what each layer hands upwards, and its memory: without that, it starts anew at every character."""
        parts = []
        for i in range(len(self.layers)):
            parts.append(layer_part(f"{i}.layer", f"all that layer {i} hands on", i, "layer", f"layers.{i}.state"))
            memory = (f"layers.{i}.carried",)
            parts.append(
                Part(f"{i}.memory", f"the memory of layer {i}", f"layer {i}", "memory", memory, layer=i, fixed=(0.0,))
            )
        return parts

    def nonlinearities(self) -> list[Nonlinearity]:
        """List the states of the layers."""
        kind = CELLS[self.config.cell].kind
        layers = [f"layers.{i}" for i in range(len(self.layers))]
        return [Nonlinearity(at, f"{at}.state", kind, "head" if at == layers[-1] else "") for at in layers]

    def embeddings(self) -> list[VectorTable]:
        """List the vectors of the characters as read and as written."""
        return [embedding_table(self.token_embedding), unembedding_table(self.head)]

    @property
    def unembedding(self) -> nn.Linear:
        """The last linear layer."""
        return self.head
