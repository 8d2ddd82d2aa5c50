"""Writing without the interpreter: a rung's program (core/models/program.py) as machine code.

The first use on a machine compiles for some seconds; the outcome is kept in the learner's home and serves every later
process, and if that home is the folder of the program itself, every other home too. Nobody waits for it: `ready`
answers at once, and until it gives something torch writes. A worker aside does the compiling (`core.jobs.worker
--compile`), a thread loads what is there.

Another processor, another version or a changed kernel find nothing and compile anew; an unwritable home or a platform
without numba leave it to torch, said once in the log.
"""

import copy
import hashlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from pathlib import Path
from queue import Empty, SimpleQueue
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
from core.models.packing import LANES, aligned
from core.models.program import BEFORE, GUESSES, Float, Program, Step
from core.models.rounding import is_rounded, rounded, stamp

BLOCK = 0.03
"""Seconds that one call into the machine code takes at most, about: as long as nobody can stop it."""
AT_ONCE = 128
"""Rows of working memory: so many characters of a prompt are read together."""
LEAST = 32
"""Rows of the least piece of a prompt that a thread reads beside others: fewer do without the matrix unit."""
WORTH = 100_000_000
"""Multiply-adds, about a millisecond, from which on a piece is worth a thread."""
SLOW = 3
"""How much longer a multiply-add of attention takes than one of a product."""
AHEAD = (0, 1, 3, GUESSES)
"""How many characters may be guessed ahead."""
HALF_LIFE = 40
"""Characters after which what was known of a number of guesses counts half."""
ENOUGH = 8
"""Characters from which on something is known of it."""
AGAIN, AT_LAST = 8, 128
"""Blocks for which another number of guesses than the best rests at least, and at most."""
COST = 0.02
"""What such trials may cost, as a share of the time: the slower another number was, the longer it rests."""
LEAD = 64
"""Characters that a text that is guessed well may be ahead of what all texts have."""

_log = logging.getLogger(__name__)
_helpers = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="reads-along")  # threads start when there is work
_lock = Lock()
_kernels: ModuleType | None = None
_loading = False
_failed = False
_laid: WeakKeyDictionary[LanguageModel, tuple[object, "Laid"]] = WeakKeyDictionary()


def folders() -> list[Path]:
    """Where machine code is kept: in this home, and in the one that everybody has who names no other."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(given)]
    return [home / "cache" / "compiled" for home in (paths.home(), paths.ROOT)]


def mark() -> Path:
    """The file that stands once everything is compiled for this processor, these versions and this source.

    In the home that has it, or where it will be.
    """
    marks = [folder / _source() / "done" for folder in folders()]
    return next((mark for mark in marks if mark.exists()), marks[0])


def sources() -> list[Path]:
    """Every file on which the machine code depends: this room and the description of programs."""
    here = Path(__file__).parent
    models = here.parent / "models"
    return [models / "program.py", models / "packing.py", *sorted(here.rglob("*.py"))]


def fingerprint(files: Iterable[Path]) -> str:
    """A name for what is compiled of these files, for this processor and by these versions."""
    import llvmlite.binding as llvm

    depends = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    depends += [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy")]
    depends += [path.read_text(encoding="utf-8") for path in files]
    return hashlib.sha256(chr(0).join(depends).encode()).hexdigest()[:16]


@cache
def _source() -> str:
    return fingerprint(sources())


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
    from core.inference import kernels

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

    def __init__(self, most: int = GUESSES) -> None:
        self.open = [guesses for guesses in AHEAD if guesses <= most]
        self.seconds, self.characters = dict.fromkeys(self.open, 0.0), dict.fromkeys(self.open, 0.0)
        self.blocks = 0
        self.tried = dict.fromkeys(self.open, 0)

    def pace(self, guesses: int) -> float:
        """Seconds of processor time a character with so many; 0 where too little is known."""
        known = self.characters[guesses]
        return self.seconds[guesses] / known if known >= ENOUGH else 0.0

    def choose(self) -> int:
        """Say how many to guess in the next block: what is not known yet, the best, or now and then its neighbour."""
        self.blocks += 1
        chosen = best = min(self.open, key=self.pace)
        place, pace = self.open.index(best), self.pace(best)
        for beside in self.open[max(0, place - 1) : place + 2] if pace else ():
            rest = max(AGAIN, (self.pace(beside) / pace - 1) / COST)
            if beside != best and self.blocks - self.tried[beside] >= min(rest, AT_LAST):
                chosen = beside
        self.tried[chosen] = self.blocks
        return chosen

    def learn(self, guesses: int, seconds: float, characters: float) -> None:
        """Take in what a block with so many took."""
        left = 0.5 ** (characters / HALF_LIFE)
        self.seconds[guesses] = left * self.seconds[guesses] + seconds
        self.characters[guesses] = left * self.characters[guesses] + characters


class Habits:
    """What is kept of a model's writing, so that its next texts are guessed better.

    What it said, whichever text it was, and what paid for so many texts side by side.
    """

    def __init__(self, tables: Any) -> None:
        self.tables = tables
        self.strides: dict[int, Stride] = {}


@dataclass(frozen=True)
class Laid:
    """A program as arrays: its steps (n, 10), its weights, and how much room it needs."""

    steps: NDArray[np.int64]
    reading: NDArray[np.int64]
    """The steps that reading takes: what leaves nothing for later characters is not done."""
    telling: NDArray[np.int64]
    """The steps that are left then, for the character after which the logits are wanted."""
    floats: Float
    shorts: NDArray[np.uint16]
    halves: bool
    one_by_one: bool
    width: int
    state: int
    logits: tuple[int, int]
    """Where the logits stand in a row of working memory, and how many they are."""
    habits: list[Habits] = field(default_factory=list)
    """One, once something was written."""

    @property
    def longest(self) -> int:
        """Numbers of the longest vector that is multiplied, scores of attention among them."""
        attended = self.steps[self.steps[:, 0] == Step.ATTEND]
        return int(max(LANES, self.steps[:, 4].max(), (attended[:, 1] - attended[:, 5]).max(initial=0)))

    @property
    def work(self) -> int:
        """Multiply-adds by which the first position of a prompt is read."""
        multiplied = self.reading[self.reading[:, 0] == Step.LINEAR]
        return max(1, int((multiplied[:, 2] * multiplied[:, 4]).sum()))

    @property
    def uphill(self) -> float:
        """By how much more work each position of a prompt is than the first, in parts of it, for each one before it."""
        attended = self.reading[self.reading[:, 0] == Step.ATTEND]
        return SLOW * 2 * int(attended[:, 2].sum()) / self.work

    @classmethod
    def of(cls, program: Program) -> "Laid":
        """Lay out a finished program."""
        program.compact()
        assert program.logits is not None
        steps = np.array(program.rows, dtype=np.int64)
        end = (program.logits.at, program.logits.size)
        room = (program.width, max(LANES, program.state), end)
        reading, telling = (np.array(rows, np.int64).reshape(-1, steps.shape[1]) for rows in program.reading)
        return cls(steps, reading, telling, program.floats, program.shorts, program.halves, program.one_by_one, *room)


class Written(NamedTuple):
    """One character of each text: its ids, the logits (V,) each was drawn from, and its chance among them."""

    ids: list[int]
    logits: Sequence[Tensor]
    chances: list[float]


def pieces(T: int, start: int, count: int, least: int, grain: int, uphill: float) -> list[int]:
    """Cut T positions from `start` on into `count` pieces of equal work, of at least so many and of whole grains."""
    work = np.cumsum(1 + uphill * np.arange(start, start + T))
    ends = [0]
    for number in range(1, count):
        even = round(int(np.searchsorted(work, work[-1] * number / count)) / grain) * grain
        ends.append(min(even, (T - least * (count - number)) // grain * grain))
    sizes: list[int] = np.diff([*ends, T]).tolist()
    return sizes


Cuts = tuple[float, int, float]
"""Temperature, top-k, top-p."""


class Decoder:
    """The state of some texts that are written side by side by machine code."""

    def __init__(self, kernels: ModuleType, laid: Laid, texts: int, ahead: bool = True) -> None:
        self.kernels, self.laid, self.texts = kernels, laid, texts
        if not laid.habits:
            laid.habits.append(Habits(kernels.tables(laid.logits[1])))
        self.habits = laid.habits[0]
        self.noise = torch.empty(0, texts, laid.logits[1])  # drawn for characters that are not written yet
        self.passes = 0
        self.together = 1 if laid.one_by_one else max(1, AT_ONCE // texts)
        self.ahead = ahead and self.together > 1
        self.stride = self.habits.strides.setdefault(texts, Stride(self.together - 1))
        self.room = self._room(texts * self.together)
        self.team: list[tuple[NDArray[Any], ...]] = []
        """Working memory of each thread that reads a piece while others read theirs, once there were several."""
        self.progress = np.zeros(1, np.int64)
        self.known = False  # whether the character from which `write` goes on has been read
        self.probs = np.zeros(laid.logits[1], np.float32)
        self.state: Float = aligned(texts * laid.state).reshape(texts, -1)
        self.recent = np.zeros((texts, BEFORE), np.int64)
        self.length = 0
        self.leads = np.zeros(texts, np.int64)  # characters of each text that are written but not given away yet
        self.drawn = np.zeros((0, texts), np.int64)  # those
        self.chances = np.zeros((0, texts), np.float32)
        self.logits = np.zeros((0, texts, laid.logits[1]), np.float32)
        self.pace = 0.0  # seconds a character
        self.window = 0
        self.next: Decoder | None = None

    def _room(self, rows: int) -> tuple[NDArray[Any], ...]:
        """Make working memory for so many characters at once."""
        spare = LANES if rows > 1 else 0  # what several are multiplied at once may be written to rows behind them
        work = aligned((rows + spare) * self.laid.width).reshape(-1, self.laid.width)
        return work, np.zeros(self.laid.width, np.int64), *self.kernels.room(rows, self.laid.longest)

    def restart(self) -> None:
        """Forget what was read."""
        self.length, self.known = 0, False
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
        laid, start = self.laid, self.length
        given = (laid.steps, laid.floats, laid.shorts, laid.halves)
        least = most if all_at_once else max(1, min(most, int(BLOCK / self.pace) if self.pace else 1))
        ahead = self.stride.choose() if self.ahead else -1
        count = max(min(most, least + LEAD if self.ahead else least), len(self.drawn))
        at, V = laid.logits
        noise = self._noise(count, generators)
        drawn, chances, logits = (_longer(each, count) for each in (self.drawn, self.chances, self.logits))
        ids = np.zeros((self.texts, BEFORE + 2 + GUESSES), np.int64)
        ids[:, :BEFORE], ids[:, BEFORE] = self.recent, fresh[:, -1].numpy()
        for text in self.leads.nonzero()[0]:
            ids[text, BEFORE] = drawn[self.leads[text] - 1, text]
        steps, cut = self.leads.copy(), (np.float32(cuts[0]), cuts[1], np.float32(cuts[2]))
        rooms = (self.state, *self.room, self.progress, ids, self.length, at, noise[:count].numpy())
        drawing = (*cut, self.probs, steps, drawn, logits, chances)
        telling, self.known = laid.telling if self.known else laid.telling[:0], False
        began, worked = time.perf_counter(), time.thread_time()
        passes = self.kernels.write(telling, *given, *rooms, *drawing, least, ahead, self.habits.tables)
        written = float((steps - self.leads).mean())
        if passes:
            self.pace = (time.perf_counter() - began) / max(1.0, written)
        if self.ahead:
            self.stride.learn(ahead, time.thread_time() - worked, written)
        done, most_written = min(int(steps.min()), most), int(steps.max())
        self.drawn, self.chances, self.logits = (each[done:most_written] for each in (drawn, chances, logits))
        self.leads, self.noise = steps - done, noise[done:]
        self.passes += passes
        self.length += done
        self.recent = ids[:, :BEFORE].copy()
        if self.next is not None:
            read = np.concatenate((fresh.numpy(), drawn[: max(0, done - 1)].T), axis=1)  # (B, N) from `start` on
            second_half = self.window - max(1, self.window // 2) + 1
            list(self.next.read(torch.from_numpy(read[:, max(0, second_half - start) :])))
        rows = iter(torch.from_numpy(logits[:done]).view(-1, V).unbind())
        told = zip(drawn[:done].tolist(), zip(*[rows] * self.texts, strict=True), chances[:done].tolist(), strict=True)
        return [Written(*each) for each in told]

    def _noise(self, count: int, generators: Sequence[torch.Generator]) -> Tensor:
        """What torch.multinomial would draw for so many characters, at least (N, B, V)."""
        fresh = torch.empty(max(0, count - len(self.noise)), *self.noise.shape[1:])
        for row, generator in zip(fresh.flatten(0, 1).unbind(), cycle(generators), strict=False):
            row.exponential_(generator=generator)
        return torch.cat((self.noise, fresh))

    def read(self, fresh: Tensor, last: bool = False) -> Iterator[None]:
        """Read ids (B, T), with a pause after each piece, or after as many as torch may have threads, read at once.

        With `last`, it is from the last of them that `write` goes on.
        """
        ids = whole = np.concatenate((self.recent, fresh.numpy().astype(np.int64)), axis=1)  # (B, BEFORE + T)
        while left := ids.shape[1] - BEFORE:
            sizes = self._sizes(left, torch.get_num_threads())
            self._read(ids, sizes)
            self.length += sum(sizes)
            ids = ids[:, sum(sizes) :]
            self.recent = ids[:, :BEFORE].copy()
            if last and ids.shape[1] == BEFORE:
                self.known, self.length, self.recent = True, self.length - 1, whole[:, -BEFORE - 1 : -1].copy()
            yield

    def _sizes(self, left: int, threads: int) -> list[int]:
        """Say how many characters each thread reads next.

        No piece is left that is too small for the matrix unit and none of one text ends within sixteen: so the sums of
        one text are the same, whatever the number of threads.
        """
        if self.laid.one_by_one:
            return [1]
        least, grain = -(-LEAST // self.texts), LANES if self.texts == 1 else 1
        count = max(1, min(threads, left // least, left * self.texts * self.laid.work // WORTH))
        T = min(left, count * self.together)
        if left > T:
            T = max(1, min(T, (left - least) // grain * grain))
        return pieces(T, self.length, max(1, min(count, T // least)), least, grain, self.laid.uphill)

    def _read(self, ids: NDArray[np.int64], sizes: list[int]) -> None:
        """Read pieces of ids (B, BEFORE + T or more), by as many threads if there are several.

        A thread takes the next piece and reads it to its end, waiting only for the one before (`kernels.run`), which
        somebody took earlier. So whatever the number of threads that come, this one alone suffices.
        """
        rooms, rows = [self.room], self.texts * max(sizes)
        if len(sizes) > 1:
            if self.team and len(self.team[0][0]) < rows + LANES:
                self.team.clear()
            while len(self.team) < len(sizes):
                self.team.append(self._room(len(self.team[0][0]) - LANES if self.team else rows))
            rooms = self.team[: len(sizes)]
        laid, progress = self.laid, np.zeros(len(sizes), np.int64)
        turns: SimpleQueue[int] = SimpleQueue()
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        for piece in range(len(sizes)):
            turns.put(piece)

        def take_turns(room: tuple[NDArray[Any], ...]) -> None:
            try:
                while True:
                    piece = turns.get_nowait()
                    start, T = sum(sizes[:piece]), sizes[piece]
                    part = np.ascontiguousarray(ids[:, start : start + BEFORE + T])
                    given = laid.reading, laid.floats, laid.shorts, laid.halves, self.state
                    starts, counts = np.full(self.texts, self.length + start), np.full(self.texts, T)
                    self.kernels.run(*given, *room, progress, part, starts, counts, self.texts * T, piece)
                    if piece == len(sizes) - 1:  # from there `write` may go on
                        self.room[0][: self.texts] = room[0][T - 1 : self.texts * T : T]
                    done.put(None)
            except Empty:
                pass
            except BaseException as error:
                progress.fill(len(laid.reading) + 1)  # nobody waits for what will not come
                done.put(error)
                raise

        with suppress(RuntimeError):  # the interpreter is ending, or the system gives no more threads
            for room in rooms[1:]:
                _helpers.submit(take_turns, room)
        take_turns(rooms[0])
        for _ in sizes:
            if (error := done.get()) is not None:
                raise error


def _longer(array: NDArray[Any], count: int) -> NDArray[Any]:
    """Make room for so many rows behind those that there are."""
    made = np.empty((count, *array.shape[1:]), array.dtype)
    made[: len(array)] = array
    return made


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
