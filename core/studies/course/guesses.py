"""Guess first: what was said before a run, against what came of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from core.runs.folder import State
from core.runs.state import Run
from core.studies.course.guess import Guess, key

ROUNDING = 1e-9


@dataclass(frozen=True)
class Guessed:
    """One guess, and how it turned out."""

    guess: Guess
    name: str
    """How the run is called."""
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


def turned_out(guess: Guess, runs: Mapping[str, Run]) -> Guessed:
    """Return a guess with its truth, `runs` by their slugs."""
    run = runs.get(guess.run)
    if run is None:
        return Guessed(guess, guess.run, None, "the run is no longer here")
    loss, why = _end(run, "it")
    if loss is None or not guess.rival:
        return Guessed(guess, run.label, loss, why)
    name, rival = run.label, runs.get(guess.rival)
    if rival is None:
        return Guessed(guess, name, None, "the run it was compared with is no longer here")
    name = f"{name}, against {rival.label}"
    against, why = _end(rival, "the other run")
    if against is not None and rival.need().corpus_sha256 != run.need().corpus_sha256:
        against, why = None, "the other run reads another text"
    return Guessed(guess, name, None if against is None else loss - against, why)


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


def guesses(made: Mapping[str, Guess], among: Iterable[Run]) -> list[Guessed]:
    """Return every guess with what came of it, the oldest first."""
    runs = {run.slug: run for run in among}
    return [turned_out(guess, runs) for guess in sorted(made.values(), key=lambda guess: guess.made)]


def of_pair(made: Mapping[str, Guess], pair: Sequence[str]) -> Guess | None:
    """Return what was guessed of two runs, whichever is named first; None if nothing was."""
    one, other = pair
    return made.get(key(one, other)) or made.get(key(other, one))


def open_pair(runs: Sequence[Run]) -> bool:
    """True if these are two runs of which one may still say who wins: both may be compared, and one is not over."""
    if len(runs) != 2 or any(run.damage or run.broken for run in runs):
        return False
    alive = [run for run in runs if run.state.active]
    over = [run for run in runs if not run.state.active]
    return bool(alive) and all(_end(run, "it")[0] is not None for run in over)


def seen_of(runs: Sequence[Run]) -> float:
    """Return how much of the training of some runs is over, from 0 to 1."""
    return sum(min(1.0, run.status.step / max(1, run.status.of)) for run in runs) / max(1, len(runs))


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
