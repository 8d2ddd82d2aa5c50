"""Whether an exercise is done: judged by settings, by runs on disk, and by what is computed of a text and a model."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.inspect.heads import HeadScores
from core.ladder.exercises import Choice, Exercise, Form, Number, Trained
from core.ladder.rung import Rung
from core.models.contract import LanguageModel
from core.models.footprint import weightless
from core.runs.folder import State
from core.runs.state import Run
from core.settings import Settings
from core.texts.corpus import Corpus
from core.training.config import TrainConfig


@dataclass(frozen=True)
class RungFacts:
    """What the exercises of a rung ask for, computed when it is asked for."""

    rung: Rung
    text: Corpus
    scores: Callable[[], HeadScores | None] = lambda: None
    """What each head of the run that is looked at looks for; None if there is no such run."""

    @cached_property
    def settings(self) -> Any:
        """The model's settings of the rung's first preset."""
        return self.rung.settings(self.rung.default_preset, {}, {})[0]

    @cached_property
    def model(self) -> LanguageModel:
        """A model of these settings, without numbers in it."""
        return built(self.rung, self.settings, self.text.tokenizer.size)

    def heads(self, kind: str) -> dict[str, float]:
        """How much attention each head gives to a kind of key, by the head's name; nothing without a run."""
        if (found := self.scores()) is None:
            return {}
        place = [each.key for each in found.kinds].index(kind)
        layers, heads = found.entropy.shape
        return {
            f"layer {layer}, head {head}": float(found.score[place, layer, head])
            for layer in range(layers)
            for head in range(heads)
        }


def built(rung: Rung, settings: Settings, size: int) -> LanguageModel:
    """Make a model without numbers in it."""
    with weightless():
        return rung.build(settings, size)


@dataclass(frozen=True)
class Judged:
    """Whether it is done, and in a line why, or why not yet."""

    done: bool
    line: str


def form(check: Form, rung: Rung, model: Settings, train: TrainConfig, size: int) -> Judged:
    """Judge a set-up."""
    if check.holds(model, train, built(rung, model, size)):
        return Judged(True, "The form is set so.")
    return Judged(False, "The form is not set so yet.")


def trained(check: Trained, rung: Rung, runs: Sequence[Run]) -> Judged:
    """Judge the learner's runs of a rung: one that has come to its end and is so is enough."""
    for run in runs:
        if run.shipped or run.damage or run.config is None or run.rung_key != rung.key:
            continue
        if run.state is State.FINISHED and check.holds(run.config.model_config_, run.config.train):
            loss = run.status.val_loss
            return Judged(True, f"{run.name} is so" + ("." if loss is None else f": validation loss {loss:.4f}."))
    return Judged(False, "No run of yours that has come to its end is so yet.")


def number(check: Number, facts: RungFacts, answer: float) -> Judged:
    """Judge a predicted number."""
    right = check.value(facts)
    done = math.isfinite(answer) and abs(answer - right) <= check.within + 1e-9
    return Judged(done, f"It is {_shown(right)}{check.unit and ' ' + check.unit}." if done else _off(answer, right))


def _off(answer: float, right: float) -> str:
    """Say in which direction to look, without saying the number."""
    return "Too high." if answer > right else "Too low."


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"


def choice(check: Choice, facts: RungFacts, answer: str) -> Judged:
    """Judge what was chosen."""
    if answer in check.right(facts):
        return Judged(True, f"Yes: {answer}.")
    return Judged(False, f"Not {answer}. Look again.")


def solution(exercise: Exercise, facts: RungFacts) -> str:
    """The solution in words, with what is computed here at its end."""
    match exercise.check:
        case Number() as check:
            return f"{exercise.solution} Here: {_shown(check.value(facts))}{check.unit and ' ' + check.unit}."
        case Choice() as check if right := sorted(check.right(facts)):
            return f"{exercise.solution} Here: {' or '.join(right)}."
    return exercise.solution


def mark(rung: Rung, place: int) -> str:
    """What a learner's progress calls an exercise, counted from 0."""
    return f"exercise.{rung.key}.{place}"


def done_of(rung: Rung, marks: Mapping[str, str]) -> int:
    """How many exercises of a rung are done."""
    return sum(mark(rung, place) in marks for place in range(len(rung.exercises)))
