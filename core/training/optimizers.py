"""Optimisers and the learning-rate schedule, one place for every rung."""

from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.optimizer import ParamsT

from core.models.contract import LanguageModel
from core.training.config import TrainConfig
from core.training.muon import Muon


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
    """Return the factor on the learning rate at `step`: linear warm-up, constant, linear cool-down to zero.

    Once the schedule is over it is `afterwards`, or stays what it was at the schedule's last step.
    """
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    left = config.planned - step
    if left <= 0 and config.afterwards:
        return min(rise, config.afterwards)
    cooling = round(config.planned * config.cooldown)
    fall = min(1.0, max(1, left) / (cooling + 1)) if cooling else 1.0
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
