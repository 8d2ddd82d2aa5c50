"""Guess first: what was said before a run, against what came of it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from core.errors import BardlabError
from core.runs import guess as runs_guess
from core.runs import reading
from core.runs.folder import State
from core.runs.guess import Guess
from core.runs.state import Run

ROUNDING = 1e-9


@dataclass(frozen=True)
class Guessed:
    """One guess, and how it turned out."""

    run: Run
    guess: Guess
    truth: float | None
    """What was guessed, as it came out; None if there is nothing to compare with."""
    why: str = ""
    """Why there is not."""

    @property
    def error(self) -> float | None:
        """The truth less the guess, nats a character."""
        return None if self.truth is None else self.truth - self.guess.value

    @property
    def hit(self) -> bool:
        """True if the truth fell within what was guessed."""
        return self.error is not None and abs(self.error) <= self.guess.within + ROUNDING

    @property
    def said(self) -> str:
        """The guess in words."""
        return in_words(self.guess)

    @property
    def sentence(self) -> str:
        """The guess and what came of it, in one line."""
        if self.truth is None:
            return f"you said {self.said}; {self.why}"
        came = f"{self.truth:.2f}" if not self.guess.rival else _ahead(self.truth)
        return f"you said {self.said}; it was {came}"


def in_words(guess: Guess) -> str:
    """A guess as it is said: `1.72 ± 0.10`, or `better by 0.05 ± 0.02`."""
    said = _ahead(guess.value) if guess.rival else f"{guess.value:.2f}"
    return f"{said} ± {guess.within:.2f}"


def _ahead(gap: float) -> str:
    """The distance of a run's loss from another's, in words."""
    return f"better by {-gap:.2f}" if gap < 0 else f"worse by {gap:.2f}"


def of(run: Run) -> Guessed | None:
    """Return what was guessed of a run; None if nothing was."""
    guess = runs_guess.read(run.path)
    if guess is None or run.damage:
        return None
    loss, why = _end(run, "it")
    if loss is None or not guess.rival:
        return Guessed(run, guess, loss, why)
    try:
        rival = reading.find(guess.rival)
        against, why = _end(rival, "the other run")
        if against is not None and rival.need().corpus_sha256 != run.need().corpus_sha256:
            against, why = None, "the other run reads another text"
    except BardlabError:
        against, why = None, "the run it was compared with is no longer here"
    return Guessed(run, guess, None if against is None else loss - against, why)


def _end(run: Run, who: str) -> tuple[float | None, str]:
    """A run's validation loss at its end, or why it has none."""
    if run.damage:
        return None, f"{who} is damaged"
    if run.state.active:
        return None, f"{who} is not over yet"
    loss = run.status.val_loss
    if run.state is not State.FINISHED or loss is None or not math.isfinite(loss):
        return None, f"{who} was {run.state} at step {run.status.step:,} and has no end to compare with"
    return loss, ""


def guesses(among: Iterable[Run] | None = None) -> list[Guessed]:
    """Return every guess of the learner's own runs, the oldest first."""
    runs = reading.list_runs() if among is None else among
    found = [each for run in runs if not run.shipped and (each := of(run)) is not None]
    return sorted(found, key=lambda each: each.guess.made)


@dataclass(frozen=True)
class Score:
    """How somebody's guesses turned out."""

    told: int
    """Guesses with a truth to compare with."""
    hits: int
    mean: tuple[float, ...]
    """After each of them: the mean distance of the latest `LATELY` from the truth."""

    @property
    def share(self) -> float:
        """How often the truth fell within what was guessed."""
        return self.hits / self.told


LATELY = 5
"""Guesses over which the distance is averaged."""


def score(made: Iterable[Guessed]) -> Score | None:
    """Sum up guesses; None if none of them has a truth yet."""
    told = [each for each in made if each.error is not None]
    if not told:
        return None
    away = [abs(each.error or 0.0) for each in told]
    sums = [0.0, *accumulate(away)]
    mean = [(sums[i + 1] - sums[max(0, i + 1 - LATELY)]) / min(LATELY, i + 1) for i in range(len(away))]
    return Score(len(told), sum(each.hit for each in told), tuple(mean))
