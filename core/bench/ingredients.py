"""What each ingredient of the quick recipe is worth: the preset `seconds` without it, against the preset itself."""

import statistics
from collections.abc import Mapping
from typing import Any

from core.bench.train import PRESETS, trainer_of
from core.evaluation import evaluate
from core.ladder.registry import RUNGS
from core.runs import plan
from core.texts.corpus import load as load_corpus
from core.training import devices

WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "optimizer": {"train.optimizer": "adamw", "train.learning_rate": 0.005},
    "positions": {"model.positions": "learned"},
    "smear": {"model.smear": False},
    "trigrams": {"model.trigrams": 0},
    "activation": {"model.activation": "relu"},
    "start": {"model.start": "gpt2"},
    "short_first": {"train.short_first": 0.0},
    "cooldown": {"train.cooldown": 0.0},
    "muon_momentum": {"train.muon_momentum": 0.95},
    "beta2": {"train.beta2": 0.999},
}
"""By setting: what takes the ingredient out. AdamW is given the best of the rates tried for it."""


def ingredients(seeds: int) -> list[dict[str, Any]]:
    """Train the preset with all ingredients, then without each, on the same seeds.

    A row for each: how, its mean loss over the whole validation split, and what the ingredient is `worth`: the mean
    difference from the full recipe on the same seed, in nats a character, with its standard error if there are several.
    """
    devices.limit_threads()
    full = [_loss({}, seed) for seed in range(seeds)]
    rows = [{"ingredient": "all", "without": "", "val_loss": statistics.mean(full)}]
    for name, changes in WITHOUT.items():
        losses = [_loss(changes, seed) for seed in range(seeds)]
        gains = [loss - base for loss, base in zip(losses, full, strict=True)]
        error = statistics.stdev(gains) / seeds**0.5 if seeds > 1 else None
        told = ", ".join(f"{key} {value}" for key, value in changes.items())
        rows.append(
            {
                "ingredient": name,
                "without": told,
                "val_loss": statistics.mean(losses),
                "worth": statistics.mean(gains),
                "standard_error": error,
            }
        )
    return rows


def _loss(changes: Mapping[str, Any], seed: int) -> float:
    """Train the preset with some settings changed and return its loss over the whole validation split."""
    model_config, train_config = RUNGS["transformer"].settings(PRESETS["cpu"], *plan.split_settings(changes))
    trainer = trainer_of(train_config.model_copy(update={"seed": train_config.seed + seed}), model_config)
    trainer.model.train()
    for _ in range(train_config.steps):
        trainer.step()
    return evaluate(trainer.model, load_corpus().val_ids).loss
