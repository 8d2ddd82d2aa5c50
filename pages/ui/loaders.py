"""Thin cached loaders. Models and readers are shared between sessions and never changed by a page."""

import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import paths
from core.errors import BardlabError
from core.inspect import heads, history
from core.inspect.attention import AttentionMaps, attention_layers, attention_maps
from core.ladder import cost as ladder_cost
from core.ladder.registry import RUNGS
from core.runs import checkpoints, folder, layout, openings, reading, records
from core.runs.metrics import MetricsReader
from core.runs.state import Run
from core.studies import landmarks
from core.texts.corpus import Corpus
from core.texts.corpus import load as load_corpus
from core.texts.tokenizer import CharTokenizer
from pages.ui.plots.attention_maps import Packed, pack_maps

SPARKLINE = 40
WRITTEN, NEAR = 90, 0.15
"""Characters shown of a text written at about a loss, and how many nats away that may be."""


def corpus(name: str = "tinyshakespeare") -> Corpus:
    """The text, checked at every load (core keeps it while its file is unchanged)."""
    return load_corpus(name)


def text_of(run: Run) -> Corpus | None:
    """The text that a run was trained on; None if it is no longer here."""
    return openings.text_of(run)


@st.cache_resource(max_entries=64, show_spinner=False)
def _reader(slug: str, born: float) -> MetricsReader:
    return MetricsReader(reading.find(slug).path)


def reader(run: Run) -> MetricsReader:
    """The curves of a run, with everything written so far."""
    return _reader(run.slug, (run.path / folder.CONFIG).stat().st_ctime).refresh()


_looking = threading.Lock()
_looked: list[tuple[float, tuple[Path, Path, str], int]] = [(-math.inf, (Path(), Path(), ""), 0)]
"""When the runs' folders were last looked at, where and by which session, and what stood for their times."""


@st.cache_resource(max_entries=2, show_spinner=False)
def _listing(written: int) -> list[Run]:
    return reading.list_runs(shipped=True)


def listing(within: float = 0.0) -> list[Run]:
    """All runs as of the latest file put into a run's folder, read once for all sessions.

    What the clocks of many sessions ask for may be `within` so many seconds old, if another session looked, or none
    asks (pages/feeds.py). A worker's death puts no file there: to know a run's state, read that run.
    """
    return _listing(_seen(within))


def _seen(within: float) -> int:
    """A number for the times of all runs' folders."""
    context = get_script_run_ctx(suppress_warning=True)
    place = (paths.runs(), paths.pretrained(), context.session_id if context else "")
    with _looking:
        then, where, written = _looked[0]
        if time.monotonic() - then > within or where[:2] != place[:2] or (place[2] and where[2] == place[2]):
            written = hash(reading.written())  # a number: to look into thousands of pairs takes the cache long
            _looked[0] = (time.monotonic(), place, written)
    return written


@st.cache_resource(max_entries=2, show_spinner=False)
def _about(written: int) -> int:
    return hash(tuple((run.slug, run.name, run.state, run.usable) for run in _listing(written)))


def standing(more: object, within: float = 1.0) -> str:
    """Stands for every run's name and state, and for `more`: another one if anything of that is another."""
    return f"{hash((_about(_seen(within)), repr(more))):x}"


def present(slug: str) -> Run:
    """A run as it is now, for a button. Raises BardlabError if it is gone, in words for a page."""
    try:
        if (run := reading.find(slug)).slug == slug:
            return run
    except BardlabError:
        pass
    raise BardlabError("this run is no longer here: another tab or a terminal has deleted it")


@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def _model(slug: str, step: checkpoints.Step | None, version: float) -> tuple[Any, Any]:
    return checkpoints.load_model(reading.find(slug), step)


def model(run: Run, step: checkpoints.Step | None = None) -> tuple[Any, Any]:
    """A run's model and tokenizer, loaded again whenever its weights have changed; `step` may be "best"."""
    return _model(run.slug, step, _version(run, step))


def _version(run: Run, step: checkpoints.Step | None) -> float:
    """When a run's weights, or those of a snapshot, were written; 0 if they are not there."""
    file = layout.weights_path(run.path, step)
    return file.stat().st_mtime if file.exists() else 0.0


@st.cache_resource(max_entries=4, show_spinner=False)
def _attention(slug: str, step: int | None, version: float, ids: tuple[int, ...]) -> tuple[AttentionMaps, Packed]:
    net, _ = _model(slug, step, version)
    maps = attention_maps(net, ids)
    return maps, pack_maps(maps)


def attention(run: Run, step: int | None, ids: tuple[int, ...]) -> tuple[AttentionMaps, Packed]:
    """The attention of a run's model on ids, and the same packed for the browser. Shared: not to be changed."""
    return _attention(run.slug, step, _version(run, step), ids)


@st.cache_resource(max_entries=8, show_spinner=False)
def _probe(sha256: str, name: str, characters: str, context: int) -> heads.Probe:
    text = corpus(name)
    return heads.probe(text.text[text.split :], CharTokenizer(characters), context)


@st.cache_data(max_entries=256, show_spinner="Measuring what each head does")
def _head_scores(slug: str, step: int | None, version: float, sha256: str, name: str) -> heads.HeadScores:
    net, tokenizer = _model(slug, step, version)
    return heads.head_scores(net, _probe(sha256, name, tokenizer.chars, net.context))


def head_scores(run: Run, step: int | None = None) -> heads.HeadScores | None:
    """What each head of a run's model looks for, measured on the validation split of its text; None if that is gone."""
    text = text_of(run)
    return _head_scores(run.slug, step, _version(run, step), text.sha256, text.name) if text else None


@st.cache_data(max_entries=1024, show_spinner=False)
def _portrait(slug: str, step: int, version: float, sha256: str, name: str) -> history.Portrait:
    net, tokenizer = _model(slug, step, version)
    attends = bool(name and attention_layers(net))
    return history.portrait(net, step, _probe(sha256, name, tokenizer.chars, net.context) if attends else None)


def portrait(run: Run, step: int) -> history.Portrait:
    """What a snapshot is like, whatever it is asked; nothing of its heads if the text is gone. Not to be changed."""
    text = text_of(run)
    about = (text.sha256, text.name) if text else ("", "")
    return _portrait(run.slug, step, _version(run, step), *about)


@st.cache_data(max_entries=1024, show_spinner=False)
def _answer(slug: str, step: int, version: float, ids: tuple[int, ...], shown: int) -> history.Answer:
    return history.answer(_model(slug, step, version)[0], ids, shown)


def answer(run: Run, step: int, ids: tuple[int, ...], shown: int) -> history.Answer:
    """What a snapshot makes of ids; of its attention, the last `shown` positions."""
    return _answer(run.slug, step, _version(run, step), ids, shown)


@st.cache_data(max_entries=8, show_spinner=False)
def computed_landmarks(sha256: str, name: str) -> list[landmarks.Landmark]:
    """Losses that need no training: uniform, unigram, counted bigram."""
    return landmarks.of(corpus(name))


def corpus_landmarks(sha256: str, name: str) -> list[landmarks.Landmark]:
    """Losses to compare a curve with: those above, the best counted n-gram once it is known, published ones."""
    text = corpus(name)
    known = [*computed_landmarks(sha256, name), *landmarks.measured(text), *landmarks.published(text)]
    return [replace(mark, help=f"{mark.help} {_written_near(sha256, mark.value)}".strip()) for mark in known]


@st.cache_data(max_entries=64, show_spinner=False)
def _written_near(sha256: str, loss: float) -> str:
    """What one of the shipped runs wrote when it was about that good."""
    runs = [run for run in reading.list_runs(shipped=True) if run.shipped and run.need().corpus_sha256 == sha256]
    written = [
        (abs(sample.val_loss - loss), sample.val_loss, run.need().rung.title, sample)
        for run in runs
        for sample in records.samples(run.path)
        if sample.val_loss is not None
    ]
    if not written:
        return ""
    away, at, title, sample = min(written, key=lambda row: row[0])
    if away > NEAR:
        return ""
    text = " / ".join(line for line in sample.text[:WRITTEN].split("\n") if line.strip())
    return f"Written at {at:.2f}, by the {title} after {sample.step:,} steps: “{text} …”"


@st.cache_data(max_entries=512, show_spinner=False)
def _cost(rung: str, model_json: str, train_json: str, vocab: int, kind: str, length: int) -> ladder_cost.Cost:
    from core.training.config import TrainConfig

    entry = RUNGS[rung]
    train = TrainConfig.model_validate_json(train_json)
    return ladder_cost.cost(entry, entry.config.model_validate_json(model_json), train, vocab, kind, length)


def cost(
    rung: str, model_config: Any, train_config: Any, vocab: int, device: str = "cpu", text_length: int = 0
) -> ladder_cost.Cost:
    """What a run with these settings is made of and takes, its memory on a device with a text of that length."""
    kind = device.partition(":")[0]
    return _cost(rung, model_config.model_dump_json(), train_config.model_dump_json(), vocab, kind, text_length)


def flops_per_step(run: Run) -> float:
    """Floating-point operations of one training step of a run."""
    config = run.need()
    return cost(config.rung_key, config.model_config_, config.train, len(config.characters)).flops_per_step


@st.cache_data(max_entries=1024, show_spinner=False)
def _sparkline(path: str, stamp: tuple[int, int]) -> list[float]:
    points = [loss for _, loss in records.validation_curve(Path(path))]
    stride = max(1, -(-len(points) // SPARKLINE))
    return points[::stride] + (points[-1:] if (len(points) - 1) % stride else [])


def sparkline(run: Run) -> list[float]:
    """A run's validation losses, thinned to some forty points; read again only when there are new ones."""
    try:
        about = (run.path / folder.SAMPLES).stat()
    except OSError:
        return []
    return _sparkline(str(run.path), (about.st_mtime_ns, about.st_size))
