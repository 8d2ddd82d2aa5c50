"""One job from its start to its end, in the worker process."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from core import system
from core.errors import BardlabError
from core.inference import loader
from core.jobs import trial, waiting
from core.jobs.interruptions import Desk
from core.jobs.launchers import node
from core.jobs.recorder import Recorder
from core.jobs.timing import known, probe
from core.jobs.timing import record as record_speed
from core.jobs.waiting import Job
from core.ladder.registry import RUNGS
from core.models.contract import parameter_count
from core.models.memory import is_out_of_memory, let_go
from core.runs import beginnings, checkpoints, layout, reading, requests, state
from core.runs.folder import State
from core.runs.state import Run, RunConfig, Status
from core.texts.corpus import Corpus
from core.texts.corpus import load as load_corpus
from core.training import devices, parking, sabotages, wounds
from core.training.loop import Progress, train
from core.training.team import Team
from core.training.trainer import Diverged, Trainer
from core.training.watch import Alert


def work(path: Path, *, log: Callable[[str], None] | None = None) -> Run:
    """Run one job to its end and return the run as it then is. Never raises for what goes wrong in training."""
    waiting.work(path, say=log)
    return reading.read(path)


def compile_aside() -> None:
    """Compile what writes texts, for all later processes, while others compute first."""
    system.step_back()
    loader.load()


def device_of(path: Path) -> str:
    """Return what a run's device setting comes to on this machine. Raises BardlabError if it is not there."""
    return str(devices.resolve(reading.read(path).need().device))


def run(job: Job) -> None:
    """Train a run whose turn on its device has come. Raises BardlabError with the reason if it fails."""
    config = reading.read(job.path).need()
    if config.train.devices > 1:
        _of_several(job).launch(job, config)
        return
    devices.limit_threads()
    status = status_of(job)
    try:
        device, left = trial.settle(config.device, torch.device(job.place.device))
        if left and not job.place.change(str(device)):
            return job.end(State.STOPPED, "stopped while it waited")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        lead(job, config, status, device, left)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        let_go(error)
        raise BardlabError(trial.out_of_memory(config, status.device)) from error


def _of_several(job: Job) -> ModuleType:
    """Load what has a run computed by several devices: on this machine, or on a cluster's nodes."""
    if job.sent is None:
        from core.jobs import ranks

        return ranks
    try:
        from core.jobs import ray_train
    except ImportError as error:
        lacks = f"{node.name()} lacks what Ray Train needs ({error})"
        raise BardlabError(f"{lacks}; install '.[cluster]' there") from error
    return ray_train


def status_of(job: Job) -> Status:
    """Return a job's status as the training keeps it; what the job itself tells goes into it too."""
    status = Status.model_validate(job.status)
    job.newest = lambda: json.loads(status.model_dump_json())

    def tell(news: dict[str, Any]) -> None:
        for name, value in news.items():
            setattr(status, name, value)
        state.write_status(job.path, status)

    job.place.tell = tell
    return status


@dataclass(frozen=True)
class SetUp:
    """What a run is trained with."""

    corpus: Corpus
    trainer: Trainer
    val_ids: Tensor


def set_up(path: Path, config: RunConfig, device: torch.device, team: Team) -> SetUp:
    """Make the trainer of a run as it is before its first step. Raises BardlabError if the text is another one."""
    corpus = load_corpus(config.corpus)
    if corpus.sha256 != config.corpus_sha256:
        raise BardlabError(f"the text {config.corpus!r} is no longer the one this run was made for; start a new run")
    checkpoints.seed_everything(config.train.seed)
    model = config.rung.build(config.model_config_, corpus.tokenizer.size)
    beginnings.begin(path, config, model)
    sabotage = wounds.Wound(model, config.off) if config.off else sabotages.make(config.fault)
    train_ids, val_ids = sabotage.texts(corpus.train_ids, corpus.val_ids)
    return SetUp(corpus, Trainer(model, config.train, train_ids, device, sabotage, team), val_ids)


def lead(
    job: Job, config: RunConfig, status: Status, device: torch.device, left: str = "", team: Team | None = None
) -> None:
    """Train a run and write down what happens; with a `team`, as the first of those who train it.

    `left` says why the run is on another device than `auto` takes first, if it is.
    """
    path, say, should_stop, team = job.path, job.say, job.should_stop, team or Team()
    checkpoints.tidy(path)
    made = set_up(path, config, device, team)
    corpus, trainer, val_ids, model = made.corpus, made.trainer, made.val_ids, made.trainer.model
    saved = checkpoints.restore(path, trainer)
    trainer.rates = requests.rates(path)
    team.begin(trainer)
    status.state, status.message = State.RUNNING, state.COMPILING if trainer.compiles else state.TRAINING
    status.of, status.step, status.parameters = trainer.total, trainer.done, parameter_count(model)
    status.started, status.checkpoint_step = time.time(), trainer.done if saved else None
    trial.note(status, trainer, config)
    recorder = Recorder(path, config, status, trainer, corpus, saved)
    desk = Desk(path, trainer, status, job.place, should_stop, recorder.tell, recorder.save, recorder.write_status)
    steps = f"steps {trainer.done} to {trainer.total}"
    say(f"{config.rung_key} on {_on(device, team)}, {status.parameters:,} parameters, {steps}")
    if left:
        recorder.tell(Alert(trainer.done, "device", left))
    if trainer.compiles:
        say(state.COMPILING)
    try:
        recorder.write_status()
        events = train(trainer, val_ids, corpus.tokenizer.encode(config.train.prompt), should_stop)
        while not recorder.enough and (event := next(events, None)):
            if isinstance(event, Progress):
                recorder.progress(event)
            else:
                recorder.evaluated(event)
            desk.attend()
        done = recorder.over
        if not done:
            recorder.save()
        ended, message = (State.FINISHED, "") if done else (State.STOPPED, f"stopped at step {trainer.done}")
        if recorder.enough and trainer.done < trainer.total:
            message = f"stopped early: no better validation loss in {recorder.watch.since} evaluations"
            recorder.tell(Alert(trainer.done, "early stop", f"{message}; the best was at step {status.best_step}"))
        elif done and trainer.done < trainer.total:
            message = f"its {config.train.seconds:,} seconds were up at step {trainer.done}"
        if done:
            (path / layout.PREVIOUS).unlink(missing_ok=True)
            if config.preset == "reference":
                _leave_reference_files(path, say)
        job.end(ended, message)
        if trainer.compiled is None and team.size == 1:
            record_speed(config, device.type, recorder.speed.steps, status.device_name)
    except Diverged as error:
        recorder.tell(Alert(trainer.done, "nan", str(error)))
        raise
    finally:
        recorder.close()


def _on(device: torch.device, team: Team) -> str:
    return device.type if team.size == 1 else f"{team.size} × {device.type}"


def _leave_reference_files(path: Path, say: Callable[[str], None]) -> None:
    """Write what the reference leaves behind: its plot and its weights file. A run does not fail for it."""
    from core.exchange.export import training_plot
    from core.exchange.weights import export_pth

    for write in (training_plot, export_pth):
        try:
            say(f"wrote {write(reading.read(path)).name}")
        except BardlabError as error:
            say(str(error))


def stand_by() -> str:
    """Get everything slow done, then wait for a run folder on standard input. Empty if the parent went away.

    Libraries finish loading at the first step of a model (torch's optimisers alone take over a second), so one step
    of each rung's first preset is taken here, unless there is a job already. What the steps took of a GPU is given
    back, and one that fails leaves its rung slower, not the spare dead.
    """
    inlet = system.Inlet()
    devices.limit_threads()
    corpus = load_corpus()
    for rung in RUNGS.values():
        if inlet.came:
            break
        with contextlib.suppress(Exception):
            model, train_config = rung.settings(rung.default_preset, {}, {})
            built = rung.build(model, corpus.tokenizer.size)
            Trainer(built, train_config, corpus.train_ids, devices.resolve("auto")).step()
    if not inlet.came:
        parking.free_memory()
    return inlet.line()


def time_rungs(*, aside: bool) -> None:
    """Time a few steps of every rung whose speed on this machine is not known; `aside` lets all others go first."""
    devices.limit_threads()
    corpus = load_corpus()
    device = devices.resolve("auto")
    if aside:
        system.step_back()
    for rung in RUNGS.values():
        if not known(rung, device.type):
            probe(rung, device, corpus.train_ids, corpus.tokenizer.size)
