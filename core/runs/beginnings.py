"""Training on: a run that goes on beyond its last step, or a new one that begins from the weights of another.

The first is the same run: its optimiser, its random numbers and its place in the data go on, and it ends bit for bit as
a run that had been asked for so many steps from the start, with the same schedule. The second is a run of its own: it
takes over weights alone, and says from where.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from core import files, system
from core.errors import BardlabError
from core.ladder.rung import Rung
from core.models.contract import LanguageModel
from core.models.footprint import weightless
from core.runs import checkpoints, editing, folder, layout, owners, reading, titles
from core.runs import plan as runs_plan
from core.runs.folder import State
from core.runs.state import Run, RunConfig, Start, sealed, write_status
from core.settings import Settings
from core.texts.corpus import Corpus
from core.texts.corpus import load as load_corpus
from core.training.config import TrainConfig


def train_on(run: Run, steps: int, *, text: str | None = None, afterwards: float = 0.0) -> Run:
    """Return what is to be started so that a run learns `steps` more: itself, or a new one with its weights.

    A new one if the text is another, the run is another's, or what the optimiser knew is gone, as in a run that was
    imported or ships.
    Raises BardlabError.
    """
    if text in (None, run.need().corpus) and goes_on(run):
        return extend(run, steps, afterwards)
    return begun_from(run, steps, text=text)


def goes_on(run: Run) -> bool:
    """True if a run can go on itself: what its optimiser knew is still there, and it is not another's."""
    if not owners.acting().may_change(run.owner):
        return False
    return not run.shipped and run.status.checkpoint_step is not None and (run.path / layout.TRAINER).exists()


def check(run: Run) -> None:
    """Raise BardlabError if there is nothing in a run that could be trained on."""
    config = run.need()
    if run.state.active:
        raise BardlabError(f"run {run.slug} is {run.state}; stop it first, or wait until it has ended")
    if not run.usable:
        raise BardlabError(f"run {run.slug} has no weights yet; train it first")
    if runs_plan.built(config.rung.key, config.model_config_, len(config.characters)).closed_form:
        raise BardlabError(f"run {run.slug} was counted in one step; there is nothing to train on")


def extend(run: Run, steps: int, afterwards: float = 0.0) -> Run:
    """Ask a run that has ended for `steps` more, from where its optimiser stands. It is then as one that was stopped.

    Its schedule stays the one that it began with; beyond its end the learning rate is the share `afterwards`, or stays
    at the last step's. Raises BardlabError if it cannot go on.
    """
    check(run)
    owners.check(run.owner, run.slug, "train on")
    config, at = run.need(), run.status.checkpoint_step
    if not goes_on(run) or at is None:
        raise BardlabError(f"run {run.slug} has only its weights, no optimiser; begin a new run from them")
    train = on(config.train, at + steps, afterwards)
    title = config.title
    if title == titles.title(config.rung, config.preset, config.model_config_, config.train):
        title = titles.title(config.rung, config.preset, config.model_config_, train)
    more = config.model_copy(update={"train": train, "title": title})
    status = run.status.model_copy(
        update={"state": State.STOPPED, "of": train.steps, "message": f"to go on from step {at:,}", "ended": None}
    )
    try:
        with folder.hold(run.path):
            files.replace(run.path / folder.CONFIG, sealed(more))
            write_status(run.path, status)
    except OSError as error:
        raise BardlabError(f"cannot change {run.slug}: {files.explain(error, naming=True)}") from None
    except system.Taken:
        raise BardlabError(f"a worker is busy with run {run.slug}; wait until it has ended") from None
    folder.note(run.path, f"asked for {steps:,} steps more, {train.steps:,} in all")
    return reading.read(run.path)


def on(train: TrainConfig, steps: int, afterwards: float) -> TrainConfig:
    """Return the settings of a training that goes to so many steps in all on the schedule that it has.

    What ends a run before its last step (patience, seconds) is switched off: it may have done so already.
    """
    laid_out = train.cooldown > 0 or train.short_first > 0
    changes: dict[str, Any] = {"steps": steps, "patience": 0, "seconds": 0}
    changes["schedule"] = train.planned if laid_out and train.planned != steps else 0
    changes["afterwards"] = afterwards if changes["schedule"] else 0.0
    return TrainConfig.parse({**train.model_dump(), **changes}, "train.")


def begun_from(
    run: Run, steps: int, *, step: int | None = None, text: str | None = None, train: Mapping[str, Any] | None = None
) -> Run:
    """Make a new run of `steps` steps that begins from the weights of another, or of its snapshot `step`; not started.

    Raises BardlabError if it has none, or the text has another alphabet of which nothing is known.
    """
    check(run)
    planned = plan(run, steps, step=step, text=text, train=train)
    model, _ = checkpoints.load_model(run, step)
    return create(planned, carried(model, run.need(), load_corpus(planned.corpus)))


def plan(
    run: Run, steps: int, *, step: int | None = None, text: str | None = None, train: Mapping[str, Any] | None = None
) -> RunConfig:
    """Plan a new run that begins from the weights of another. Raises BardlabError."""
    config = run.need()
    at = run.status.checkpoint_step or 0 if step is None else step
    fresh: dict[str, Any] = {"steps": steps, "schedule": 0, "afterwards": 0.0, "patience": 0, "seconds": 0}
    spelt = load_corpus(text or config.corpus).tokenizer
    if spelt.unknown(spelt.meant(config.train.prompt)):
        fresh["prompt"] = runs_plan.LINE_BREAK
    planned = runs_plan.plan(
        config.rung_key,
        preset=config.preset,
        model=config.model,
        train={**config.train.model_dump(), **fresh, **(train or {})},
        device=config.device,
        corpus_name=text or config.corpus,
        parent=run.slug,
    )
    new, old = planned.characters, config.characters
    remark = ""
    if new != old:
        common = [c for c in new if c in old]
        if not common:
            raise BardlabError(f"{run.slug} knows no character of this text; train a new run on it")
        remark = (
            f"{len(common)} of the text's {len(new)} characters were known and keep what was learned of them, "
            f"{len(new) - len(common)} are new"
        )
    other = f" on {load_corpus(planned.corpus).title}" if planned.corpus != config.corpus else ""
    title = f"{run.name[:60]}{other}, on from step {at:,}"
    start = Start(run=run.slug, name=run.name, step=at, remark=remark)
    return planned.model_copy(update={"start": start, "title": title, "off": config.off, "fault": config.fault})


def create(config: RunConfig, state: Mapping[str, Tensor]) -> Run:
    """Make a run that begins with these weights. Raises BardlabError, leaving nothing behind."""
    run = editing.create(config)
    step = config.start.step if config.start else 0
    content = checkpoints.packed(dict(state), step, checkpoints.about(config.model_config_))
    try:
        files.replace(run.path / layout.START, content)
    except OSError as error:
        editing.delete(run)
        raise BardlabError(f"cannot write in {run.path}: {files.explain(error)}") from None
    return run


def carried(model: LanguageModel, config: RunConfig, corpus: Corpus) -> dict[str, Tensor]:
    """Return a model's weights for the alphabet of a text: what belongs to a character goes along by its name."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    old, new = config.characters, corpus.tokenizer.chars
    if old == new:
        return state
    checkpoints.seed_everything(config.train.seed)
    with torch.random.fork_rng(devices=[]):
        fresh = config.rung.build(config.model_config_, len(new)).state_dict()
    common = [c for c in new if c in old]
    places = [torch.tensor([chars.index(c) for c in common]) for chars in (old, new)]
    axes = _of_characters(config.rung, config.model_config_, len(new))
    return {name: _taken_over(state[name], fresh[name], axes[name], *places) for name in fresh}


def _of_characters(rung: Rung, model: Settings, size: int) -> dict[str, Sequence[int]]:
    """Tell for each weight along which of its dimensions there is a row a character."""
    with weightless():
        one, more = (rung.build(model, count).state_dict() for count in (size, size + 1))
    return {
        name: [axis for axis, (a, b) in enumerate(zip(weight.shape, more[name].shape, strict=True)) if a != b]
        for name, weight in one.items()
    }


def _taken_over(old: Tensor, fresh: Tensor, axes: Sequence[int], there: Tensor, here: Tensor) -> Tensor:
    """Put the rows `there` of a weight at `here` in a fresh one, along each of some dimensions."""
    if not axes:
        return old
    rows, target = old, fresh.clone()
    for axis in axes:
        rows = rows.index_select(axis, there)
    index: list[Any] = [slice(None)] * target.ndim
    for n, axis in enumerate(axes):
        index[axis] = here.view(-1, *[1] * (len(axes) - 1 - n))
    target[tuple(index)] = rows
    return target.contiguous()


def told(run: Run) -> str:
    """Say in one sentence whose weights a run began with; empty if they were random."""
    start = run.config.start if run.config else None
    if start is None:
        return ""
    remark = f" {start.remark[:1].upper()}{start.remark[1:]}." if start.remark else ""
    return f"Began with the weights of {start.name} at step {start.step:,}, its optimiser afresh.{remark}"


def told_off(run: Run) -> str:
    """Say in one sentence what part a run has in a healing (core/studies/healing.py); empty if none."""
    config = run.config
    if config is None or config.heals is None:
        return ""
    if not config.off:
        return "It is the untouched twin of a run in which heads are off: same first weights, same batches."
    return f"Off throughout: {', '.join(config.off)}."


def begin(path: Path, config: RunConfig, model: LanguageModel) -> None:
    """Put the weights into a model that its run begins with, if they are not random. Raises BardlabError."""
    if config.start is None or (path / layout.TRAINER).exists():
        return
    try:
        model.load_state_dict(load_tensors((path / layout.START).read_bytes()), strict=True)
    except (OSError, SafetensorError, RuntimeError):
        raise BardlabError(
            f"{layout.START}, the weights that this run begins with, is missing or damaged; start a new run"
        ) from None
