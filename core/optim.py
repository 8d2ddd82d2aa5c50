"""Optimisers and the learning-rate schedule, one place for every rung."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.optimizer import ParamsT

from core.config import TrainConfig
from core.models.contract import LanguageModel

POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
)
"""Coefficients of the first steps of the polar decomposition by Amsel et al. (2025), "The Polar Express", section 3."""


class Optimizers:
    """The optimisers of one model, stepped together under one schedule."""

    def __init__(self, model: LanguageModel, config: TrainConfig, precision: torch.dtype = torch.float32) -> None:
        self.config = config
        self.parts: list[Optimizer] = _build(model, config, precision)
        for part in self.parts:
            for group in part.param_groups:
                group["peak_lr"] = group["lr"]

    def step(self, step: int, scaler: GradScaler | None = None) -> None:
        """Move the weights once, with the learning rate due at `step` (counted from 0), and clear the gradients.

        With a scaler, whose gradients are unscaled already, weights stay where they are if a gradient has overflowed.
        """
        factor = schedule(step, self.config)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["peak_lr"] * factor
            if scaler is None:
                part.step()
            else:
                scaler.step(part)
            part.zero_grad(set_to_none=True)

    def set_rate(self, name: str, value: float) -> None:
        """Change `learning_rate` or `muon_learning_rate` from the next step on; warm-up and cool-down still apply."""
        for part in self.parts:
            if isinstance(part, Muon) == (name == "muon_learning_rate"):
                for group in part.param_groups:
                    group["peak_lr"] = value

    @property
    def learning_rate(self) -> float:
        """The rate of the latest step, of the first optimiser."""
        return float(self.parts[0].param_groups[0]["lr"])

    def state_dict(self) -> list[dict[str, Any]]:
        """Everything needed to go on as if never interrupted."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take up where `state_dict` left off."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def schedule(step: int, config: TrainConfig) -> float:
    """Return the factor on the learning rate at `step`: linear warm-up, constant, linear cool-down to zero."""
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    cooling = round(config.steps * config.cooldown)
    fall = min(1.0, (config.steps - step) / (cooling + 1)) if cooling else 1.0
    return min(rise, fall)


def _build(model: LanguageModel, config: TrainConfig, precision: torch.dtype) -> list[Optimizer]:
    params = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "sgd":
        return [SGD(params, lr=config.learning_rate, weight_decay=config.weight_decay)]
    if config.optimizer == "adamw":
        return [_adamw(params, config)]
    hidden: list[nn.Parameter] = list(model.hidden_matrices())
    mine = {id(p) for p in hidden}
    rest = _adamw([p for p in params if id(p) not in mine], config)
    if not hidden:
        return [rest]
    rate, decay = config.muon_learning_rate, config.weight_decay
    return [rest, Muon(hidden, model.stacked, rate, decay, config.muon_momentum, precision)]


def _adamw(params: ParamsT, config: TrainConfig) -> Optimizer:
    betas = (0.9, config.beta2)
    return AdamW(params, lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay, fused=True)


def orthogonalise(matrices: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """Replace the singular values of matrices (K, m, n), m ≤ n, by values near 1; singular vectors stay.

    Three steps of an odd polynomial in each matrix, whose coefficients push all singular values towards 1 at once,
    multiplied in the given precision.
    """
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)  # (K, m, n) singular values below 1
    x = x.to(precision)  # (K, m, n) only now: float16 could not hold the norm of large gradients
    for a, b, c in POLAR_EXPRESS:
        gram = x @ x.mT  # (K, m, m)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)  # (K, m, n) (a + bG + cG²) x
    straight: Tensor = x.to(matrices.dtype)  # (K, m, n)
    return straight


class Muon(Optimizer):
    """Momentum whose update is made orthogonal, for the matrices between hidden layers (Jordan et al. 2024).

    All matrices of one shape are orthogonalised together. A weight that holds several matrices one above another
    (queries, keys and values) is taken apart for it: `stacked` says how many each weight holds.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        stacked: Callable[[nn.Parameter], int],
        lr: float,
        weight_decay: float,
        momentum: float,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(list(params), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.stacked, self.precision = stacked, precision

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix once along its orthogonalised momentum, by `lr` · sqrt(max(1, rows / columns))."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            grads, velocities = [weight.grad for weight in weights], [self._velocity(weight) for weight in weights]
            torch._foreach_lerp_(velocities, grads, 1 - group["momentum"])
            updates = torch._foreach_lerp(grads, velocities, group["momentum"])  # Nesterov: look where it is going
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight, update in zip(weights, updates, strict=True):
                parts = self.stacked(weight)
                for piece, change in zip(weight.chunk(parts), update.chunk(parts), strict=True):
                    alike[piece.shape].append((piece, change))
            for (rows, columns), members in alike.items():
                pieces, changes = zip(*members, strict=True)
                together = torch.stack(changes)  # (K, rows, columns)
                if rows > columns:
                    straight = orthogonalise(together.mT, self.precision).mT.contiguous()  # (K, rows, columns)
                else:
                    straight = orthogonalise(together, self.precision)  # (K, rows, columns)
                rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
                torch._foreach_add_(pieces, straight.unbind(), alpha=-rate)

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity: Tensor = state["momentum_buffer"]
        return velocity
