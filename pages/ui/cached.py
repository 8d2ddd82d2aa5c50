"""Thin cached loaders. Models and readers are shared between sessions and never changed by a page."""

from typing import Any

import streamlit as st

from core import checkpoints, landmarks, runs, speed
from core.corpus import Corpus
from core.corpus import load as load_corpus
from core.metrics import MetricsReader
from core.runs import Run
from core.stages import STAGES


def corpus(name: str = "tinyshakespeare") -> Corpus:
    """The text, checked at every load (core keeps it while its file is unchanged)."""
    return load_corpus(name)


@st.cache_resource(max_entries=64, show_spinner=False)
def _reader(slug: str, born: float) -> MetricsReader:
    return MetricsReader(runs.find(slug).path)


def reader(run: Run) -> MetricsReader:
    """The curves of a run, with everything written so far."""
    return _reader(run.slug, (run.path / runs.CONFIG).stat().st_ctime).refresh()


@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def _model(slug: str, step: checkpoints.Step | None, version: float) -> tuple[Any, Any]:
    return checkpoints.load_model(runs.find(slug), step)


def model(run: Run, step: checkpoints.Step | None = None) -> tuple[Any, Any]:
    """A run's model and tokenizer, loaded again whenever its weights have changed; `step` may be "best"."""
    file = runs.weights_path(run.path, step)
    return _model(run.slug, step, file.stat().st_mtime if file.exists() else 0.0)


@st.cache_data(max_entries=8, show_spinner="Counting the text")
def corpus_landmarks(sha256: str, name: str) -> list[landmarks.Landmark]:
    """Losses that need no training, to compare a curve with."""
    return landmarks.of(corpus(name))


@st.cache_data(max_entries=512, show_spinner=False)
def _cost(stage: str, model_json: str, train_json: str, vocab: int) -> speed.Cost:
    from core.config import TrainConfig

    entry = STAGES[stage]
    train = TrainConfig.model_validate_json(train_json)
    return speed.cost(entry, entry.config.model_validate_json(model_json), train, vocab)


def cost(stage: str, model_config: Any, train_config: Any, vocab: int) -> speed.Cost:
    """What a run with these settings is made of and takes."""
    return _cost(stage, model_config.model_dump_json(), train_config.model_dump_json(), vocab)
