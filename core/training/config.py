"""The settings of a training run, the same for every rung."""

from typing import Annotated, Literal

from pydantic import Field

from core.settings import DEVICE, LONGEST_TEXT, Settings, setting, worth

Device = Annotated[str, Field(pattern=f"^({DEVICE})$")]
"""What a run may ask for: a kind of device, or one of several GPUs by its number."""


SPREAD = frozenset({"devices"})
"""Settings that say where a run is computed and not what: other values of them give the same figures."""


class TrainConfig(Settings):
    """How a model is trained; the same for every rung of the ladder."""

    steps: int = setting(
        1000,
        "Optimiser steps. Each takes one batch, computes the loss and its gradient, and moves every weight once.",
        ge=1,
        le=100_000,
        ticks=(50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000),
    )
    batch_size: int = setting(
        32,
        "Sequences a step. More give a less noisy gradient and cost more time a step.",
        ge=1,
        le=1024,
        ticks=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024),
    )
    window: int = setting(
        0,
        "Characters in each training sequence; every position is a prediction. 0 takes the model's own context.",
        ge=0,
        le=1024,
        ticks=(0, 8, 16, 32, 64, 128, 256, 512, 1024),
        advanced=True,
    )
    short_first: float = setting(
        0.0,
        "Share of the run, at its start, trained on shorter sequences: a quarter of the window, then half of it, with "
        "as many more of them. What is near is learned first, and short sequences are cheaper (Press et al. 2021)."
        + worth("0.7 instead of 0, at equal steps,", -0.006, 0.011),
        ge=0.0,
        le=0.9,
        step=0.1,
        advanced=True,
    )
    optimizer: Literal["adamw", "muon", "sgd"] = setting(
        "adamw",
        "How a gradient becomes a step. AdamW scales each weight's step by its own history; Muon orthogonalises the "
        "update of each hidden matrix (AdamW takes the rest); SGD follows the gradient as it is."
        + worth("Muon instead of AdamW at its best rate", 0.241, 0.012),
    )
    learning_rate: float = setting(
        3e-4,
        "The size of a step. Too small learns slowly, too large makes the loss jump or diverge.",
        ge=1e-6,
        le=100.0,
        ticks=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    )
    muon_learning_rate: float = setting(
        0.02,
        "Muon's own step size for the hidden matrices (its updates are orthogonal, so the scale differs from AdamW's). "
        "Used only when the optimiser is Muon.",
        ge=1e-4,
        le=1.0,
        ticks=(0.001, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1),
        advanced=True,
    )
    muon_momentum: float = setting(
        0.95,
        "How long Muon remembers earlier gradients: 0.95 looks back over some 20 steps. Very short runs want less."
        + worth("0.85 instead of 0.95", 0.032, 0.003),
        ge=0.0,
        le=0.99,
        step=0.01,
        advanced=True,
    )
    beta2: float = setting(
        0.999,
        "How long AdamW remembers the size of earlier gradients: 0.999 looks back over some 1,000 steps, 0.99 over "
        "100. Short runs want less (Kingma and Ba 2015)." + worth("0.99 instead of 0.999", -0.003, 0.002),
        ge=0.9,
        le=0.9999,
        ticks=(0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999),
        advanced=True,
    )
    weight_decay: float = setting(
        0.01,
        "Pulls weights towards zero a little at each step, decoupled from the gradient (Loshchilov and Hutter 2019).",
        ge=0.0,
        le=1.0,
        ticks=(0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0),
        advanced=True,
    )
    warmup: int = setting(
        0,
        "Steps over which the learning rate rises from zero; guards the first, wildest gradients.",
        ge=0,
        le=2000,
        step=10,
        advanced=True,
    )
    cooldown: float = setting(
        0.0,
        "Share of the run, at its end, over which the learning rate falls linearly to zero. 0 keeps it constant."
        + worth("0.6 instead of 0", 0.072, 0.008),
        ge=0.0,
        le=1.0,
        step=0.05,
        advanced=True,
    )
    schedule: int = setting(
        0,
        "Steps over which warm-up, cool-down and short sequences are laid out. 0: the whole run. A run that is trained "
        "on keeps the schedule that it began with.",
        ge=0,
        le=100_000,
        ticks=(0, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000),
        advanced=True,
    )
    afterwards: float = setting(
        0.0,
        "Share of the learning rate that holds once a schedule shorter than the run is over. 0: that of the schedule's "
        "last step, which a cool-down has brought close to nothing.",
        ge=0.0,
        le=1.0,
        step=0.05,
        advanced=True,
    )
    grad_clip: float = setting(
        0.0,
        "Scales the whole gradient down when its norm exceeds this. 0 switches it off.",
        ge=0.0,
        le=10.0,
        step=0.1,
        advanced=True,
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "Number format of the matrix products while training; weights and evaluation stay in float32. bfloat16 is "
        "about 1.5 times as fast where the hardware has it; float16 is for older NVIDIA GPUs that lack it, and scales "
        "the loss so that small gradients do not vanish. auto finds out what is there.",
        advanced=True,
    )
    compile: Literal["auto", "off", "on"] = setting(
        "auto",
        "Whether torch.compile fuses the model's operations before the first step. That takes half a minute or more, "
        "the second time some seconds; auto does it on an NVIDIA GPU, where the run's steps gain more than that. A "
        "compiler that fails is told, and training goes on without.",
        advanced=True,
    )
    devices: int = setting(
        1,
        "How many devices compute the run together, each its share of every batch: GPUs, or on a CPU processes that "
        "share its cores. The same batches in the same order, so the same curve to rounding; with dropout the draws "
        "differ. Must divide the sequences of a step.",
        ge=1,
        le=64,
        ticks=(1, 2, 3, 4, 6, 8, 12, 16, 32, 64),
        advanced=True,
    )
    eval_every: int = setting(
        100,
        "Steps between evaluations. Each measures the loss on the whole validation split, writes a sample and saves "
        "the weights.",
        ge=1,
        le=10_000,
        ticks=(10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000),
    )
    sample_chars: int = setting(
        200,
        "Characters written at each evaluation, always from the same prompt and seed.",
        ge=0,
        le=1000,
        step=50,
        advanced=True,
    )
    prompt: str = setting(
        "\n",
        "What each of those samples starts from; a line break by default.",
        longest=LONGEST_TEXT,
        advanced=True,
    )
    snapshots: int = setting(
        20,
        "At most this many copies of the weights are kept along the run, to look back through later.",
        ge=0,
        le=100,
        step=5,
        advanced=True,
    )
    seed: int = setting(
        1337,
        "Fixes the initial weights, the batches and the dropout: same seed, same curve. To the last digit on one CPU; "
        "on a GPU, or with another device, number of threads or version of torch, to rounding, which grows on the way.",
        ge=0,
        le=2**31 - 1,
        step=1,
    )
    patience: int = setting(
        0,
        "Ends the run early when this many evaluations in a row have brought no better validation loss. 0 never does. "
        "The best weights are kept in any case.",
        ge=0,
        le=100,
        step=1,
        advanced=True,
    )
    seconds: int = setting(
        0,
        "Ends the run once it has trained for so many seconds, evaluations included, waiting and pauses not. 0 never "
        "does.",
        ge=0,
        le=86_400,
        ticks=(0, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
        advanced=True,
    )

    @property
    def planned(self) -> int:
        """Steps that the schedule is laid out over."""
        return self.schedule or self.steps
