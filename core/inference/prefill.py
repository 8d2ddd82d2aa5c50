"""Reading a prompt, by several threads if that pays: each reads a piece of it."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.inference.arrays import ProgramArrays, workspace
from core.inference.entry_points import Kernels
from core.models.packing import LANES
from core.models.program import BEFORE, Float

ROWS = 128
"""Rows of working memory: so many characters of a prompt are read together."""
LEAST = 32
"""Rows of the least piece of a prompt that a thread reads beside others: fewer do without the matrix unit."""
WORTH = 100_000_000
"""Multiply-adds, about a millisecond, from which on a piece is worth a thread."""

_helpers = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="reads-along")  # threads start when there is work


def pieces(T: int, start: int, count: int, least: int, grain: int, growth: float) -> list[int]:
    """Cut T positions from `start` on into `count` pieces of equal work, of at least so many and of whole grains."""
    work = np.cumsum(1 + growth * np.arange(start, start + T))
    ends = [0]
    for number in range(1, count):
        even = round(int(np.searchsorted(work, work[-1] * number / count)) / grain) * grain
        ends.append(min(even, (T - least * (count - number)) // grain * grain))
    sizes: list[int] = np.diff([*ends, T]).tolist()
    return sizes


class Prefill:
    """Reads characters of some texts side by side."""

    def __init__(self, kernels: Kernels, arrays: ProgramArrays, texts: int) -> None:
        self.kernels, self.arrays, self.texts = kernels, arrays, texts
        self.together = 1 if arrays.one_by_one else max(1, ROWS // texts)
        """Characters of each text that one thread reads at once."""
        self.workspace = workspace(kernels, arrays, texts * self.together)
        self.team: list[tuple[NDArray[Any], ...]] = []
        """Working memory of each thread that reads a piece while others read theirs, once there were several."""

    def sizes(self, left: int, start: int, threads: int) -> list[int]:
        """Say how many of the characters that are left from position `start` on each thread reads next.

        No piece is left that is too small for the matrix unit and none of one text ends within sixteen: so the sums of
        one text are the same, whatever the number of threads.
        """
        if self.arrays.one_by_one:
            return [1]
        least, grain = -(-LEAST // self.texts), LANES if self.texts == 1 else 1
        count = max(1, min(threads, left // least, left * self.texts * self.arrays.multiply_adds // WORTH))
        T = min(left, count * self.together)
        if left > T:
            T = max(1, min(T, (left - least) // grain * grain))
        return pieces(T, start, max(1, min(count, T // least)), least, grain, self.arrays.growth)

    def read(self, ids: NDArray[np.int64], sizes: list[int], start: int, state: Float) -> None:
        """Read pieces of ids (B, BEFORE + T or more), by as many threads if there are several.

        A thread takes the next piece and reads it to its end, waiting only for the one before
        (core/inference/kernels/interpreter.py), which somebody took earlier. So whatever the number of threads that
        come, this one alone suffices.
        """
        spaces = self._workspaces(len(sizes), self.texts * max(sizes))
        arrays, progress = self.arrays, np.zeros(len(sizes), np.int64)
        queue: SimpleQueue[int] = SimpleQueue()
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        for piece in range(len(sizes)):
            queue.put(piece)

        def take_turns(space: tuple[NDArray[Any], ...]) -> None:
            try:
                while True:
                    piece = queue.get_nowait()
                    first, T = sum(sizes[:piece]), sizes[piece]
                    part = np.ascontiguousarray(ids[:, first : first + BEFORE + T])
                    program = arrays.prefill_steps, arrays.floats, arrays.shorts, arrays.halves
                    starts, counts = np.full(self.texts, start + first), np.full(self.texts, T)
                    rows = self.texts * T
                    self.kernels.run(*program, state, *space, progress, part, starts, counts, rows, piece)
                    if piece == len(sizes) - 1:  # from there `write` may go on
                        self.workspace[0][: self.texts] = space[0][T - 1 : rows : T]
                    done.put(None)
            except Empty:
                pass
            except BaseException as error:
                progress.fill(len(arrays.prefill_steps) + 1)  # nobody waits for what will not come
                done.put(error)
                raise

        with suppress(RuntimeError):  # the interpreter is ending, or the system gives no more threads
            for space in spaces[1:]:
                _helpers.submit(take_turns, space)
        take_turns(spaces[0])
        for _ in sizes:
            if (error := done.get()) is not None:
                raise error

    def _workspaces(self, threads: int, rows: int) -> list[tuple[NDArray[Any], ...]]:
        """Give working memory of so many rows for each thread, made once."""
        if threads == 1:
            return [self.workspace]
        if self.team and len(self.team[0][0]) < rows + LANES:
            self.team.clear()
        while len(self.team) < threads:
            rows = len(self.team[0][0]) - LANES if self.team else rows
            self.team.append(workspace(self.kernels, self.arrays, rows))
        return self.team[:threads]
