"""What a job runs: `python -m core.worker RUN_FOLDER`, `--spare` to stand by for one,
or `--probe` to time a few steps of every rung.

The worker owns its run folder: it holds the lock, writes status, curves, samples and weights, and ends in a state that
says what happened. It prints to the run's log file, never into a pipe that somebody would have to drain.
"""

import math
import os
import select
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from core import alerts, checkpoints, controls, devices, jobs, runs, trial
from core.alerts import Alert, Watch
from core.checkpoints import Restored
from core.corpus import Corpus
from core.corpus import load as load_corpus
from core.desk import Desk, Interrupt, Place, StopNow
from core.errors import BardlabError
from core.memory import is_out_of_memory, let_go
from core.meters import Meter
from core.metrics import CHARACTERS, SECONDS, TRAIN_EVAL_LOSS, TRAIN_LOSS, VAL_LOSS, MetricsWriter
from core.models.contract import parameter_count
from core.runs import Run, RunConfig, Sample, State, Status
from core.speed import known, probe
from core.speed import record as record_speed
from core.stages import STAGES
from core.training import Diverged, Evaluated, Progress, Trainer, train

CHECKPOINT_SECONDS = 30.0  # besides every evaluation, the state to resume from is at most this old
METER_SECONDS = 1.0
KEPT = ("train_loss", "val_loss", "impossible", "best_val_loss", "best_step")
"""What a resumed run says of itself until it has something new to say."""


class Recorder:
    """Writes what the training loop reports into the run folder."""

    def __init__(
        self,
        path: Path,
        config: RunConfig,
        status: Status,
        trainer: Trainer,
        corpus: Corpus,
        restored: Restored | None = None,
    ) -> None:
        self.path, self.config, self.status, self.trainer, self.corpus = path, config, status, trainer, corpus
        kept = trainer.done or -1  # what a worker that died had shown after this step will be made again
        self.metrics = MetricsWriter(path, resume_step=kept)
        runs.drop_samples_after(path, kept)
        alerts.drop_after(path, kept)
        self.watch = Watch()
        if restored:
            self.watch.load_state_dict(restored.extra.get("watch", {}))
            for name, value in restored.extra.get("status", {}).items():
                setattr(status, name, value)
        self.bar = tqdm(total=trainer.total, initial=trainer.done, unit="step", mininterval=1.0, desc=config.stage)
        self._wrote = self._saved = time.monotonic()
        self._metered = 0.0
        self.meter = Meter(trainer.device.type)
        self.speed = _Speed()
        if restored and restored.fallback:
            text = f"{restored.fallback}; the run went on from the state before it, of step {trainer.done}"
            self.tell(Alert(trainer.done, "checkpoint", text))

    def progress(self, event: Progress) -> None:
        """Store one point of the training curve."""
        self.speed.progress(event)
        while self.trainer.remarks:
            self.tell(Alert(event.step, "compile", self.trainer.remarks.pop(0)))
        values = {TRAIN_LOSS: event.train_loss, SECONDS: event.seconds, CHARACTERS: float(event.characters)}
        values |= {"train/lr": event.learning_rate, "train/grad_norm": event.grad_norm, **event.measured}
        self.metrics.add(event.step, values)
        if alert := self.watch.progress(event.step, event.train_loss):
            self.tell(alert)
        if event.step:
            self.status.message = runs.TRAINING
        self.status.step, self.status.train_loss = event.step, event.train_loss
        self.status.seconds, self.status.characters = event.seconds, event.characters
        self.bar.update(event.step - self.bar.n)
        now = time.monotonic()
        if now - self._saved > CHECKPOINT_SECONDS:
            self.save()
        if now - self._wrote > 0.5 or event.step == 1:
            self.write_status()

    def evaluated(self, event: Evaluated) -> None:
        """Store one evaluation: validation loss, text, weights."""
        result = event.validation
        loss = result.loss if result and math.isfinite(result.loss) else None
        values = {SECONDS: event.seconds, CHARACTERS: float(event.characters), **event.diagnostics}
        if loss is not None:
            values[VAL_LOSS] = loss
        if event.training and math.isfinite(event.training.loss):
            values[TRAIN_EVAL_LOSS] = event.training.loss
        self.speed.evaluated(event)
        if self.status.tokens_per_second:
            values["train/tokens_per_second"] = self.status.tokens_per_second
        self.metrics.add(event.step, values)
        status = self.status
        status.step, status.impossible = event.step, result.impossible if result else 0
        status.parameters = parameter_count(self.trainer.model)  # counting finds as many as the text has
        status.val_loss = loss if result else status.val_loss
        status.seconds, status.characters = event.seconds, event.characters
        best = loss is not None and (status.best_val_loss is None or loss < status.best_val_loss)
        if best:
            status.best_val_loss, status.best_step = loss, event.step
        if loss is not None and (alert := self.watch.evaluated(event.step, loss)):
            self.tell(alert)
        self.metrics.flush()
        text = self.corpus.tokenizer.decode(event.sample)
        runs.append_sample(self.path, Sample(event.step, loss, self.config.train.prompt, text))
        self.save(best=best, snapshot=self._snapshot_due(event.step))
        if result:
            shown = f"{loss:.4f}" if loss is not None else f"infinite ({status.impossible} pairs never seen)"
            self.bar.set_postfix_str(f"val {shown}")
            runs.note(self.path, f"step {event.step}: validation loss {shown}")
        self.write_status()

    @property
    def enough(self) -> bool:
        """True if the validation loss has not improved for as long as the settings are patient."""
        return 0 < self.config.train.patience <= self.watch.since

    def tell(self, alert: Alert) -> None:
        """Keep an alert: for the page, for TensorBoard and in the log."""
        if alert in alerts.alerts(self.path):
            return
        alerts.append(self.path, alert)
        self.metrics.say(alert.step, alert.kind, alert.text)
        runs.note(self.path, f"step {alert.step}: {alert.text}")

    def save(self, *, best: bool = False, snapshot: bool = False) -> None:
        """Make everything up to this step resumable. Raises BardlabError rather than replace good weights by NaN.

        The state to resume from comes last: a run that dies before it is written makes again what was written first.
        """
        if not _finite(self.trainer):
            raise Diverged(self.trainer)
        checkpoints.save_weights(self.path, self.trainer)
        if best:
            checkpoints.keep_best(self.path)
        if snapshot:
            checkpoints.snapshot(self.path, self.trainer)
        kept = {name: getattr(self.status, name) for name in KEPT}
        checkpoints.save_trainer(self.path, self.trainer, {"watch": self.watch.state_dict(), "status": kept})
        self.status.checkpoint_step = self.trainer.done
        self._saved = time.monotonic()

    def write_status(self) -> None:
        """Tell the readers where the run is."""
        self.speed.fill(self.status, self.trainer)
        now = time.monotonic()
        if now - self._metered > METER_SECONDS:
            self.status.meters, self._metered = self.meter.read(), now
        runs.write_status(self.path, self.status)
        self._wrote = now

    def close(self) -> None:
        """End the progress bar and the event file."""
        self.bar.close()
        self.metrics.close()

    def _snapshot_due(self, step: int) -> bool:
        wanted, train_config = self.config.train.snapshots, self.config.train
        if wanted < 2:
            return wanted == 1 and self._last(step)
        evaluations = math.ceil(self.trainer.total / train_config.eval_every)
        stride = math.ceil(evaluations / (wanted - 1)) * train_config.eval_every  # step 0 is one of those wanted
        return step % stride == 0 or self._last(step)

    def _last(self, step: int) -> bool:
        return step == self.trainer.total or self.enough


def _finite(trainer: Trainer) -> bool:
    """False if a step has made a weight NaN or infinite. (A counted table may hold log 0.)"""
    return trainer.model.closed_form or all(bool(torch.isfinite(p).all()) for p in trainer.model.parameters())


class _Speed:
    """How fast the run goes: the mean of the latest reports, and what an evaluation costs."""

    def __init__(self) -> None:
        self.recent: deque[tuple[float, float]] = deque(maxlen=100)  # (steps, seconds) between two reports
        self.evaluation = 0.0
        self._last = (0, 0.0)

    def progress(self, event: Progress) -> None:
        steps = event.step - self._last[0]
        if event.steps_per_second > 0 and event.step > 1:  # the very first step also pays for starting up
            self.recent.append((steps, steps / event.steps_per_second))
        self._last = (event.step, event.seconds)

    def evaluated(self, event: Evaluated) -> None:
        self.evaluation = event.seconds - self._last[1]

    @property
    def steps(self) -> float:
        spent = sum(seconds for _, seconds in self.recent)
        return sum(steps for steps, _ in self.recent) / spent if spent > 0 else 0.0

    def fill(self, status: Status, trainer: Trainer) -> None:
        if not self.steps:
            return
        status.steps_per_second = self.steps
        status.tokens_per_second = self.steps * trainer.characters / max(1, trainer.done)
        left = trainer.total - trainer.done
        status.eta_seconds = left / self.steps + math.ceil(left / trainer.config.eval_every) * self.evaluation


def work(path: Path, *, log: Callable[[str], None] | None = None) -> Run:
    """Run one job to its end and return the run as it then is. Never raises for what goes wrong in training."""
    devices.limit_threads()
    say = log or (lambda line: runs.note(path, line))
    try:
        with runs.hold(path):
            _hold_and_work(path, say)
    except Timeout:
        say("another worker holds this run; nothing done")
    return runs.read(path)


def _hold_and_work(path: Path, say: Callable[[str], None]) -> None:
    run = runs.read(path)
    if not run.state.active:
        say(f"the run is {run.state}; nothing done")
        return
    born = psutil.Process().create_time()
    update = {"pid": os.getpid(), "born": born, "state": State.QUEUED, "message": "starting"}
    status = run.status.model_copy(update=update)
    interrupted = Interrupt(path)

    def end(state: State, message: str) -> None:
        interrupted.end()
        _end(path, status, state, message, say)

    try:
        _wait_and_train(path, run.need(), status, lambda: interrupted.asked or runs.stop_requested(path), end, say)
    except StopNow:
        where = "the start" if status.checkpoint_step is None else f"step {status.checkpoint_step}"
        end(State.STOPPED, f"stopped at once; Resume goes on from {where}")
    except BardlabError as error:
        end(State.FAILED, str(error))
    except OSError as error:
        end(State.FAILED, f"could not write: {runs.explain(error)}")
    except Exception as error:
        if is_out_of_memory(error):
            let_go(error)
            end(State.FAILED, trial.out_of_memory(run.need(), status.device))
        else:
            say(traceback.format_exc())
            reason = (str(error).splitlines() or [""])[0]
            end(State.FAILED, f"{type(error).__name__}: {reason}; see the log")
    finally:
        interrupted.restore()


def _wait_and_train(
    path: Path,
    config: RunConfig,
    status: Status,
    should_stop: Callable[[], bool],
    end: Callable[[State, str], None],
    say: Callable[[str], None],
) -> None:
    """Take part in the queue for the device, then train."""
    device = devices.resolve(config.device)

    def wait_message(message: str) -> None:
        status.message = message
        runs.write_status(path, status)

    def wait() -> FileLock | None:
        status.state = State.QUEUED
        runs.write_status(path, status)
        return devices.wait_for(device, runs.read(path), should_stop, wait_message, jobs.look_after)

    left = ""
    while True:
        status.device = device.type
        place = Place(device.type, wait)
        try:
            if not place.take():
                return end(State.STOPPED, "stopped while it waited")
            instead, why = trial.settle(config.device, device)
            if instead == device:
                return _train(path, config, status, device, place, should_stop, end, say, left)
            device, left = instead, why
        finally:
            place.give_up()


def _train(
    path: Path,
    config: RunConfig,
    status: Status,
    device: torch.device,
    place: Place,
    should_stop: Callable[[], bool],
    end: Callable[[State, str], None],
    say: Callable[[str], None],
    left: str = "",
) -> None:
    """Train; `left` says why the run is on another device than `auto` takes first."""
    corpus = load_corpus(config.corpus)
    if corpus.sha256 != config.corpus_sha256:
        raise BardlabError(f"the text {config.corpus!r} is no longer the one this run was made for; start a new run")
    checkpoints.tidy(path)
    checkpoints.seed_everything(config.train.seed)
    model = config.rung.build(config.model_config_, corpus.tokenizer.size)
    trainer = Trainer(model, config.train, corpus.train_ids, device)
    saved = checkpoints.restore(path, trainer)
    trainer.rates = controls.rates(path)
    status.state, status.message = State.RUNNING, runs.COMPILING if trainer.compiles else runs.TRAINING
    status.of, status.step, status.parameters = trainer.total, trainer.done, parameter_count(model)
    status.started, status.checkpoint_step = time.time(), trainer.done if saved else None
    trial.note(status, trainer, config)
    recorder = Recorder(path, config, status, trainer, corpus, saved)
    desk = Desk(path, trainer, status, place, should_stop, recorder.tell, recorder.save, recorder.write_status)
    say(f"{config.stage} on {device.type}, {status.parameters:,} parameters, steps {trainer.done} to {trainer.total}")
    if left:
        recorder.tell(Alert(trainer.done, "device", left))
    if trainer.compiles:
        say(runs.COMPILING)
    try:
        recorder.write_status()
        events = train(trainer, corpus.val_ids, corpus.tokenizer.encode(config.train.prompt), should_stop)
        while not recorder.enough and (event := next(events, None)):
            if isinstance(event, Progress):
                recorder.progress(event)
            else:
                recorder.evaluated(event)
            desk.attend()
        done = trainer.done >= trainer.total or recorder.enough
        if not done:
            recorder.save()
        ended, message = (State.FINISHED, "") if done else (State.STOPPED, f"stopped at step {trainer.done}")
        if recorder.enough and trainer.done < trainer.total:
            message = f"stopped early: no better validation loss in {recorder.watch.since} evaluations"
            recorder.tell(Alert(trainer.done, "early stop", f"{message}; the best was at step {status.best_step}"))
        if done:
            (path / runs.PREVIOUS).unlink(missing_ok=True)
            if config.preset == "reference":
                _leave_reference_files(path, say)
        end(ended, message)
        if trainer.compiled is None:
            record_speed(config, device.type, recorder.speed.steps, status.device_name)
    except Diverged as error:
        recorder.tell(Alert(trainer.done, "nan", str(error)))
        raise
    finally:
        recorder.close()


def _leave_reference_files(path: Path, say: Callable[[str], None]) -> None:
    """Write what the reference leaves behind: its plot and its weights file. A run does not fail for it."""
    from core.export import training_plot
    from core.interchange import export_pth

    for write in (training_plot, export_pth):
        try:
            say(f"wrote {write(runs.read(path)).name}")
        except BardlabError as error:
            say(str(error))


def _end(path: Path, status: Status, state: State, message: str, say: Callable[[str], None]) -> None:
    status.state, status.message, status.ended = state, message, time.time()
    status.eta_seconds = status.meters = None
    say(f"{state}{': ' + message if message else ''}")
    runs.clear_requests(path)
    runs.write_status(path, status)


def stand_by() -> Path | None:
    """Get everything slow done, then wait for a run folder on standard input. None if the parent went away.

    Libraries finish loading at the first step of a model (torch's optimisers alone take over a second), so one step
    of each rung's first preset is taken here, unless there is a job already.
    """
    corpus = load_corpus()
    device = devices.resolve("auto")
    for stage in STAGES.values():
        if select.select([sys.stdin], [], [], 0)[0]:
            break
        model, train_config = stage.settings(stage.default_preset, {}, {})
        trainer = Trainer(stage.build(model, corpus.tokenizer.size), train_config, corpus.train_ids, device)
        trainer.step()
    line = sys.stdin.readline().strip()
    return Path(line) if line else None


def redirect_output(path: Path) -> None:
    """Send everything printed from now on to the run's log file."""
    log = os.open(path / runs.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)


def main(arguments: list[str]) -> Any:
    """Run the job of the folder named on the command line, or stand by for one."""
    devices.limit_threads()
    if arguments == ["--probe"]:
        corpus = load_corpus()
        device = devices.resolve("auto")
        os.nice(10)  # whatever the learner does meanwhile comes first
        for stage in STAGES.values():
            if not known(stage, device.type):
                probe(stage, device, corpus.train_ids, corpus.tokenizer.size)
        return
    path = stand_by() if arguments == ["--spare"] else Path(arguments[0])
    if path is None:
        return
    redirect_output(path)
    work(path)


if __name__ == "__main__":
    main(sys.argv[1:])
