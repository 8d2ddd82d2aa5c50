"""What a job runs: `python -m core.worker RUN_FOLDER [DEVICE]`, `--spare` to stand by for one,
or `--probe` to time a few steps of every rung.

The worker owns its run folder: it holds the lock, writes status, curves, samples and weights, and ends in a state that
says what happened. It prints to the run's log file, never into a pipe that somebody would have to drain.
"""

if __name__ == "__main__":  # a run that waits for its turn loads nothing of what follows
    import sys

    from core import waiting

    waiting.main(sys.argv[1:])
    sys.exit()

import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from core import alerts, checkpoints, controls, devices, parking, processes, runs, trial, waiting
from core.alerts import Alert, Watch
from core.checkpoints import Restored
from core.corpus import Corpus
from core.corpus import load as load_corpus
from core.desk import Desk
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
from core.waiting import Job

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
            self._take_up(restored.extra)
        self.bar = tqdm(total=trainer.total, initial=trainer.done, unit="step", mininterval=1.0, desc=config.stage)
        self._writer = checkpoints.Writer(path)
        self._wrote = self._saved = time.monotonic()
        self._metered = 0.0
        self.meter = Meter(trainer.device.type)
        self.speed = _Speed()
        if restored and restored.fallback:
            text = f"{restored.fallback}; the run went on from the state before it, of step {trainer.done}"
            self.tell(Alert(trainer.done, "checkpoint", text))

    def _take_up(self, extra: dict[str, Any]) -> None:
        """Take from `trainer.pt` what a resumed run says of itself, and nothing else: the file may be a stranger's.

        Raises BardlabError if any of it is not of the form that `save` writes.
        """
        try:
            self.watch.load_state_dict(extra.get("watch", {}))
            kept = {name: extra["status"][name] for name in KEPT if name in extra.get("status", {})}
            values = Status.model_validate(kept, strict=True)
        except (ValueError, TypeError, AttributeError):
            raise BardlabError(
                f"{runs.TRAINER} is damaged: it says of the run what cannot be; start a new run with the same settings"
            ) from None
        for name in kept:
            setattr(self.status, name, getattr(values, name))

    def progress(self, event: Progress) -> None:
        """Store one point of the training curve. Raises OSError if the last save has failed."""
        saved = self.status.checkpoint_step
        if self._writer.idle:
            self.settle()
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
            self.begin_to_save()
        if now - self._wrote > 0.5 or event.step == 1 or self.status.checkpoint_step != saved:
            self.write_status()

    def evaluated(self, event: Evaluated) -> None:
        """Store one evaluation: validation loss, text, weights. Raises OSError if the last save has failed."""
        self._writer.settle()
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
        self.begin_to_save(best=best, snapshot=self._snapshot_due(event.step))
        if self._last(event.step):
            self.settle()
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

    def save(self) -> None:
        """Make everything up to this step resumable, and return when it is. Raises what `begin_to_save` does."""
        self.begin_to_save()
        self.settle()

    def begin_to_save(self, *, best: bool = False, snapshot: bool = False) -> None:
        """Hand everything up to this step to the thread that makes it resumable; `settle` waits for its end.

        Raises BardlabError rather than replace good weights by NaN, and OSError if the last save has failed.
        """
        if not _finite(self.trainer):
            raise Diverged(self.trainer)
        self._writer.settle()
        kept = {name: getattr(self.status, name) for name in KEPT}
        checkpoint = checkpoints.take(self.trainer, {"watch": self.watch.state_dict(), "status": kept})
        self._writer.write(checkpoint, best=best, keep=snapshot)
        self._saved = time.monotonic()

    def settle(self) -> None:
        """Wait until all that was saved is on disk. Raises OSError if it could not be written."""
        self._writer.settle()
        self._note_checkpoint()

    def _note_checkpoint(self) -> None:
        if self._writer.step is not None:
            self.status.checkpoint_step = self._writer.step

    def write_status(self) -> None:
        """Tell the readers where the run is."""
        self._note_checkpoint()
        self.speed.fill(self.status, self.trainer)
        now = time.monotonic()
        if now - self._metered > METER_SECONDS:
            self.status.meters, self._metered = self.meter.read(), now
        runs.write_status(self.path, self.status)
        self._wrote = now

    def close(self) -> None:
        """End the progress bar and the event file, and what is still being saved."""
        self._writer.close()
        self._note_checkpoint()
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
    weights = [p.detach() for p in trainer.model.parameters() if p.numel()]
    if trainer.model.closed_form or not weights:
        return True
    largest = torch._foreach_norm(weights, ord=math.inf)  # a NaN among them is the largest
    return bool(torch.isfinite(torch.stack(largest)).all())


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
    waiting.work(path, say=log)
    return runs.read(path)


def device_of(path: Path) -> str:
    """Return what a run's device setting comes to on this machine. Raises BardlabError if it is not there."""
    return str(devices.resolve(runs.read(path).need().device))


def train_run(job: Job) -> None:
    """Train a run whose turn on its device has come. Raises BardlabError with the reason if it fails."""
    devices.limit_threads()
    config = runs.read(job.path).need()
    status = Status.model_validate(job.status)
    job.newest = lambda: json.loads(status.model_dump_json())

    def tell(news: dict[str, Any]) -> None:
        for name, value in news.items():
            setattr(status, name, value)
        runs.write_status(job.path, status)

    job.place.tell = tell
    try:
        device, left = trial.settle(config.device, torch.device(job.place.device))
        if left and not job.place.change(str(device)):
            return job.end(State.STOPPED, "stopped while it waited")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        _train(job, config, status, device, left)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        let_go(error)
        raise BardlabError(trial.out_of_memory(config, status.device)) from error


def _train(job: Job, config: RunConfig, status: Status, device: torch.device, left: str) -> None:
    """Train; `left` says why the run is on another device than `auto` takes first, if it is."""
    path, say, should_stop = job.path, job.say, job.should_stop
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
    desk = Desk(path, trainer, status, job.place, should_stop, recorder.tell, recorder.save, recorder.write_status)
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
        job.end(ended, message)
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


def stand_by() -> str:
    """Get everything slow done, then wait for a run folder on standard input. Empty if the parent went away.

    Libraries finish loading at the first step of a model (torch's optimisers alone take over a second), so one step
    of each rung's first preset is taken here, unless there is a job already. What the steps took of a GPU is given
    back, and one that fails leaves its rung slower, not the spare dead.
    """
    inlet = processes.Inlet()
    devices.limit_threads()
    corpus = load_corpus()
    for stage in STAGES.values():
        if inlet.came:
            break
        with contextlib.suppress(Exception):
            model, train_config = stage.settings(stage.default_preset, {}, {})
            built = stage.build(model, corpus.tokenizer.size)
            Trainer(built, train_config, corpus.train_ids, devices.resolve("auto")).step()
    if not inlet.came:
        parking.free_memory()
    return inlet.line()


def time_rungs() -> None:
    """Time a few steps of every rung whose speed on this machine is not known."""
    devices.limit_threads()
    corpus = load_corpus()
    device = devices.resolve("auto")
    processes.step_back()
    for stage in STAGES.values():
        if not known(stage, device.type):
            probe(stage, device, corpus.train_ids, corpus.tokenizer.size)
