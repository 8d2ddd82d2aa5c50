"""From a rung and some settings to a run: the one way in for the form, the command line and the tests."""

import platform
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from core import paths
from core.errors import BardlabError
from core.ladder import cost, registry
from core.ladder.rung import Rung
from core.models.contract import LanguageModel
from core.models.footprint import weightless
from core.runs import titles
from core.runs.state import Run, RunConfig
from core.settings import DEVICE, Settings
from core.texts.corpus import Corpus
from core.texts.corpus import load as load_corpus
from core.texts.labels import listed
from core.training import compiling, devices
from core.training.config import TrainConfig

LINE_BREAK = "\n"
OFTEN = 100
"""Passes over a text from which on it is said that there are many."""


def plan(
    rung_key: str,
    *,
    preset: str | None = None,
    model: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    device: str = "auto",
    corpus_name: str = "tinyshakespeare",
    parent: str | None = None,
    group: str | None = None,
) -> RunConfig:
    """Check everything that can be checked before a run exists, and return its configuration.

    Raises BardlabError with one line on an unknown rung, preset, setting or device, a device that this machine lacks, a
    value out of range, a text
    that is too short, or a prompt that the text's alphabet cannot spell.
    """
    rung = registry.get(rung_key)
    model_config, train_config = rung.settings(preset, model or {}, train or {})
    corpus = load_corpus(corpus_name)
    check(rung, model_config, train_config, corpus)
    prompt = corpus.tokenizer.meant(train_config.prompt)
    if prompt == LINE_BREAK and corpus.tokenizer.unknown(LINE_BREAK):  # a text of a single line
        prompt = corpus.text[0]
    train_config = train_config.model_copy(update={"prompt": prompt})
    if not re.fullmatch(DEVICE, device):
        raise BardlabError(f"unknown device {device!r}; choose one of auto, cpu, cuda, cuda:1, mps")
    if not paths.cluster():  # whose devices are not this machine's: the launcher asks for them
        devices.precision(train_config.precision, devices.resolve(device))
        devices.check_count(device, train_config.devices)
    return RunConfig(
        rung_key=rung.key,
        preset=preset,
        model=model_config.model_dump(),
        train=train_config,
        corpus=corpus.name,
        corpus_sha256=corpus.sha256,
        characters=corpus.tokenizer.chars,
        device=device,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        versions=dict(_versions()),
        parent=parent,
        group=group,
        title=titles.title(rung, preset, model_config, train_config),
    )


@cache
def _versions() -> Mapping[str, str]:
    """What a run is computed with; the version of a checkout that was not installed is not known."""
    try:
        own = version("bardlab")
    except PackageNotFoundError:
        own = "not installed"
    return {"python": platform.python_version(), "torch": version("torch"), "bardlab": own}


def check(rung: Rung, model: Settings, train: TrainConfig, corpus: Corpus) -> None:
    """Check the rules that a model, its training and a text must keep together. Raises BardlabError."""
    made = built(rung.key, model, corpus.tokenizer.size)
    window, there = train.window or made.usual_window, len(corpus.train_ids)
    if window >= there:
        lower = "lower train.window" if train.window else "lower model.context"
        if not train.window and "context" not in type(model).model_fields:
            lower = f"set train.window below {there}"
        raise BardlabError(
            f"sequences of {window} characters do not fit the training split of {corpus.title!r}, which has {there}; "
            f"{lower}"
        )
    if (reach := made.readable(train.window)) < train.window:
        raise BardlabError(
            f"train.window {train.window} is longer than model.context {reach}; give at most {reach}, or 0"
        )
    if train.devices > 1:
        _check_shares(train, made, window)
    if not train.prompt:
        raise BardlabError("train.prompt is empty; give at least one character, such as a line break")
    if train.prompt != LINE_BREAK:
        corpus.tokenizer.encode(corpus.tokenizer.meant(train.prompt))


def _check_shares(train: TrainConfig, model: LanguageModel, window: int) -> None:
    """Raise BardlabError if a step cannot be shared evenly among the devices."""
    count = train.devices
    if model.closed_form:
        raise BardlabError(f"train.devices is {count}, but counting is done by one device in one pass; set it to 1")
    for length in compiling.lengths(window, train.short_first):
        if (rows := train.batch_size * window // length) % count:
            short = "" if length == window else f" of {length} characters, which train.short_first asks for,"
            below = max(d for d in range(1, count + 1) if not rows % d)
            raise BardlabError(
                f"train.devices {count} does not divide the {rows} sequences{short} of a step; "
                f"give {below}, or a train.batch_size that it divides"
            )


def remarks(rung: Rung, model: Settings, train: TrainConfig, corpus: Corpus) -> list[str]:
    """Say in a sentence each what a text means for a training of this kind; nothing for an ordinary one."""
    sentences = []
    made = built(rung.key, model, corpus.tokenizer.size)
    window, judged = train.window or made.usual_window, len(corpus.val_ids)
    if window >= judged:
        sentences.append(
            f"The validation split has {judged:,} characters, fewer than the {window:,} of a training sequence: it is "
            "judged as one piece, and the loss is rough."
        )
    times = train.steps * train.batch_size * window // len(corpus.train_ids)
    if times >= OFTEN:
        sentences.append(
            f"The training split of {len(corpus.train_ids):,} characters is read some {times:,} times over: see "
            "whether the validation loss rises again while it is learned by heart."
        )
    if corpus.only_judged:
        sentences.append(
            f"{len(corpus.only_judged)} characters occur only in the validation split, so no model can learn them: "
            f"{listed(corpus.only_judged)}."
        )
    return sentences


@lru_cache(maxsize=256)
def built(rung_key: str, model: Settings, vocab_size: int) -> LanguageModel:
    """The model without weights. Raises what only the model itself knows. It is shared: not to be changed."""
    with weightless():
        return registry.get(rung_key).build(model, vocab_size)


def command(
    rung: Rung,
    preset: str | None,
    model: Settings,
    train: TrainConfig,
    device: str = "auto",
    corpus_name: str = "tinyshakespeare",
) -> str:
    """Return the exact command line that trains these settings."""
    words = ["python", "-m", "core", "train", rung.key]
    if preset:
        words += ["--preset", preset]
    for name, value in rung.changes(preset, model, train).items():
        if name == "train.seed":
            words += ["--seed", str(value)]
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words += ["--set", f"{name}={text}"]
    if corpus_name != "tinyshakespeare":
        words += ["--text", corpus_name]
    if device != "auto":
        words += ["--device", device]
    return shlex.join(words)


def split_settings(assignments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort `model.x` and `train.y` into the two configurations. Raises BardlabError on any other name."""
    sorted_into: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
    for name, value in assignments.items():
        group, dot, field = name.partition(".")
        if not dot or group not in sorted_into:
            raise BardlabError(f"unknown setting {name!r}; write model.NAME=VALUE or train.NAME=VALUE")
        sorted_into[group][field] = value
    return sorted_into["model"], sorted_into["train"]


def flops_per_step(run: Run) -> float:
    """Floating-point operations of one training step of a run, counted on its model. Raises BardlabError on damage."""
    config = run.need()
    return cost.cost(config.rung, config.model_config_, config.train, len(config.characters)).flops_per_step
