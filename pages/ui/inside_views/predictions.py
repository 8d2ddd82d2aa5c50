"""Cached evidence about predictions. Everything is a function of a run's weights and a text."""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import streamlit as st

from core.inspect.lens import Attribution, Lens, attribution, lens
from core.inspect.salience import Baseline, Salience, log_probability, salience
from core.inspect.surprise import Surprise, surprise, written_log_probs
from core.runs.state import Run
from core.sampling import Choice, SamplingConfig, generate
from pages.ui import loaders


def _version(run: Run, step: int | None) -> tuple[str, int | None, float]:
    from core.runs import layout

    file = run.path / layout.WEIGHTS
    return run.slug, step, file.stat().st_mtime if file.exists() else 0.0


@st.cache_data(max_entries=64, show_spinner=False)
def _lens(_model: Any, version: object, ids: list[int], last: int) -> Lens:
    return lens(_model, ids, last)


def lens_of(run: Run, step: int | None, text: str, last: int) -> Lens:
    """The logit lens over the last characters of a text."""
    model, tokenizer = loaders.model(run, step)
    return _lens(model, _version(run, step), tokenizer.encode(text), last)


@st.cache_data(max_entries=64, show_spinner=False)
def _parts(_model: Any, version: object, ids: list[int], position: int) -> Attribution:
    return attribution(_model, ids, position)


def parts_of(run: Run, step: int | None, text: str, position: int) -> Attribution:
    """The parts of one prediction; `position` counts from the end of the text, which has -1."""
    model, tokenizer = loaders.model(run, step)
    return _parts(model, _version(run, step), tokenizer.encode(text), position)


@st.cache_data(max_entries=1000, show_spinner=False)
def _written(_model: Any, version: object, ids: list[int], start: int) -> float:
    return float(written_log_probs(_model, ids, start).sum())


def log_prob(run: Run, step: int | None, start: str, added: str) -> float:
    """The log-probability, in nats, with which the model itself goes on from `start` by `added`."""
    model, tokenizer = loaders.model(run, step)
    return _written(model, _version(run, step), tokenizer.encode(start + added), len(start))


class Continued:
    """What a run writes, as far as it came: whoever looks at it lets it go on, and all who look see the same."""

    def __init__(self, model: Any, characters: str, ids: list[int], config: SamplingConfig) -> None:
        self.text = ""
        self.bits: list[float] = []
        """Surprise of each character under the model itself, at temperature 1 and without cuts."""
        self.seconds = 0.0
        """How long it has been writing."""
        self._characters = characters
        self._choices: Iterator[Choice] | None = generate(model, ids, config, fast=True)
        self._turn = threading.Lock()

    @property
    def done(self) -> bool:
        """True once it is whole."""
        return self._choices is None

    def go_on(self, seconds: float, most: int | None = None) -> None:
        """Write for about so many seconds, or up to `most` characters; not while another session lets it go on."""
        if not self._turn.acquire(blocking=False):
            return
        began = time.perf_counter()
        try:
            while self._choices is not None and (most is None or len(self.bits) < most):
                choice = next(self._choices, None)
                if choice is None:
                    self._choices = None
                    break
                self.text += self._characters[choice.id]
                self.bits.append(-choice.log_probability / math.log(2))
                if time.perf_counter() - began > seconds:
                    break
        finally:
            self.seconds += time.perf_counter() - began
            self._turn.release()


@st.cache_resource(max_entries=16, show_spinner=False)
def _continued(_model: Any, characters: str, version: object, ids: list[int], config_json: str) -> Continued:
    return Continued(_model, characters, ids, SamplingConfig.model_validate_json(config_json))


def continued(run: Run, prompt: str, config: SamplingConfig) -> Continued:
    """How a run's newest weights go on from a prompt; the same seed gives the same text."""
    model, tokenizer = loaders.model(run)
    return _continued(model, tokenizer.chars, _version(run, None), tokenizer.encode(prompt), config.model_dump_json())


@st.cache_data(max_entries=64, show_spinner=False)
def _surprise(_model: Any, version: object, ids: list[int]) -> Surprise:
    return surprise(_model, ids)


def surprise_of(run: Run, text: str) -> Surprise:
    """How surprising a text is to a run's newest weights."""
    model, tokenizer = loaders.model(run)
    return _surprise(model, _version(run, None), tokenizer.encode(text))


@st.cache_data(max_entries=64, show_spinner="Following the gradient")
def _salience(_model: Any, version: object, ids: list[int], target: int, steps: int, baseline: Baseline) -> Salience:
    return salience(_model, ids, log_probability(target), steps, baseline)


def salience_of(run: Run, step: int | None, text: str, target: int, steps: int, baseline: Baseline) -> Salience:
    """What each character of a text adds to the log-probability of the one that follows."""
    model, tokenizer = loaders.model(run, step)
    return _salience(model, _version(run, step), tokenizer.encode(text), target, steps, baseline)
