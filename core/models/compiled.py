"""Writing without the interpreter: a rung's program (core/models/program.py) as machine code.

The first use on a machine compiles for some seconds; the outcome is kept in the learner's home and serves every later
process. Nobody waits for it: `ready` answers at once, and until it gives something torch writes. A worker aside does
the compiling (`core.worker --compile`), a thread loads what is there.

Another processor, another version or a changed kernel find nothing and compile anew; an unwritable home or a platform
without numba leave it to torch, said once in the log.
"""

import copy
import hashlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from threading import Lock, Thread
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import paths
from core.models.contract import LanguageModel
from core.models.program import BEFORE, GUESSES, LANES, Float, Program, Step, aligned
from core.models.rounding import is_rounded, rounded, stamp

BLOCK = 0.03
"""Seconds that one call into the machine code takes at most, about: as long as nobody can stop it."""
AT_ONCE = 128
"""Rows of working memory: so many characters of a prompt are read together."""
AHEAD = (0, 1, 3, GUESSES)
"""How many characters may be guessed ahead."""
HALF_LIFE = 40
"""Characters after which what was known of a number of guesses counts half."""
ENOUGH = 8
"""Characters from which on something is known of it."""
AGAIN = 8
"""Every so many blocks another number of guesses than the best is tried."""

_log = logging.getLogger(__name__)
_lock = Lock()
_kernels: ModuleType | None = None
_loading = False
_failed = False
_laid: WeakKeyDictionary[LanguageModel, tuple[object, "Laid"]] = WeakKeyDictionary()


def folder() -> Path:
    """Where machine code is kept."""
    return Path(os.environ.get("NUMBA_CACHE_DIR") or paths.home() / "cache" / "compiled")


def mark() -> Path:
    """The file that stands once everything is compiled for this processor, these versions and this source."""
    return folder() / _source() / "done"


@cache
def _source() -> str:
    import llvmlite.binding as llvm

    here = Path(__file__).parent
    told = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    told += [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy")]
    told += [
        (here / name).read_text(encoding="utf-8") for name in ("kernels.py", "guessing.py", "products.py", "program.py")
    ]
    return hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:16]


def built() -> bool:
    """Whether loading would find everything compiled. True as well where nothing can be compiled."""
    try:
        return _failed or mark().exists()
    except (ImportError, OSError, RuntimeError) as error:
        _give_up(error)
        return True


def load() -> ModuleType | None:
    """Load the kernels, compiling what is not there yet, and wait for it. None if that cannot be."""
    global _kernels
    with _lock:
        if _kernels is None and not _failed:
            try:
                _kernels = _load()
            except Exception as error:  # whatever is wrong with the compiler, torch can write
                _give_up(error)
        return _kernels


def ready() -> ModuleType | None:
    """Give the kernels if they are loaded; else, if they are compiled, load them aside. Never waits."""
    global _loading
    if _kernels is None and not _failed and not _loading and built() and not _failed:
        _loading = True
        Thread(target=load, name="load-kernels", daemon=True).start()
    return _kernels


def _load() -> ModuleType:
    import numba

    mark().parent.mkdir(parents=True, exist_ok=True)  # its own for each source: numba looks at one file of it alone
    setattr(numba.config, "CACHE_DIR", str(mark().parent))  # noqa: B010 the module makes its names as it is loaded
    from core.models import kernels

    program = Program(2)  # the smallest there is: all types of all kernels follow from it
    program.logits = program.embed(torch.zeros(2, 2))
    generator = [torch.Generator().manual_seed(1)]
    decoder, ids = Decoder(kernels, Laid.of(program), 1), torch.zeros(1, 1, dtype=torch.long)
    list(decoder.read(ids))
    decoder.write(ids, 2, generator, (1.0, 1, 0.5))
    mark().touch()
    return kernels


def _give_up(error: Exception) -> None:
    global _failed
    if not _failed:
        _failed = True
        _log.warning("torch writes the texts, more slowly: %s", " ".join(str(error).split())[:200])


class Stride:
    """How many characters are guessed ahead: as many as write fastest, by what was measured of each number."""

    def __init__(self) -> None:
        self.seconds, self.characters = dict.fromkeys(AHEAD, 0.0), dict.fromkeys(AHEAD, 0.0)
        self.blocks = 0

    def pace(self, guesses: int) -> float:
        """Seconds of processor time a character with so many; 0 where too little is known."""
        known = self.characters[guesses]
        return self.seconds[guesses] / known if known >= ENOUGH else 0.0

    def choose(self) -> int:
        """Say how many to guess in the next block: what is not known yet, the best, or now and then its neighbour."""
        self.blocks += 1
        best = min(AHEAD, key=self.pace)
        if self.blocks % AGAIN:
            return best
        beside = AHEAD.index(best) + (1 if self.blocks % (2 * AGAIN) else -1)
        return AHEAD[min(max(beside, 0), len(AHEAD) - 1)]

    def learn(self, guesses: int, seconds: float, characters: int) -> None:
        """Take in what a block with so many took."""
        left = 0.5 ** (characters / HALF_LIFE)
        self.seconds[guesses] = left * self.seconds[guesses] + seconds
        self.characters[guesses] = left * self.characters[guesses] + characters


class Habits:
    """What is kept of a model's writing, so that its next text is guessed better: what it said, and what paid."""

    def __init__(self, tables: Any) -> None:
        self.tables, self.stride = tables, Stride()


@dataclass(frozen=True)
class Laid:
    """A program as arrays: its steps (n, 10), its weights, and how much room it needs."""

    steps: NDArray[np.int64]
    reading: NDArray[np.int64]
    """The steps that reading takes: what leaves nothing for later characters is not done."""
    floats: Float
    shorts: NDArray[np.uint16]
    halves: bool
    one_by_one: bool
    width: int
    state: int
    logits: tuple[int, int]
    """Where the logits stand in a row of working memory, and how many they are."""
    habits: list[Habits] = field(default_factory=list)
    """One, once a text was written alone."""

    @property
    def longest(self) -> int:
        """Numbers of the longest vector that is multiplied, scores of attention among them."""
        attended = self.steps[self.steps[:, 0] == Step.ATTEND]
        return int(max(LANES, self.steps[:, 4].max(), (attended[:, 1] - attended[:, 5]).max(initial=0)))

    @classmethod
    def of(cls, program: Program) -> "Laid":
        """Lay out a finished program."""
        program.compact()
        assert program.logits is not None
        steps = np.array(program.rows, dtype=np.int64)
        end = (program.logits.at, program.logits.size)
        room = (program.width, max(LANES, program.state), end)
        reading = np.array(program.reading, dtype=np.int64).reshape(-1, steps.shape[1])
        return cls(steps, reading, program.floats, program.shorts, program.halves, program.one_by_one, *room)


class Written(NamedTuple):
    """One character of each text: its ids, the logits (V,) each was drawn from, and its chance among them."""

    ids: list[int]
    logits: Sequence[Tensor]
    chances: list[float]


Cuts = tuple[float, int, float]
"""Temperature, top-k, top-p."""


class Decoder:
    """The state of some texts that are written side by side by machine code."""

    def __init__(self, kernels: ModuleType, laid: Laid, texts: int, ahead: bool = True) -> None:
        self.kernels, self.laid, self.texts = kernels, laid, texts
        if not laid.habits:
            laid.habits.append(Habits(kernels.tables(laid.logits[1])))
        self.habits = laid.habits[0]
        self.ahead = ahead and texts == 1 and not laid.one_by_one
        self.noise = torch.empty(0, texts, laid.logits[1])  # drawn for characters that are not written yet
        self.passes = 0
        self.together = 1 if laid.one_by_one else max(1, AT_ONCE // texts)
        rows = texts * self.together
        spare = LANES if rows > 1 else 0  # what several are multiplied at once may be written to rows behind them
        self.work: Float = aligned((rows + spare) * laid.width).reshape(-1, laid.width)
        self.found = np.zeros(laid.width, np.int64)
        self.aside: tuple[NDArray[Any], ...] = kernels.room(rows, laid.longest)
        self.probs = np.zeros(laid.logits[1], np.float32)
        self.state: Float = aligned(texts * laid.state).reshape(texts, -1)
        self.recent = np.zeros((texts, BEFORE), np.int64)
        self.length = 0
        self.pace = 0.0  # seconds a character
        self.window = 0
        self.next: Decoder | None = None

    def restart(self) -> None:
        """Forget what was read."""
        self.length = 0
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
        ahead = self.next
        if ahead is None or ahead.length != ids.shape[1] - 1:
            self.restart()
        else:
            self.state, ahead.state = ahead.state, self.state
            self.length, self.recent, ids = ahead.length, ahead.recent, ids[:, -1:]
        if ahead is not None:
            ahead.restart()
        return ids

    @property
    def reads_windows(self) -> bool:
        """Whether a whole window is read faster than by torch, which spreads it over all its threads."""
        return bool(self.kernels.MATRIX_UNIT) or torch.get_num_threads() == 1

    @property
    def rooms(self) -> tuple[object, ...]:
        """What the kernels write to."""
        return self.state, self.work, self.found, *self.aside

    def write(
        self,
        fresh: Tensor,
        most: int,
        generators: Sequence[torch.Generator],
        cuts: Cuts,
        all_at_once: bool = False,
    ) -> list[Written]:
        """Read the latest ids (B, 1), then write up to `most` characters, as many as fit in a block of time.

        The noise is what torch.multinomial would draw from the same generators: the same text follows. Fewer than one
        character come back if there is nothing to draw from.
        """
        laid, start = self.laid, self.length
        given = (laid.steps, laid.floats, laid.shorts, laid.halves)
        least = most if all_at_once else max(1, min(most, int(BLOCK / self.pace) if self.pace else 1))
        ahead = self.habits.stride.choose() if self.ahead else 0
        count = min(most, least + ahead)
        at, V = laid.logits
        noise = self._noise(count, generators)
        ids = np.zeros((self.texts, BEFORE + 1 + GUESSES), np.int64)
        ids[:, :BEFORE], ids[:, BEFORE] = self.recent, fresh[:, -1].numpy()
        drawn = np.zeros((count, self.texts), np.int64)
        logits, chances = np.empty((count, self.texts, V), np.float32), np.empty((count, self.texts), np.float32)
        cut = np.float32(cuts[0]), cuts[1], np.float32(cuts[2])
        rooms = (*self.rooms, ids, self.length, at, noise[:count].numpy(), *cut, self.probs, drawn, logits, chances)
        began, worked = time.perf_counter(), time.thread_time()
        done, passes = self.kernels.write(*given, *rooms, least, ahead, self.habits.tables)
        self.pace = (time.perf_counter() - began) / max(1, done)
        if self.ahead:
            self.habits.stride.learn(ahead, time.thread_time() - worked, done)
        self.noise = noise[done:]
        self.passes += passes
        self.length += done
        self.recent = ids[:, :BEFORE].copy()
        if self.next is not None:
            read = np.concatenate((fresh.numpy(), drawn[: max(0, done - 1)].T), axis=1)  # (B, N) from `start` on
            second_half = self.window - max(1, self.window // 2) + 1
            list(self.next.read(torch.from_numpy(read[:, max(0, second_half - start) :])))
        rows = iter(torch.from_numpy(logits).view(-1, V).unbind())
        told = zip(drawn.tolist(), zip(*[rows] * self.texts, strict=True), chances.tolist(), strict=True)
        return [Written(*each) for each in islice(told, done)]

    def _noise(self, count: int, generators: Sequence[torch.Generator]) -> Tensor:
        """What torch.multinomial would draw for so many characters, at least (N, B, V)."""
        fresh = torch.empty(max(0, count - len(self.noise)), *self.noise.shape[1:])
        for row, generator in zip(fresh.flatten(0, 1).unbind(), cycle(generators), strict=False):
            row.exponential_(generator=generator)
        return torch.cat((self.noise, fresh))

    def read(self, fresh: Tensor) -> Iterator[None]:
        """Read ids (B, T) a piece at a time, with a pause after each."""
        laid, ids = self.laid, fresh.numpy().astype(np.int64)
        given = (laid.reading, laid.floats, laid.shorts, laid.halves)
        for first in range(0, ids.shape[1], self.together):
            piece = np.concatenate((self.recent, ids[:, first : first + self.together]), axis=1)  # (B, BEFORE + T)
            T = piece.shape[1] - BEFORE
            self.kernels.run(*given, *self.rooms, piece, T, self.length)
            self.length += T
            self.recent = piece[:, -BEFORE:].copy()
            yield


def decoder(
    model: LanguageModel,
    texts: int,
    halves: bool = False,
    get: Callable[[], ModuleType | None] | None = None,
    ahead: bool = True,
) -> Decoder | None:
    """Give a decoder for so many texts by this model, or None if torch has to write: at once, unless `get` waits.

    With `ahead`, characters are guessed where that pays. The text is the same without.

    torch writes on a GPU, with other weights than float32, and while somebody listens to the model or changes it.
    """
    if halves:
        model = rounded(model)
    tensors = (*model.parameters(), *model.buffers())
    plain = all(p.device.type == "cpu" and p.dtype in (torch.float32, torch.bool) for p in tensors)
    if not plain or model.heard or (kernels := (get or ready)()) is None:
        return None
    now = stamp(model)
    with _lock:
        known = _laid.get(model)
        if known is None or known[0] != now:
            if (program := model.program(halves or is_rounded(model))) is None:
                return None
            known = _laid[model] = (now, Laid.of(program))
        return Decoder(kernels, known[1], texts, ahead)
