"""Muon beats AdamW; rotary beats learned positions."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from core.runs import metrics, records
from core.runs.state import Run
from core.studies.claims.claim import Arm, Claim, Criterion, Figures, Picture, Point, Series, Values
from core.studies.claims.figuring import PAIRED, curve, mean_and_half, over_seeds

STEPS = 240
MODEL = dict(n_layer=2, n_head=4, d_model=64, context=64, dropout=0.0)
TRAIN = dict(steps=STEPS, batch_size=8, eval_every=40, warmup=10, sample_chars=0, snapshots=2)
MUON = dict(optimizer="muon", learning_rate=5e-3)
ARMS = (
    Arm("both", "Muon, rotary", "transformer", dict(positions="rotary", **MODEL), {**TRAIN, **MUON}),
    *(
        Arm(
            f"adamw{rate:g}",
            f"AdamW at {rate:g}, rotary",
            "transformer",
            dict(positions="rotary", **MODEL),
            {**TRAIN, "optimizer": "adamw", "learning_rate": rate},
        )
        for rate in (2e-3, 5e-3)
    ),
    Arm("learned", "Muon, learned positions", "transformer", dict(positions="learned", **MODEL), {**TRAIN, **MUON}),
)

ADAMW = tuple(arm.key for arm in ARMS if arm.key.startswith("adamw"))
TITLES = {("both", ADAMW[0]): "Muon minus AdamW at its better rate", ("both", "learned"): "rotary minus learned"}


def _measure(run: Run) -> Values:
    """The validation loss at each evaluation, and the seconds that had passed by then."""
    losses = records.validation_curve(run.path)
    read = metrics.MetricsReader(run.path).refresh()
    steps, seconds = read.curve(metrics.SECONDS)
    found = {f"loss@{step:g}": loss for step, loss in losses}
    at: Sequence[float] = np.interp([step for step, _ in losses], steps, seconds).tolist() if len(steps) else []
    return found | {f"seconds@{step:g}": float(second) for (step, _), second in zip(losses, at, strict=True)}


def _at_equal_seconds(new: str, old: str, arms: Mapping[str, Values]) -> float:
    """What `new` has more loss than `old`, when the one that is done first ends; between evaluations, interpolated."""
    paths = {}
    for arm in (new, old):
        values = arms[arm]
        steps = sorted(float(name.partition("@")[2]) for name in values if name.startswith("loss@"))
        paths[arm] = [values[f"seconds@{s:g}"] for s in steps], [values[f"loss@{s:g}"] for s in steps]
    end = min(paths[new][0][-1], paths[old][0][-1])
    return float(np.interp(end, *paths[new]) - np.interp(end, *paths[old]))


def _at_equal_steps(new: str, old: str, arms: Mapping[str, Values]) -> float:
    """What `new` has more loss than `old` after the last step."""
    return arms[new]["loss"] - arms[old]["loss"]


def _than_any(of: Callable[[str, str, Mapping[str, Values]], float], new: str, olds: Sequence[str]) -> Criterion:
    """What `new` has more loss than the best of several, by whichever measure."""
    title, how = TITLES[new, olds[0]], "steps" if of is _at_equal_steps else "seconds"
    number = over_seeds(lambda arms: max(of(new, old, arms) for old in olds), PAIRED)
    return Criterion(f"validation loss at equal {how}, {title}", number, below=-0.01)


def _picture(figures: Figures) -> Picture:
    series = []
    for arm in ARMS:
        seconds = dict(curve(figures, arm.key, "seconds"))
        found = [(seconds.get(x), ys) for x, ys in curve(figures, arm.key, "loss") if x]
        points = tuple(Point(sum(at) / len(at), *mean_and_half(ys)) for at, ys in found if at)
        series.append(Series(arm.title, points))
    return Picture("seconds of training", "validation loss (nats per character)", tuple(series))


CLAIM = Claim(
    key="modern",
    title="Muon beats AdamW, rotary beats learned positions",
    year=2024,
    paper="Jordan et al. (2024), Muon; Su et al. (2021), RoFormer: enhanced transformer with rotary position embedding",
    paper_url="https://arxiv.org/abs/2104.09864",
    sentence=(
        "Orthogonalised updates of the hidden matrices reach a loss in fewer steps than AdamW, at little more time a "
        "step. Positions told by turning queries and keys serve better than learned vectors."
    ),
    compared=(
        "A small Transformer with Muon and rotary positions, against its twins with AdamW (at two rates, of which the "
        "better one counts) and with learned positions: after equal steps, and after equal seconds. The learning rate "
        "is constant, so that every moment is as good as an end."
    ),
    arms=ARMS,
    criteria=tuple(
        _than_any(of, "both", olds) for olds in (ADAMW, ("learned",)) for of in (_at_equal_steps, _at_equal_seconds)
    ),
    measure=_measure,
    picture=_picture,
    thoughts=(
        "Seconds are those of the wall clock: what else the machine does while a run trains makes the comparison at "
        "equal seconds rougher than the one at equal steps. What ships was measured on a busy machine."
    ),
)
