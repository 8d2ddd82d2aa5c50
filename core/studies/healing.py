"""Does it heal? A model is trained on with some heads off for good, beside an untouched twin on the same batches."""

import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from core.errors import BardlabError
from core.inspect.evaluation_set import evaluation_set
from core.inspect.interventions import ablation
from core.models.contract import LanguageModel
from core.models.footprint import weightless
from core.runs import beginnings, checkpoints, editing, records
from core.runs.state import Run
from core.texts.corpus import load as load_corpus
from core.training.wounds import Wound

EVALUATIONS = 10
"""Along a healing, of both runs."""
METHOD: ablation.Method = "zero"
"""How parts are off throughout, and how heads are priced before and after."""


@dataclass(frozen=True)
class Healing:
    """A wounded run and its twin."""

    wounded: Run
    twin: Run

    @property
    def off(self) -> tuple[str, ...]:
        """What is off in the wounded one."""
        return self.wounded.need().off


@dataclass(frozen=True)
class Takeover:
    """What one head is worth, in nats a character: when the others went, after healing, and in the twin."""

    key: str
    before: tuple[float, float]
    after: tuple[float, float]
    twin: tuple[float, float]
    """Each with its standard error."""

    @property
    def more(self) -> tuple[float, float]:
        """By how much it is worth more than in the twin, which has learned as long; and the standard error."""
        return self.after[0] - self.twin[0], math.hypot(self.after[1], self.twin[1])


def make(run: Run, step: int | None, keys: Sequence[str], steps: int, share: float = 0.3) -> Healing:
    """Make the two runs, not started: they begin with the same weights, see the same batches at the same rate.

    `share` of the run's learning rate, constant after a short warm-up, both with a fresh optimiser. Raises BardlabError
    if the parts cannot be kept off, or the run has no such weights.
    """
    beginnings.check(run)
    editing.check_room(2)
    if not keys:
        raise BardlabError("nothing is switched off; choose heads on the board")
    model, _ = checkpoints.load_model(run, step)
    Wound(model, keys)
    told = run.need().train
    train = {
        "learning_rate": told.learning_rate * share,
        "muon_learning_rate": max(1e-4, told.muon_learning_rate * share),
        "warmup": steps // 10,
        "cooldown": 0.0,
        "short_first": 0.0,
        "eval_every": max(1, steps // EVALUATIONS),
        "snapshots": EVALUATIONS + 1,
    }
    plan = beginnings.plan(run, steps, step=step, train=train)
    state = beginnings.carried(model, run.need(), load_corpus(plan.corpus))
    shared, off = secrets.token_hex(6), tuple(dict.fromkeys((*plan.off, *keys)))
    without = ", ".join(off[:4]) + (f" and {len(off) - 4} more" if len(off) > 4 else "")
    names = f"{run.name[:60]} without {without}", f"{run.name[:60]}, twin of one without {without}"
    plans = [
        plan.model_copy(update={"heals": shared, "off": heads, "title": name[:120]})
        for heads, name in zip((off, plan.off), names, strict=True)
    ]
    return Healing(*(beginnings.create(each, state) for each in plans))


def healings(among: Iterable[Run]) -> list[Healing]:
    """Return the pairs of which both runs are there, in the order of the wounded ones."""
    found: dict[str, list[Run]] = {}
    for run in among:
        if run.config and run.config.heals and not run.damage:
            found.setdefault(run.config.heals, []).append(run)
    pairs = (sorted(runs, key=lambda run: len(run.need().off)) for runs in found.values() if len(runs) == 2)
    return [Healing(more, less) for less, more in pairs if set(more.need().off) > set(less.need().off)]


def losses_apart(healing: Healing) -> list[tuple[int, float]]:
    """Return (step, validation loss of the wounded minus the twin's) at every evaluation that both have made."""
    twin = dict(records.validation_curve(healing.twin.path))
    return [(step, loss - twin[step]) for step, loss in records.validation_curve(healing.wounded.path) if step in twin]


def gap(healing: Healing, step: int | None) -> tuple[float, float]:
    """Return what sets the wounded's loss apart from the twin's on the same windows, and its standard error.

    At the weights of a snapshot, or the newest. Raises BardlabError if one of them lacks these.
    """
    corpus = load_corpus(healing.twin.need().corpus)
    sums, counts = [], None
    for run in (healing.wounded, healing.twin):
        model: LanguageModel = checkpoints.load_model(run, step)[0]
        data = evaluation_set(model, corpus)
        per_window: Tensor = ablation.losses(model, data).double().sum(1)  # (W,)
        sums.append(per_window.numpy())
        counts = data.counts().sum(1)
    if counts is None:
        raise BardlabError("there is no healing to look at; start one")
    return ablation.mean_and_se(sums[0] - sums[1], counts)


def heads(run: Run) -> list[str]:
    """Return the addresses of the parts of a run's model that can be kept off."""
    config = run.need()
    with weightless():
        model = config.rung.build(config.model_config_, len(config.characters))
    return [part.key for part in model.parts() if part.speaks]


def verdict(found: Sequence[Takeover], first: tuple[float, float], last: tuple[float, float]) -> str:
    """Say in a sentence or two how much of a wound has healed, and which heads took over, with what is not known."""
    healed = f"The wound cost {first[0]:.4f} nats a character at the start and {last[0]:.4f} ± {last[1]:.4f} at the end"
    if first[0] > 2 * first[1]:
        healed += f": {1 - last[0] / first[0]:.0%} of it has healed, against a twin that learned as long"
    sure = [one for one in found if one.more[0] > 2 * one.more[1]]
    if not found:
        return f"{healed}."
    if not sure:
        return f"{healed}. No head is worth more than in the twin by two standard errors: many took over, or none."
    named = ", ".join(f"head {one.key} ({one.more[0]:+.4f} ± {one.more[1]:.4f})" for one in sure[:3])
    return (
        f"{healed}. Worth more than in the twin by over two standard errors: {named}. One pair of runs; of "
        f"{len(found)} heads looked at, about {0.023 * len(found):.1f} would be so by chance."
    )
