"""The training loop: a plain function that yields what happens and leaves showing and storing to others."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from core.config import TrainConfig
from core.devices import precision
from core.errors import BardlabError
from core.evaluation import Evaluation, evaluate, spread_slice
from core.models.contract import LanguageModel
from core.monitor import Monitor
from core.optim import Optimizers
from core.sampling import SamplingConfig, generate

PROGRESS_INTERVAL = 0.07  # seconds: the loss is reported at most 14 times a second, as the mean of the steps between
WORTH_COMPILING = 1000  # steps on a GPU; on a CPU compiling took four minutes and gained a fifth at most
LOOKED_BACK_AT = 100_000  # characters to read an n-gram's training loss from; all would take far longer than counting


@dataclass(frozen=True)
class Progress:
    """Some steps were taken."""

    step: int
    train_loss: float
    """Mean batch loss of the steps since the last report, nats a character."""
    learning_rate: float
    grad_norm: float
    """Euclidean norm of the whole gradient at the latest step."""
    steps_per_second: float
    """Speed since the last report, evaluations left out."""
    characters: int
    """Characters trained on since step 0."""
    seconds: float
    """Wall time of training since step 0, evaluations included, interruptions not."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """What `core.monitor` found at this very step, by metric tag; mostly nothing."""


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


class Diverged(BardlabError):
    """The loss is no longer a number; says at which step, and which settings to lower."""

    def __init__(self, trainer: "Trainer") -> None:
        config = trainer.config
        lower = f"train.learning_rate (it is {trainer.learning_rate:g})"
        if config.optimizer == "muon" and any(True for _ in trainer.model.hidden_matrices()):
            lower += f" or train.muon_learning_rate (it is {config.muon_learning_rate:g})"
        super().__init__(f"the loss is no longer a number at step {trainer.done}; lower {lower} and start again")


class Trainer:
    """A model, its optimiser and its place in the data: everything that one more step needs."""

    def __init__(self, model: LanguageModel, config: TrainConfig, train_ids: Tensor, device: torch.device) -> None:
        self.model, self.config, self.device = model.to(device), config, device
        self.train_ids = train_ids.to(device)
        self.window = config.window or model.context
        if self.window >= len(train_ids):
            raise BardlabError(
                f"the training text has {len(train_ids)} characters, too few for sequences of {self.window}; "
                "lower train.window or model.context"
            )
        if self.window > model.context and not model.slides:
            raise BardlabError(
                f"train.window {self.window} is longer than the model's context {model.context}; "
                f"give at most {model.context}, or 0"
            )
        self.precision = precision(config.precision, device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.total = 1 if model.closed_form else config.steps
        self.done = 0
        self.evaluated = 0
        """The step of the latest evaluation."""
        self.seconds = 0.0
        self.idle = 0.0
        """Seconds held still since the loop began, which do not count as training."""
        self.report_at: int | None = None
        """A step that is reported whatever the clock says."""
        self.rates: dict[int, dict[str, float]] = {}
        """Learning rates changed on the way: after how many steps, which, to what."""
        self.grad_norm = torch.zeros((), device=device)
        self.compiled: Callable[[Tensor], Tensor] | None = None
        """The model as `prepare` compiled it, on the same weights."""
        self.remarks: list[str] = []
        """What whoever watches should be told, in one line each; taken out when it is."""

    @cached_property
    def optimizers(self) -> Optimizers:
        """Made at the first step: torch takes a second to load what its optimisers need."""
        return Optimizers(self.model, self.config)

    @cached_property
    def monitor(self) -> Monitor:
        """Looks at one step in a while."""
        return Monitor(self.model, self.total)

    @cached_property
    def training_slice(self) -> Tensor:
        """Characters (n,) of the training split on which evaluations measure too.

        As many as cost at most a hundredth of the training between two evaluations (a training step takes about three
        times a forward pass), but 2,048 at least and 20,000 at most.
        """
        trained = self.config.eval_every * self.config.batch_size * self.window
        return spread_slice(self.train_ids, max(2048, min(20_000, 3 * trained // 100)))

    @property
    def learning_rate(self) -> float:
        """The learning rate set, before the schedule: the configuration's, or what it was changed to on the way."""
        changed = [
            r["learning_rate"] for step, r in sorted(self.rates.items()) if step <= self.done and "learning_rate" in r
        ]
        return changed[-1] if changed else self.config.learning_rate

    @property
    def characters(self) -> int:
        """Characters trained on so far."""
        if self.model.closed_form:
            return len(self.train_ids) * self.done
        return self.done * self.config.batch_size * self.window

    @property
    def length(self) -> int:
        """Characters in each sequence of the next batch: the window, less at the start if `short_first` asks so."""
        short = self.total * self.config.short_first
        parts = 4 if self.done < short * 3 / 7 else 2 if self.done < short else 1
        return max(1, self.window // parts)

    @property
    def compiles(self) -> bool:
        """Whether the settings ask for a compiled model."""
        worth = self.device.type == "cuda" and self.total >= WORTH_COMPILING
        return not self.model.closed_form and (self.config.compile == "on" or (self.config.compile == "auto" and worth))

    def prepare(self) -> float:
        """Compile the model for every length of sequence that is to come, if that is wanted. Returns the seconds taken.

        The random state, the weights and what the layers count stay what they were. Where it fails, that is remarked
        and training goes on without.
        """
        if not self.compiles or self.compiled is not None:
            return 0.0
        began = time.perf_counter()
        counted = [(buffer, buffer.clone()) for buffer in self.model.buffers()]  # BatchNorm's running means
        parts = (1, 2, 4) if self.config.short_first else (1,)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            try:
                compiled = torch.compile(self.model, dynamic=False)
                for length in {max(1, self.window // part) for part in parts}:
                    sequences = self.config.batch_size * self.window // length
                    ids = self.train_ids[:length].expand(sequences, length)  # (B, T)
                    self._loss(compiled, ids, ids).backward()  # type: ignore[no-untyped-call]
                self.compiled = compiled
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                self.remarks.append(f"torch.compile failed, so training goes on without it: {reason[:200]}")
        self.model.zero_grad(set_to_none=True)
        for buffer, before in counted:
            buffer.copy_(before)
        return time.perf_counter() - began

    def batch(self) -> tuple[Tensor, Tensor]:
        """Draw inputs and targets (B, T) each: random windows of the training text, targets one character later.

        Shorter sequences come in a larger number, so that every step sees as many characters.
        """
        length = self.length
        sequences = self.config.batch_size * self.window // length
        starts = torch.randint(len(self.train_ids) - length, (sequences,), generator=self.generator)
        offsets = torch.arange(length + 1)
        chunk = self.train_ids[(starts[:, None] + offsets).to(self.device)]  # (B, T+1)
        return chunk[:, :-1], chunk[:, 1:]

    @torch.no_grad()
    def first_loss(self) -> float:
        """Return the loss of the batch that the next step will train on, leaving everything as it was."""
        place = self.generator.get_state()
        x, y = self.batch()
        self.generator.set_state(place)
        self.model.eval()
        loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())  # ()
        self.model.train()
        return float(loss)

    def step(self) -> Tensor:
        """Take one optimiser step and return its batch loss (), still on the device."""
        if self.model.closed_form:
            self.model.fit(self.train_ids)
            self.done += 1
            some = self.train_ids[:LOOKED_BACK_AT] if self.model.grows_with_text else self.train_ids
            return torch.tensor(evaluate(self.model, some).loss)
        for name, value in self.rates.get(self.done, {}).items():
            self.optimizers.set_rate(name, value)
        watched = self.monitor.due(self.done + 1)
        x, y = self.batch()
        loss = self._loss(self.model if self.compiled is None else self.compiled, x, y)  # ()
        loss.backward()  # type: ignore[no-untyped-call]
        if watched:
            self.monitor.before()
        self.grad_norm = self._gradient_norm()
        self.optimizers.step(self.done)
        if watched:
            self.monitor.after()
        self.done += 1
        return loss.detach()

    def _loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy () of targets (B, T) after inputs (B, T), with products in the precision set."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision is torch.bfloat16):
            logits = model(x)  # (B, T, V)
        return F.cross_entropy(logits.float().flatten(0, 1), y.flatten())  # ()

    def _gradient_norm(self) -> Tensor:
        params = [p for p in self.model.parameters() if p.grad is not None]
        grads = [p.grad for p in params if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        if self.config.grad_clip:
            torch.nn.utils.clip_grads_with_norm_(params, self.config.grad_clip, norm)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the rest of the run: weights, optimiser, random states, place in the data."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "batches": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "done": self.done,
            "evaluated": self.evaluated,
            "seconds": self.seconds,
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`, bit for bit on the same device."""
        self.model.load_state_dict(state["model"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.generator.set_state(state["batches"].cpu())
        torch.set_rng_state(state["torch"].cpu())
        if self.device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"].cpu(), self.device)
        self.done, self.seconds = state["done"], state["seconds"]
        self.evaluated = state.get("evaluated", self.done)


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
        validation = evaluate(model, val_ids) if trainer.done else None
        if validation and not math.isfinite(validation.loss) and not model.closed_form:
            raise Diverged(trainer)
        training = evaluate(model, trainer.training_slice) if trainer.done and not model.closed_form else None
        try:
            sample = [c.id for c in generate(model, prompt, sampling)] if config.sample_chars else []
        except RuntimeError as error:  # torch refuses to draw from chances that are NaN
            raise Diverged(trainer) if "probability tensor" in str(error) else error from None
        diagnostics = model.diagnostics(trainer.train_ids)
        model.train()
        trainer.seconds, trainer.evaluated = before + clock() - started, trainer.done
        trainer.monitor.away()
        return Evaluated(trainer.done, validation, training, diagnostics, sample, trainer.characters, trainer.seconds)

    def due() -> bool:
        return trainer.done == trainer.total or trainer.done % config.eval_every == 0

    model.train()
    if trainer.done and due() and trainer.evaluated < trainer.done:
        yield measure()  # the run was interrupted after the step and before its evaluation
    if trainer.done == 0 and not model.closed_form:
        yield Progress(0, trainer.first_loss(), 0.0, 0.0, 0.0, 0, 0.0)
        yield measure()
    trainer.idle += trainer.prepare()
    losses: list[Tensor] = []
    reported = clock()
    stopping = False
    while trainer.done < trainer.total and not stopping:
        losses.append(trainer.step())
        now = clock()
        measured = trainer.monitor.take()
        asked = trainer.done in (1, trainer.report_at)
        if due() or asked or measured or now - reported >= PROGRESS_INTERVAL:
            mean = float(torch.stack(losses).mean())
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
        if due():
            yield measure()
            reported = clock()
