"""What a run is called that nobody has named: its rung, and what was chosen otherwise than its preset has it."""

from core.ladder.rung import Rung
from core.settings import Settings, shown
from core.training.config import TrainConfig

MOST = 3
"""Settings that are told; of more, how many they are."""
LONGEST_VALUE = 16
SEED = "train.seed"
UNTOLD = ("train.eval_every", "train.prompt", "train.sample_chars", "train.snapshots")
"""What is looked at and kept along the way, which makes no other model."""


def title(rung: Rung, preset: str | None, model: Settings, train: TrainConfig) -> str:
    """Return a run's title, such as `mlp dropout 0.2, seed 1338`, or `mlp good` of a preset that is not the first."""
    changed = {name: value for name, value in rung.changes(preset, model, train).items() if name not in UNTOLD}
    seed = [f"seed {changed.pop(SEED)}"] if SEED in changed else []
    settings = [f"{name.partition('.')[2]} {shown(value)[:LONGEST_VALUE]}" for name, value in changed.items()]
    more = [f"{len(settings) - MOST} more"] if len(settings) > MOST else []
    usual = preset is None or preset == rung.default_preset
    parts = ([] if usual else [rung.title_of_preset(preset or "")]) + settings[:MOST] + more + seed
    return " ".join(filter(None, [rung.key, ", ".join(parts)]))
