"""A program (core/models/program.py) as arrays, and the working memory that it needs."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from core.inference.entry_points import Kernels
from core.inference.lookahead import Experience
from core.models.contract import LanguageModel
from core.models.packing import LANES, aligned
from core.models.program import Float, Program, Step
from core.models.rounding import is_rounded, stamp

ATTENTION_COST = 3
"""How much longer a multiply-add of attention takes than one of a product."""

_lock = Lock()
_arrays: WeakKeyDictionary[LanguageModel, tuple[object, "ProgramArrays"]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ProgramArrays:
    """A program as arrays: its steps (n, 10), its weights, and how much room it needs."""

    steps: NDArray[np.int64]
    prefill_steps: NDArray[np.int64]
    """The steps that reading takes: what leaves nothing for later characters is not done."""
    logit_steps: NDArray[np.int64]
    """The steps that are left then, for the character after which the logits are wanted."""
    floats: Float
    shorts: NDArray[np.uint16]
    halves: bool
    one_by_one: bool
    width: int
    state: int
    logits: tuple[int, int]
    """Where the logits stand in a row of working memory, and how many they are."""
    experience: list[Experience] = field(default_factory=list)
    """One, once something was written."""

    @property
    def longest(self) -> int:
        """Numbers of the longest vector that is multiplied, scores of attention among them."""
        attention = self.steps[self.steps[:, 0] == Step.ATTEND]
        return int(max(LANES, self.steps[:, 4].max(), (attention[:, 1] - attention[:, 5]).max(initial=0)))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds by which the first position of a prompt is read."""
        products = self.prefill_steps[self.prefill_steps[:, 0] == Step.LINEAR]
        return max(1, int((products[:, 2] * products[:, 4]).sum()))

    @property
    def growth(self) -> float:
        """By how much more work each position of a prompt is than the first, in parts of it, for each one before it."""
        attention = self.prefill_steps[self.prefill_steps[:, 0] == Step.ATTEND]
        return ATTENTION_COST * 2 * int(attention[:, 2].sum()) / self.multiply_adds

    @classmethod
    def of(cls, program: Program) -> "ProgramArrays":
        """Lay out a finished program."""
        program.compact()
        assert program.logits is not None
        steps = np.array(program.rows, dtype=np.int64)
        logits = (program.logits.at, program.logits.size)
        sizes = (program.width, max(LANES, program.state), logits)
        prefill, logit_steps = (np.array(rows, np.int64).reshape(-1, steps.shape[1]) for rows in program.reading)
        weights = (program.floats, program.shorts, program.halves)
        return cls(steps, prefill, logit_steps, *weights, program.one_by_one, *sizes)


def arrays_of(model: LanguageModel, halves: bool = False) -> ProgramArrays | None:
    """Lay out the program of a model, once for its weights as they are now. None if it has none."""
    now = stamp(model)
    with _lock:
        known = _arrays.get(model)
        if known is None or known[0] != now:
            if (program := model.program(halves or is_rounded(model))) is None:
                return None
            known = _arrays[model] = (now, ProgramArrays.of(program))
        return known[1]


def experience_of(arrays: ProgramArrays, kernels: Kernels) -> Experience:
    """Give what is kept of the model's writing, the same to all who write by it."""
    with _lock:
        if not arrays.experience:
            arrays.experience.append(Experience(kernels.make_tables(arrays.logits[1])))
        return arrays.experience[0]


def workspace(kernels: Kernels, arrays: ProgramArrays, rows: int) -> tuple[NDArray[Any], ...]:
    """Make working memory for so many characters at once."""
    spare = LANES if rows > 1 else 0  # what several are multiplied at once may be written to rows behind them
    work = aligned((rows + spare) * arrays.width).reshape(-1, arrays.width)
    return work, np.zeros(arrays.width, np.int64), *kernels.make_scratch(rows, arrays.longest)
