"""Find the fault: ten trainings, each broken in one way, and what of each is seen on its plots.

What goes wrong stands in core/training/sabotages.py; here, which small training it is done to, why it shows what it
shows, and what one would see if a guess were right. Every number in these sentences is read off the run at hand.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.errors import BardlabError
from core.jobs import control
from core.runs import owners, plan
from core.runs.state import Run, RunConfig
from core.studies.course.signs import Inside, Signs

Plot = Literal["losses", "gradients", "updates", "layers", "again"]
"""What shows it: losses, the norm of gradients, the size of steps, the layers, a second measurement."""

FAST = dict(steps=400, batch_size=16, window=64, eval_every=50, learning_rate=3e-3, sample_chars=80, snapshots=5)
"""How most of them are trained: seconds on one core."""
DEEP = dict(steps=250, batch_size=8, window=64, eval_every=50, learning_rate=3e-3, sample_chars=80, snapshots=5)
MANY = 100.0
"""Beyond so much there is no use in digits."""


@dataclass(frozen=True)
class Fault:
    """One broken training."""

    key: str
    """Its name in core/training/sabotages.py."""
    title: str
    """What a learner chooses."""
    plot: Plot
    """What shows it."""
    reason: str
    """Why it shows what it shows, in two sentences."""
    look: Callable[[Signs, Inside | None], str]
    """What would be seen if this were the fault, and what is seen: a hint to whoever believes it."""
    rung: str = "mlp"
    model: Mapping[str, Any] = field(default_factory=lambda: {"d_hidden": 128})
    train: Mapping[str, Any] = field(default_factory=lambda: FAST)
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model by which the fault itself is made, if it is made by any."""

    def config(self, *, whole: bool = False, number: int = 0) -> RunConfig:
        """Plan the broken training, or the same one `whole`; a broken one is called by its number on the shelf."""
        model = {**self.model, **({} if whole else self.changes)}
        planned = plan.plan(self.rung, model=model, train=self.train)
        if whole:
            return planned
        return planned.model_copy(update={"fault": self.key, "title": f"broken training {number}"})


def n(value: float) -> str:
    """A number as it stands in a sentence."""
    return f"{value:,.0f}" if abs(value) >= MANY else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.1g}"


def _rate(s: Signs, _: Inside | None) -> str:
    return (
        "With far too large a rate, the very first step changes a matrix by many times its own size, and the training "
        f"loss jumps about instead of falling. Here the first step changed one by {n(s.jump)} times its size at most, "
        f"and the training loss went from {n(s.first)} to {n(s.train)}."
    )


def _start(s: Signs, i: Inside | None) -> str:
    seen = f" and {i.saturated:.0%} of the most saturated tanh layer passes no gradient" if i else ""
    return (
        f"Weights that begin too large are wrong already before the first step: a loss above blind guessing, "
        f"{n(s.chance)}, and units that are saturated. Here the loss before the first step is {n(s.first)}{seen}."
    )


def _no_norm(s: Signs, i: Inside | None) -> str:
    seen = f" is {n(i.spread)} times that in the first" if i else " cannot be read yet"
    return (
        "Without normalisation in a deep stack, activations grow or shrink from layer to layer from the start. Here "
        f"their size in the last hidden layer{seen} before any step."
    )


def _off(s: Signs, _: Inside | None) -> str:
    return (
        "With targets one place off the model does learn, but something else: the training loss falls steadily, the "
        f"validation loss stands above it from the first evaluation on and rises. Here the training loss ends at "
        f"{n(s.train)}; the validation loss was {n(s.val_first)} at first and is {n(s.val)}."
    )


def _leak(s: Signs, _: Inside | None) -> str:
    return (
        "A model that reads its targets has nothing to predict: the training loss goes to zero, and without the leak "
        f"it is worse than blind guessing, {n(s.chance)}, at every evaluation. Here the training loss ends at "
        f"{n(s.train)}, and the validation loss was {n(s.val_lowest)} at its lowest."
    )


def _same(s: Signs, _: Inside | None) -> str:
    return (
        "One batch again and again is learned by heart: the training loss and the gradient go to zero. The validation "
        f"loss gains a little first, below blind guessing, {n(s.chance)}, and then rises. Here the training loss ends "
        f"at {n(s.train)}, the gradient went from {n(s.norm_first)} to {n(s.norm_last)}, and the validation loss from "
        f"{n(s.val_first)} to {n(s.val)}."
    )


def _kept(s: Signs, _: Inside | None) -> str:
    return (
        "Gradients that add up grow from step to step, for as long as the run lasts. Here the norm of the gradient was "
        f"{n(s.norm_first)} at first and is {n(s.norm_last)}."
    )


def _dropout(s: Signs, i: Inside | None) -> str:
    seen = f"reported {n(i.reported)}, measured again {n(i.again)}" if i else "the weights are not saved yet"
    return (
        "With dropout left on, the validation loss is that of a crippled model: the same weights, measured again "
        f"without it, do clearly better. Here: {seen}."
    )


def _inside(s: Signs, i: Inside | None) -> str:
    seen = f" Measured again on all of the validation text, the same weights have {n(i.again)}." if i else ""
    return (
        "If the validation text lies in the training text, the validation loss falls with the training loss below what "
        f"so small a model can reach. Here it is {n(s.val)}, with {n(s.train)} in training.{seen}"
    )


def _dead(s: Signs, i: Inside | None) -> str:
    seen = f", and {i.dead:.0%} of the units of the most silent layer are dead" if i else ""
    return (
        "Behind a layer that never answers, nothing is known of the input, and no gradient comes back to the layers "
        f"before it. Here the quietest layer, {s.quiet_layer}, gets {n(s.quietest)} of the gradient of the "
        f"loudest{seen}."
    )


DECLARED = (
    Fault(
        "rate",
        "The learning rate is 100 times too high",
        "updates",
        "Every step overshoots: it changes whole matrices by as much as they hold, so that the next gradient points "
        "somewhere else. The loss jumps about near or above blind guessing, however long one waits.",
        _rate,
    ),
    Fault(
        "start",
        "The weights begin 10 times too large",
        "layers",
        "Sums that are ten times too large push every tanh to its ends, where it is flat and passes no gradient. What "
        "can still learn is the rest, and a step that was right for small weights hardly moves large ones.",
        _start,
    ),
    Fault(
        "no-norm",
        "No normalisation, 32 layers deep",
        "layers",
        "Each layer hands on what it gets a little larger or smaller, and 32 layers multiply that. Normalisation "
        "before every layer would bring each back to the same size.",
        _no_norm,
        "residual",
        dict(context=8, depth=32, width=48, d_embed=16, skip=0.8),
        DEEP,
        {"norm": False},
    ),
    Fault(
        "off-by-one",
        "The targets are one place off",
        "losses",
        "The model is taught to name the character after the next one, and does so as well as that can be done. "
        "Evaluation asks for the next one, for which it was never trained.",
        _off,
    ),
    Fault(
        "leak",
        "The targets leak into the input",
        "losses",
        "The input already holds the character that is asked for, so the model learns to copy. Evaluation does not "
        "hand it over, and a copy of the last character is nearly always wrong.",
        _leak,
    ),
    Fault(
        "same-batch",
        "The batch never changes",
        "losses",
        "A few sequences are seen again and again until they are known by heart, and then there is no gradient left. "
        "What they share with all text is learned in the first steps; the rest is noise to any other text.",
        _same,
    ),
    Fault(
        "gradients-kept",
        "The gradients are never cleared",
        "gradients",
        "Each step follows the sum of all gradients since the first, which no longer points down from where the model "
        "is. The sum grows with every step, and the weights swing past every valley.",
        _kept,
    ),
    Fault(
        "dropout-on",
        "Dropout is left on in evaluation",
        "again",
        "The loss that is shown is that of a model with most of its units switched off at random. The weights are "
        "fine: measured again without dropout they do better than the curve has ever said.",
        _dropout,
        model={"d_hidden": 128, "dropout": 0.6},
    ),
    Fault(
        "validation-inside",
        "The validation text is inside the training text",
        "again",
        "Both texts are short here so that it shows in seconds: the model learns the passages by heart on which it is "
        "judged. On text that it has not seen it is as helpless as any model that has memorised.",
        _inside,
        model={"d_hidden": 256},
        train={**FAST, "steps": 600, "eval_every": 75},
    ),
    Fault(
        "dead-layer",
        "One layer is dead",
        "gradients",
        "The units of one layer are below zero whatever comes in, so a ReLU hands on nothing: the layers behind it "
        "learn only how frequent each character is. Its slope is zero too, so no gradient passes to the layers before.",
        _dead,
        "residual",
        dict(context=8, depth=6, width=48, d_embed=16, skip=0.0),
        DEEP,
    ),
)
FAULTS: Mapping[str, Fault] = {fault.key: fault for fault in DECLARED}


def get(key: str) -> Fault:
    """Return a fault. Raises BardlabError if there is none of that name."""
    if key not in FAULTS:
        raise BardlabError(f"there is no fault {key[:60]!r}; choose one of {', '.join(FAULTS)}")
    return FAULTS[key]


def broken_run(fault: Fault, among: Iterable[Run]) -> Run | None:
    """The newest run that was broken in this way, as it is declared now."""
    return _alike(fault.config(), among)


def whole_run(fault: Fault, among: Iterable[Run]) -> Run | None:
    """The newest run of the same settings and seed that was left whole."""
    return _alike(fault.config(whole=True), among)


def _alike(wanted: RunConfig, among: Iterable[Run]) -> Run | None:
    same = {"rung_key", "model", "train", "corpus_sha256", "fault"}
    asked = wanted.model_dump(include=same, by_alias=False)
    for run in among:
        if run.config and not run.damage and run.config.model_dump(include=same, by_alias=False) == asked:
            return run
    return None


def start(fault: Fault, among: Iterable[Run], *, whole: bool = False, number: int = 0) -> Run:
    """Start the training, or go on with the one that is there. Raises BardlabError if that cannot be."""
    config = fault.config(whole=whole, number=number)
    mine = [run for run in among if owners.acting().owns(run.owner)]
    there = _alike(config, mine)
    if there is not None and (there.state.active or there.status.step >= there.status.of > 0):
        return there
    return control.begin(config) if there is None else control.start(there)
