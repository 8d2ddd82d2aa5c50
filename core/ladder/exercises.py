"""What an exercise at the end of a rung is: a task, how it is judged, a hint, a solution.

Nothing is judged by a list of answers: a set-up is judged by the settings, a run by what it is and came to, a number
and a choice by what is computed of the text and the models here.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.models.contract import LanguageModel
from core.texts.corpus import Corpus
from core.training.config import TrainConfig


class Facts(Protocol):
    """What an exercise may ask for."""

    @property
    def text(self) -> Corpus:
        """The text that everything here learns from unless another is chosen."""

    @property
    def settings(self) -> Any:
        """The model's settings of the rung's first preset."""

    @property
    def model(self) -> LanguageModel:
        """A model of these settings, without numbers in it."""

    def heads(self, kind: str) -> dict[str, float]:
        """How much attention each head of the run that is looked at gives to a kind of key, by the head's name."""


@dataclass(frozen=True)
class Form:
    """Set the form so that it holds; nothing has to be trained."""

    holds: Callable[[Any, TrainConfig, LanguageModel], bool]
    """Of the model's settings, those of training, and the model that they make (without numbers in it)."""


@dataclass(frozen=True)
class Trained:
    """Train a run so that it holds."""

    holds: Callable[[Any, TrainConfig], bool]
    """Of the settings of a run of the rung that has come to its end."""


@dataclass(frozen=True)
class Number:
    """Predict a number."""

    value: Callable[[Facts], float]
    within: float = 0.0
    """How far off still counts."""
    unit: str = ""


@dataclass(frozen=True)
class Choice:
    """Find one of several."""

    options: Callable[[Facts], Sequence[str]]
    right: Callable[[Facts], Collection[str]]


Check = Form | Trained | Number | Choice


@dataclass(frozen=True)
class Exercise:
    """One exercise."""

    title: str
    task: str
    check: Check
    hint: str
    solution: str
