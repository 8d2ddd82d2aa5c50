"""Cached evidence about predictions. Everything is a function of a run's weights and a text."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.inspect.lens import Attribution, Lens, attribution, lens, log_softmax
from core.inspect.salience import Baseline, Salience, log_probability, salience
from core.inspect.surprise import Surprise, surprise, written_log_probs
from core.runs.state import Run
from core.sampling import SamplingConfig, generate
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


@dataclass(frozen=True)
class Written:
    """What a run wrote."""

    text: str
    bits: NDArray[np.float64]
    """(N,) surprise of each character under the model itself, at temperature 1 and without cuts."""
    per_second: float
    """Characters a second, as measured when it was written."""


@st.cache_data(max_entries=64, show_spinner=False)
def _continued(_model: Any, _tokenizer: Any, version: object, ids: list[int], config_json: str) -> Written:
    config = SamplingConfig.model_validate_json(config_json)
    began = time.perf_counter()
    choices = list(generate(_model, ids, config))
    took = time.perf_counter() - began
    bits = [-log_softmax(c.logits.double().numpy())[c.id] / math.log(2) for c in choices]
    return Written(_tokenizer.decode([c.id for c in choices]), np.array(bits), len(choices) / took)


def continued(run: Run, prompt: str, config: SamplingConfig) -> Written:
    """Let a run's newest weights go on from a prompt; the same seed gives the same text."""
    model, tokenizer = loaders.model(run)
    return _continued(model, tokenizer, _version(run, None), tokenizer.encode(prompt), config.model_dump_json())


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
