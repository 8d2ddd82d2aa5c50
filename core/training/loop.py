"""The training loop: a plain function that yields what happens and leaves showing and storing to others."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from core.evaluation import Evaluation, evaluate
from core.sampling import SamplingConfig, generate
from core.training.trainer import Diverged, Trainer

PROGRESS_INTERVAL = 0.07  # seconds: the loss is reported at most 14 times a second, as the mean of the steps between


@dataclass(frozen=True)
class Progress:
    """Some steps were taken."""

    step: int
    train_loss: float
    """Mean batch loss of the steps since the last report, nats a character."""
    learning_rate: float
    grad_norm: float
    """Euclidean norm of the whole gradient at this step, before any clipping."""
    steps_per_second: float
    """Speed since the last report, evaluations left out."""
    characters: int
    """Characters trained on since step 0."""
    seconds: float
    """Wall time of training since step 0, evaluations included, interruptions not."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """What `core.training.monitor` found at this very step, by metric tag; mostly nothing."""


@dataclass(frozen=True)
class Evaluated:
    """A sample was written and, except at step 0, the whole validation split measured."""

    step: int
    validation: Evaluation | None
    training: Evaluation | None
    """The same measure on a fixed part of the training split: what was learned by heart is the difference."""
    diagnostics: dict[str, float]
    sample: list[int]
    characters: int
    seconds: float


def train(
    trainer: Trainer, val_ids: Tensor, prompt: list[int], should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Progress | Evaluated]:
    """Train to the last step, yielding `Progress` up to 14 times a second and `Evaluated` at each evaluation.

    Evaluations come every `eval_every` steps and after the last. Before the first step the loss of one batch is
    reported and a sample written, so that there is something to see at once. `should_stop` is asked at every report;
    when it says yes the loop ends after the step it is in. Raises BardlabError when the loss is no longer finite.
    """
    config, model = trainer.config, trainer.model
    val_ids = val_ids.to(trainer.device)
    sampling = SamplingConfig(tokens=max(1, config.sample_chars), seed=config.seed)
    before = trainer.seconds

    def clock() -> float:
        return time.perf_counter() - trainer.idle

    started = clock()

    def measure() -> Evaluated:
        with trainer.sabotage.evaluation(model):
            validation = evaluate(model, val_ids) if trainer.done else None
            trained = trainer.done and not model.closed_form
            training = evaluate(model, trainer.training_slice) if trained else None
        if validation and not math.isfinite(validation.loss) and not model.closed_form:
            raise Diverged(trainer)
        try:
            sample = [c.id for c in generate(model, prompt, sampling)] if config.sample_chars else []
        except RuntimeError as error:  # torch refuses to draw from chances that are NaN
            raise Diverged(trainer) if "probability tensor" in str(error) else error from None
        diagnostics = model.diagnostics(trainer.train_ids)
        model.train()
        trainer.seconds, trainer.evaluated = before + clock() - started, trainer.done
        trainer.monitor.away()
        return Evaluated(trainer.done, validation, training, diagnostics, sample, trainer.characters, trainer.seconds)

    def due(step: int) -> bool:
        return step == trainer.total or step % config.eval_every == 0

    model.train()
    if trainer.done and due(trainer.done) and trainer.evaluated < trainer.done:
        yield measure()  # the run was interrupted after the step and before its evaluation
    if trainer.done == 0 and not model.closed_form:
        yield Progress(0, trainer.first_loss(), 0.0, 0.0, 0.0, 0, 0.0)
        yield measure()
    trainer.idle += trainer.prepare()
    losses: list[Tensor] = []
    reported = clock()
    lately = 0.0  # seconds of the latest step
    stopping = False
    while trainer.done < trainer.total and not stopping:
        began, upcoming = clock(), trainer.done + 1
        late = began + lately - reported >= PROGRESS_INTERVAL
        reporting = late or due(upcoming) or upcoming in (1, trainer.report_at)
        trainer.wants_norm = reporting
        losses.append(trainer.step())
        lately = clock() - began
        measured = trainer.monitor.take()
        if reporting or measured:
            mean = trainer.mean_loss(losses)
            now = clock()
            rate = len(losses) / (now - reported)
            losses.clear()
            reported = now
            trainer.seconds = before + now - started
            if not mean < float("inf") and not model.closed_form:
                raise Diverged(trainer)
            yield Progress(
                trainer.done,
                mean,
                trainer.optimizers.learning_rate,
                float(trainer.grad_norm),
                rate,
                trainer.characters,
                trainer.seconds,
                measured,
            )
            stopping = should_stop()
        if due(trainer.done):
            yield measure()
            reported = clock()
