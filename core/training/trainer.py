"""A model, its optimiser and its place in the data: everything that one more step needs."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn import functional as F

from core.errors import BardlabError
from core.evaluation import evaluate, spread_slice
from core.models.contract import LanguageModel
from core.models.memory import is_out_of_memory
from core.training import compiling, reproducible
from core.training.config import TrainConfig
from core.training.devices import drain, precision
from core.training.monitor import Monitor
from core.training.optimizers import Optimizers
from core.training.sabotage import Sabotage
from core.training.team import Order, Team

LOOKED_BACK_AT = 100_000  # characters to read an n-gram's training loss from; all would take far longer than counting


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

    def __init__(
        self,
        model: LanguageModel,
        config: TrainConfig,
        train_ids: Tensor,
        device: torch.device,
        sabotage: Sabotage | None = None,
        team: Team | None = None,
    ) -> None:
        self.model, self.config, self.device = model.to(device), config, device
        self.sabotage = sabotage or Sabotage()
        """What a training that is broken on purpose does wrongly; as a rule nothing."""
        self.team = team or Team()
        """With whom the model is trained; as a rule nobody."""
        self.sabotage.weights(self.model)
        self.train_ids = train_ids.to(device)
        self.window = config.window or model.usual_window
        if self.window >= len(train_ids):
            raise BardlabError(
                f"the training text has {len(train_ids)} characters, too few for sequences of {self.window}; "
                "lower train.window or model.context"
            )
        if model.readable(self.window) < self.window:
            raise BardlabError(
                f"train.window {self.window} is longer than the model's context {model.context}; "
                f"give at most {model.context}, or 0"
            )
        self.precision = precision(config.precision, device)
        self.scaler = GradScaler(device.type) if self.precision is torch.float16 else None
        """Scales the loss while products are float16, in which small gradients would vanish."""
        if not model.closed_form:
            reproducible.switch_on(device)
        self.batches = self.sabotage.batches(self.train_ids, config.seed)
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
        self.wants_norm = True
        """Whether steps take the norm of the gradient even if nothing but a report needs it."""
        self.compiled: Callable[[Tensor], Tensor] | None = None
        """The model as `prepare` compiled it, on the same weights."""
        self._proven: set[torch.Size] = set()
        """Shapes of inputs with which a whole step has been taken."""
        self._mean_loss: float | None = None
        self.remarks: list[str] = []
        """What whoever watches should be told, in one line each; taken out when it is."""

    @property
    def late(self) -> bool:
        """True once the run has trained for as many seconds as its settings allow."""
        return 0 < self.config.seconds <= self.seconds

    @cached_property
    def net(self) -> nn.Module:
        """What runs the model forward in a step. Made at the first one, at which all who train it are there."""
        return self.team.net(self.model)

    @cached_property
    def optimizers(self) -> Optimizers:
        """Made at the first step: torch takes a second to load what its optimisers need."""
        made = Optimizers(self.model, self.config, self.precision)
        self.sabotage.optimizers(made)
        return made

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
        short = self.config.planned * self.config.short_first
        parts = 4 if self.done < short * 3 / 7 else 2 if self.done < short else 1
        return max(1, self.window // parts)

    @cached_property
    def eager_seconds(self) -> float:
        """Seconds of a forward and a backward pass without a compiler: the least of a few, which change nothing."""
        self.team.order(Order.TIME)
        restore, times = self._kept(), list[float]()
        for _ in range(4):  # the first also loads kernels
            began = time.perf_counter()
            self._gradients(*self._blank(self.window))
            drain(self.device)
            times.append(time.perf_counter() - began)
        restore()
        return min(times)

    @property
    def compiles(self) -> bool:
        """Whether the model is to be compiled: as the settings ask, `auto` where the steps to come gain enough."""
        config, model, device = self.config, self.model, self.device.type
        if model.closed_form or (config.compile == "auto" and (device != "cuda" or model.fused)):
            return False
        graphs = len(compiling.lengths(self.window, config.short_first))
        warm = compiling.is_known(model.config, model.vocab_size, config, self.window, device)
        step_seconds = self.eager_seconds if config.compile == "auto" else 0.0
        return compiling.is_asked_for(config, device, self.total - self.done, step_seconds, graphs, warm)

    def prepare(self) -> float:
        """Compile the model for every length of sequence that is to come, if that is wanted. Returns the seconds taken.

        The random state, the weights and what the layers count stay what they were. Where it fails, that is remarked
        and training goes on without.
        """
        if self.compiled is not None or not self.compiles:
            return 0.0
        self.team.order(Order.COMPILE)
        return self.compile_now()

    def compile_now(self) -> float:
        """Compile the model, as `prepare` decided."""
        began = time.perf_counter()
        compiling.use_folder()
        restore = self._kept()
        try:
            self.compiled = torch.compile(self.net, dynamic=False)
        except Exception as error:
            self._do_without(error)
        for length in compiling.lengths(self.window, self.config.short_first):
            if self.compiled is not None:
                self._gradients(*self._blank(length))
        restore()
        if self.compiled is not None:
            with contextlib.suppress(OSError):
                config, model = self.config, self.model
                compiling.remember(model.config, model.vocab_size, config, self.window, self.device.type)
        return time.perf_counter() - began

    def batch(self) -> tuple[Tensor, Tensor]:
        """Draw inputs and targets (B, T) each: random windows of the training text, targets one character later.

        Who trains with others gets a share of what all of them draw.
        """
        chunk = self.batches.next(self._sequences(self.length), self.length)  # (B, T+1)
        x, y = self.sabotage.batch(chunk[:, :-1], chunk[:, 1:])
        return self.team.share(x), self.team.share(y)

    def _sequences(self, length: int) -> int:
        """Shorter sequences come in a larger number, so that every step sees as many characters."""
        return self.config.batch_size * self.window // length

    def _blank(self, length: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets (B, T) each that lie in memory as those of a batch do, of the first character."""
        chunk = self.team.share(self.train_ids.new_zeros(self._sequences(length), length + 1))  # (B, T+1)
        return chunk[:, :-1], chunk[:, 1:]

    @torch.no_grad()
    def first_loss(self) -> float:
        """Return the loss of the batch that the next step will train on, leaving everything as it was."""
        chunk = self.batches.peek(self._sequences(self.length), self.length)  # (B, T+1)
        x, y = self.sabotage.batch(chunk[:, :-1], chunk[:, 1:])  # (B, T) each
        self.model.eval()
        loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())  # ()
        self.model.train()
        return float(loss)

    def step(self) -> Tensor:
        """Take one optimiser step and return the loss () of its batch, or of a share of it, still on the device."""
        if self.model.closed_form:
            self.model.fit(self.train_ids)
            self.done += 1
            some = self.train_ids[:LOOKED_BACK_AT] if self.model.grows_with_text else self.train_ids
            return torch.tensor(evaluate(self.model, some).loss)
        rates = self.rates.get(self.done, {})
        self.team.order(Order.STEP, rates)
        for name, value in rates.items():
            self.optimizers.set_rate(name, value)
        watched = self.team.leads and self.monitor.due(self.done + 1)
        self.team.seed(self.config.seed, self.done)
        x, y = self.batch()
        loss = self._gradients(x, y)  # ()
        self._proven.add(x.shape)
        if self.scaler is not None:
            for part in self.optimizers.parts:
                self.scaler.unscale_(part)
        self.sabotage.gradients(self.model)
        if watched:
            self.monitor.before()
        if self.wants_norm or watched or self.config.grad_clip:
            self._measure_and_clip()
        self.optimizers.step(self.done, self.scaler)
        if self.scaler is not None:
            self.scaler.update()
        if watched:
            self.monitor.after()
        self.done += 1
        return loss.detach()

    def _loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy () of targets (B, T) after inputs (B, T), with products in the precision set."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            logits = model(x)  # (B, T, V)
        return F.cross_entropy(logits.float().flatten(0, 1), y.flatten())  # ()

    def _gradients(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the gradients of the loss of targets (B, T) after inputs (B, T) to the weights' and return the loss ().

        At a shape's first step a compiler, or the search for a kernel that always adds in the same order, may fail:
        then everything is put back as it was, that is remarked, and the step is taken without.
        """
        proven = x.shape in self._proven
        restore: Callable[[], object] = (lambda: None) if proven else self._kept()
        while True:
            try:
                loss = self._loss(self.net if self.compiled is None else self.compiled, x, y)  # ()
                scaled: Tensor = loss if self.scaler is None else self.scaler.scale(loss)  # ()
                scaled.backward()  # type: ignore[no-untyped-call]
                return loss
            except Exception as error:
                if proven or is_out_of_memory(error) or not self._do_without(error):
                    raise
            restore()

    def _do_without(self, error: Exception) -> bool:
        """Give up what failed, and remark it. False if there is nothing to give up."""
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        if reproducible.is_lacking(error):
            reproducible.switch_off()
            self.remarks.append(f"this run repeats to rounding only: {reason}")
        elif self.compiled is not None:
            self.compiled = None
            self.remarks.append(f"torch.compile failed, so training goes on without it: {reason}")
        else:
            return False
        vars(self).pop("net", None)  # with others, what was begun of its backward pass would be waited for
        return True

    def _kept(self) -> Callable[[], None]:
        """Return what puts back, after a trial, all that a forward and a backward pass change."""
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]  # BatchNorm's running means
        states = self._random_states()

        def restore() -> None:
            self.model.zero_grad(set_to_none=True)
            for buffer, before in buffers:
                buffer.copy_(before)
            self._set_random_states(states)

        return restore

    def _measure_and_clip(self) -> None:
        """Take the norm of the whole gradient and scale it down, if the settings ask for it.

        A step that is passed over because float16 overflowed has no norm: the one before it stands.
        """
        params = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in params if p.grad is not None])
        if self.config.grad_clip:
            torch.nn.utils.clip_grads_with_norm_(params, self.config.grad_clip, norm)
        self.grad_norm = norm if self.scaler is None else torch.where(norm.isfinite(), norm, self.grad_norm)

    def mean_loss(self, losses: list[Tensor]) -> float:
        """Return the mean of batch losses () each, or NaN once the training has gone wrong.

        In float16 a step may overflow, is passed over, and the scale halved; only if that does not help, the scale
        falls below 1.
        """
        together = self.team.mean(torch.stack(losses))
        if self.scaler is None:
            return float(together.mean())
        if self.scaler.get_scale() < 1:
            return math.nan
        together = together[together.isfinite()]
        if len(together):
            self._mean_loss = float(together.mean())
        return self.first_loss() if self._mean_loss is None else self._mean_loss

    def _random_states(self) -> dict[str, Tensor]:
        """Return the states of the generators that dropout draws from, by where they are."""
        states = {"torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            states["mps"] = torch.mps.get_rng_state()
        return states

    def _set_random_states(self, states: Mapping[str, Tensor]) -> None:
        """Go on from `_random_states`; one of another device is passed over."""
        torch.set_rng_state(states["torch"].cpu())
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"].cpu(), self.device)
        elif self.device.type == "mps" and "mps" in states:
            torch.mps.set_rng_state(states["mps"].cpu())

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the rest of the run: weights, optimiser, random states, place in the data."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "batches": self.batches.state(),
            **self._random_states(),
            "done": self.done,
            "evaluated": self.evaluated,
            "seconds": self.seconds,
        }
        if kept := self.sabotage.state_dict():
            state["sabotage"] = kept
        if self.scaler is not None:
            state["scaler"] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`: bit for bit on the same CPU, to rounding on a GPU or on another device."""
        self.model.load_state_dict(state["model"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.batches.set_state(state["batches"].cpu())
        self._set_random_states(state)
        self.sabotage.load_state_dict(state.get("sabotage", {}))
        if self.scaler is not None and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])
        self.done, self.seconds = state["done"], state["seconds"]
        self.evaluated = state.get("evaluated", self.done)
