"""Random windows of a text: which ones come is decided by a seed alone, whatever the device."""

import torch
from torch import Tensor

AHEAD = 256
"""Batches whose places are drawn and sent to the device at once, so that a GPU is not waited for at every step."""


class Batches:
    """Draws batches of windows. Their places come from a generator on the CPU, many batches ahead.

    What is drawn, and the state to go on from, are those of drawing one batch at a time.
    """

    def __init__(self, ids: Tensor, seed: int) -> None:
        self.ids = ids
        self._generator = torch.Generator().manual_seed(seed)
        self._drawn_from = self._generator.get_state()
        """The generator's state before the places held ready were drawn."""
        self._ready = torch.empty(0, 0, dtype=torch.long)  # (batches ahead, B) on the device of the text
        self._used = self._length = 0
        self._offsets: dict[int, Tensor] = {}

    def next(self, sequences: int, length: int) -> Tensor:
        """Draw a batch (B, T + 1) of so many windows: inputs of this length, and one character more for the targets."""
        batch = self.peek(sequences, length)
        self._used += 1
        return batch

    def peek(self, sequences: int, length: int) -> Tensor:
        """Return the batch (B, T + 1) that `next` will draw."""
        if self._used == len(self._ready) or self._ready.shape[1] != sequences or self._length != length:
            self._draw(sequences, length)
        if length not in self._offsets:
            self._offsets[length] = torch.arange(length + 1, device=self.ids.device)
        return self.ids[self._ready[self._used][:, None] + self._offsets[length]]  # (B, T+1)

    def state(self) -> Tensor:
        """Return the state of the generator as if it had drawn one batch at a time."""
        if self._used == len(self._ready):
            return self._generator.get_state()
        rewound = torch.Generator()
        rewound.set_state(self._drawn_from)
        if self._used:
            self._places(self._used, self._ready.shape[1], self._length, rewound)
        return rewound.get_state()

    def set_state(self, state: Tensor) -> None:
        """Go on from `state`."""
        self._generator.set_state(state)
        self._used, self._ready = 0, self._ready[:0]

    def _draw(self, sequences: int, length: int) -> None:
        self.set_state(self.state())  # what is ready may be of another length
        self._drawn_from = self._generator.get_state()
        places = self._places(AHEAD, sequences, length, self._generator)
        device = self.ids.device
        self._ready = places.to(device, non_blocking=device.type == "cuda")  # (AHEAD, B)
        self._length = length

    def _places(self, batches: int, sequences: int, length: int, generator: torch.Generator) -> Tensor:
        """Draw where windows start: (batches, B). So many draws at once are the same as one after another."""
        return torch.randint(len(self.ids) - length, (batches, sequences), generator=generator)
