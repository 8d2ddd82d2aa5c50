"""Writes down what happens in a training: curves, samples, weights, status."""

import math
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from core.errors import BardlabError
from core.jobs.usage import Meter
from core.models.contract import parameter_count
from core.runs import checkpoints, folder, layout, records, state
from core.runs.checkpoints import Restored
from core.runs.metrics import CHARACTERS, SECONDS, TRAIN_EVAL_LOSS, TRAIN_LOSS, VAL_LOSS, MetricsWriter
from core.runs.state import RunConfig, Sample, Status
from core.texts.corpus import Corpus
from core.training.loop import Evaluated, Progress
from core.training.trainer import Diverged, Trainer
from core.training.watch import Alert, Watch

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
        records.drop_samples_after(path, kept)
        records.drop_after(path, kept)
        self.watch = Watch()
        if restored:
            self._take_up(restored.extra)
        self.bar = tqdm(total=trainer.total, initial=trainer.done, unit="step", mininterval=1.0, desc=config.rung_key)
        self._writer = checkpoints.Writer(path)
        self._wrote = self._saved = time.monotonic()
        self._metered = 0.0
        self.meter = Meter(trainer.device.type, trainer.team.pids)
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
                f"{layout.TRAINER} is damaged: it says of the run what cannot be; start a new run of the same settings"
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
            self.status.message = state.TRAINING
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
        records.append_sample(self.path, Sample(event.step, loss, self.config.train.prompt, text))
        self.begin_to_save(best=best, snapshot=self._snapshot_due(event.step))
        if self._last(event.step):
            self.settle()
        if result:
            shown = f"{loss:.4f}" if loss is not None else f"infinite ({status.impossible} pairs never seen)"
            self.bar.set_postfix_str(f"val {shown}")
            folder.note(self.path, f"step {event.step}: validation loss {shown}")
        self.write_status()

    @property
    def enough(self) -> bool:
        """True if the validation loss has not improved for as long as the settings are patient."""
        return 0 < self.config.train.patience <= self.watch.since

    @property
    def over(self) -> bool:
        """True if the run has come to its end: by its steps, its seconds or its patience."""
        trainer = self.trainer
        timed = trainer.late and trainer.evaluated == trainer.done > 0
        return trainer.done >= trainer.total or timed or self.enough

    def tell(self, alert: Alert) -> None:
        """Keep an alert: for the page, for TensorBoard and in the log."""
        if alert in records.alerts(self.path):
            return
        records.append(self.path, alert)
        self.metrics.say(alert.step, alert.kind, alert.text)
        folder.note(self.path, f"step {alert.step}: {alert.text}")

    def save(self) -> None:
        """Make everything up to this step resumable, and return when it is. Raises what `begin_to_save` does.

        What is saved already is not saved again: the state before it would be lost, and none gained.
        """
        self.settle()
        if self.status.checkpoint_step != self.trainer.done:
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
        state.write_status(self.path, self.status)
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
        return step == self.trainer.total or self.trainer.late or self.enough


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
        if trainer.config.seconds:
            status.eta_seconds = min(status.eta_seconds, max(0.0, trainer.config.seconds - trainer.seconds))
