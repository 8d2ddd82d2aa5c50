"""Writes texts by machine code: reads what is new of them, then draws characters in blocks of some 30 ms."""

import copy
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.inference.arrays import ProgramArrays, arrays_of, experience_of
from core.inference.entry_points import Kernels
from core.inference.lookahead import Lookahead
from core.inference.prefill import Prefill
from core.models.contract import LanguageModel
from core.models.packing import aligned
from core.models.program import BEFORE, GUESSES, Float
from core.models.rounding import rounded

BLOCK = 0.03
"""Seconds that one call into the machine code takes at most, about: as long as nobody can stop it."""
MAX_LEAD = 64
"""Characters that a text that is guessed well may be ahead of what all texts have."""


class Written(NamedTuple):
    """One character of each text: its ids, the logits (V,) each was drawn from, and its probability among them."""

    ids: list[int]
    logits: Sequence[Tensor]
    probabilities: list[float]


Cuts = tuple[float, int, float]
"""Temperature, top-k, top-p."""


class Decoder:
    """The state of some texts that are written side by side by machine code."""

    def __init__(self, kernels: Kernels, arrays: ProgramArrays, texts: int, ahead: bool = True) -> None:
        V = arrays.logits[1]
        self.kernels, self.arrays, self.texts = kernels, arrays, texts
        self.prefill = Prefill(kernels, arrays, texts)
        self.experience = experience_of(arrays, kernels)
        self.ahead = ahead and self.prefill.together > 1
        self.lookahead = self.experience.lookaheads.setdefault(texts, Lookahead(self.prefill.together - 1))
        self.noise = torch.empty(0, texts, V)  # drawn for characters that are not written yet
        self.passes = 0
        self.progress = np.zeros(1, np.int64)
        self.primed = False  # whether the character from which `write` goes on has been read
        self.probs = np.zeros(V, np.float32)
        self.state: Float = aligned(texts * arrays.state).reshape(texts, -1)
        self.recent = np.zeros((texts, BEFORE), np.int64)
        self.length = 0
        self.leads = np.zeros(texts, np.int64)  # characters of each text that are written but not given away yet
        self.drawn = np.zeros((0, texts), np.int64)  # those
        self.probabilities = np.zeros((0, texts), np.float32)
        self.logits = np.zeros((0, texts, V), np.float32)
        self.pace = 0.0  # seconds a character
        self.window = 0
        self.next: Decoder | None = None

    def restart(self) -> None:
        """Forget what was read."""
        self.length, self.primed = 0, False
        self.state.fill(0)
        self.recent = np.zeros((self.texts, BEFORE), np.int64)

    def halve(self, window: int) -> None:
        """From now on, read the last half of every window a second time as it is written, for the window after it."""
        if not self.window:
            self.window, self.next = window, copy.copy(self)
            self.next.state = aligned(self.state.size).reshape(self.texts, -1)
            self.next.recent = np.zeros((self.texts, BEFORE), np.int64)
            self.next.length = 0

    def begin(self, ids: Tensor) -> Tensor:
        """Go over to a window that begins with ids (B, T). Returns those of them that it has not read yet."""
        following = self.next
        if following is None or following.length != ids.shape[1] - 1:
            self.restart()
        else:
            self.state, following.state = following.state, self.state
            self.length, self.recent, ids = following.length, following.recent, ids[:, -1:]
        if following is not None:
            following.restart()
        return ids

    @property
    def reads_windows(self) -> bool:
        """Whether a whole window is read faster than by torch, which spreads it over all its threads."""
        return self.kernels.matrix_unit or torch.get_num_threads() == 1

    def read(self, fresh: Tensor, last: bool = False) -> Iterator[None]:
        """Read ids (B, T), with a pause after each piece, or after as many as torch may have threads, read at once.

        With `last`, it is from the last of them that `write` goes on.
        """
        ids = whole = np.concatenate((self.recent, fresh.numpy().astype(np.int64)), axis=1)  # (B, BEFORE + T)
        while left := ids.shape[1] - BEFORE:
            sizes = self.prefill.sizes(left, self.length, torch.get_num_threads())
            self.prefill.read(ids, sizes, self.length, self.state)
            self.length += sum(sizes)
            ids = ids[:, sum(sizes) :]
            self.recent = ids[:, :BEFORE].copy()
            if last and ids.shape[1] == BEFORE:
                self.primed, self.length, self.recent = True, self.length - 1, whole[:, -BEFORE - 1 : -1].copy()
            yield

    def write(
        self,
        fresh: Tensor,
        most: int,
        generators: Sequence[torch.Generator],
        cuts: Cuts,
        all_at_once: bool = False,
    ) -> list[Written]:
        """Read the latest ids (B, 1), unless `read` did, then write up to `most` characters, as fit in a block of time.

        The noise is what torch.multinomial would draw from the same generators: the same text follows. Fewer than one
        character come back if there is nothing to draw from. A text that was guessed better than the others has more
        written already, none beyond `most`: that is given away later.
        """
        arrays, start = self.arrays, self.length
        program = (arrays.steps, arrays.floats, arrays.shorts, arrays.halves)
        least = most if all_at_once else max(1, min(most, int(BLOCK / self.pace) if self.pace else 1))
        guesses = self.lookahead.choose() if self.ahead else -1
        count = max(min(most, least + MAX_LEAD if self.ahead else least), len(self.drawn))
        noise = self._noise(count, generators)
        drawn, probabilities, logits = (
            _with_room(array, count) for array in (self.drawn, self.probabilities, self.logits)
        )
        ids = self._latest(fresh, drawn)
        written, cut = self.leads.copy(), (np.float32(cuts[0]), cuts[1], np.float32(cuts[2]))
        memory = (self.state, *self.prefill.workspace, self.progress)
        place = (ids, self.length, arrays.logits[0], noise[:count].numpy())
        drawing = (*cut, self.probs, written, drawn, logits, probabilities)
        logit_steps, self.primed = arrays.logit_steps if self.primed else arrays.logit_steps[:0], False
        speculation = (least, guesses, self.experience.tables)
        began, worked = time.perf_counter(), time.thread_time()
        passes = self.kernels.write(logit_steps, *program, *memory, *place, *drawing, *speculation)
        characters = float((written - self.leads).mean())
        if passes:
            self.pace = (time.perf_counter() - began) / max(1.0, characters)
        if self.ahead:
            self.lookahead.learn(guesses, time.thread_time() - worked, characters)
        done, most_written = min(int(written.min()), most), int(written.max())
        self.drawn, self.probabilities, self.logits = (
            array[done:most_written] for array in (drawn, probabilities, logits)
        )
        self.leads, self.noise = written - done, noise[done:]
        self.passes += passes
        self.length += done
        self.recent = ids[:, :BEFORE].copy()
        if self.next is not None:
            read = np.concatenate((fresh.numpy(), drawn[: max(0, done - 1)].T), axis=1)  # (B, N) from `start` on
            second_half = self.window - max(1, self.window // 2) + 1
            list(self.next.read(torch.from_numpy(read[:, max(0, second_half - start) :])))
        rows = iter(torch.from_numpy(logits[:done]).view(-1, arrays.logits[1]).unbind())
        by_text = zip(*[rows] * self.texts, strict=True)
        characters_of = zip(drawn[:done].tolist(), by_text, probabilities[:done].tolist(), strict=True)
        return [Written(*character) for character in characters_of]

    def _latest(self, fresh: Tensor, drawn: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the latest characters of each text (B, BEFORE + 2 + GUESSES), with room for those that are guessed."""
        ids = np.zeros((self.texts, BEFORE + 2 + GUESSES), np.int64)
        ids[:, :BEFORE], ids[:, BEFORE] = self.recent, fresh[:, -1].numpy()
        for text in self.leads.nonzero()[0]:
            ids[text, BEFORE] = drawn[self.leads[text] - 1, text]
        return ids

    def _noise(self, count: int, generators: Sequence[torch.Generator]) -> Tensor:
        """What torch.multinomial would draw for so many characters, at least (N, B, V)."""
        fresh = torch.empty(max(0, count - len(self.noise)), *self.noise.shape[1:])
        for row, generator in zip(fresh.flatten(0, 1).unbind(), cycle(generators), strict=False):
            row.exponential_(generator=generator)
        return torch.cat((self.noise, fresh))


def _with_room(array: NDArray[Any], count: int) -> NDArray[Any]:
    """Make room for so many rows behind those that there are."""
    made = np.empty((count, *array.shape[1:]), array.dtype)
    made[: len(array)] = array
    return made


def decoder_for(
    model: LanguageModel, kernels: Kernels | None, texts: int, halves: bool = False, ahead: bool = True
) -> Decoder | None:
    """Give a decoder for so many texts by this model, or None if torch has to write.

    With `ahead`, characters are guessed where that pays. The text is the same without.

    torch writes without kernels, on a GPU, with other weights than float32, and while somebody listens to the model or
    changes it.
    """
    if halves:
        model = rounded(model)
    tensors = (*model.parameters(), *model.buffers())
    plain = all(p.device.type == "cpu" and p.dtype in (torch.float32, torch.bool) for p in tensors)
    if not plain or model.heard or kernels is None:
        return None
    arrays = arrays_of(model, halves)
    return None if arrays is None else Decoder(kernels, arrays, texts, ahead)
