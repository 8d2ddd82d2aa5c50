"""What differs between runs, findings with their uncertainty, forks and sweeps, power laws."""

import math
from itertools import pairwise

import numpy as np
import pytest

from core.errors import BardlabError
from core.ladder.registry import RUNGS
from core.runs import editing, reading, state
from core.runs import plan as runs_plan
from core.runs.folder import State
from core.runs.state import Run
from core.studies import differences, findings, scaling, sweeps
from core.texts import own as texts_own
from tests.conftest import make_run


def ended(run: Run, loss: float | None, seconds: float = 10.0) -> Run:
    """Make a run look as if it had finished with this loss."""
    update = {"state": State.FINISHED, "val_loss": loss, "seconds": seconds, "device": "cpu"}
    state.write_status(run.path, run.status.model_copy(update=update))
    return reading.read(run.path)


def test_only_what_differs_is_shown():
    base, other = make_run("transformer"), make_run("transformer", learning_rate=0.01, seed=7)

    assert differences.differences([base, other]) == {"train.learning_rate": [0.001, 0.01], "train.seed": [1337, 7]}
    assert differences.against(other, base) == (
        f"learning_rate 0.001 → 0.01, seed 1337 → 7, everything else as in {base.name}"
    )
    assert differences.against(make_run("bigram"), base) == f"another rung than {base.name}: Transformer → Bigram"
    assert "the same settings" in differences.against(make_run("transformer"), base)


def test_a_fork_locks_all_else_and_the_seed(taken: list[Run]):
    base = make_run("transformer")
    (plan,) = sweeps.fork(base, {"model.n_head": 4})
    (made,) = sweeps.start([plan])

    assert differences.differences([base, made]) == {"model.n_head": [2, 4]}
    assert made.need().parent == base.slug and taken == [made]
    assert differences.against_parent(made) == f"n_head 2 → 4, everything else as in {base.name}"
    editing.delete(ended(base, 2.0))
    assert "no longer here" in (differences.against_parent(made) or "")


def test_every_seed_gets_a_twin_and_nothing_is_planned_twice(taken: list[Run]):
    base = ended(make_run("transformer"), 2.0)
    plans = sweeps.fork(base, {"model.n_head": "4"}, seeds=3)

    assert sorted((p.model["n_head"], p.train.seed) for p in plans) == [
        (2, 1338), (2, 1339), (4, 1337), (4, 1338), (4, 1339),
    ]  # fmt: skip
    made = [ended(run, 2.0) for run in sweeps.start(plans)]
    with pytest.raises(BardlabError, match="there already"):
        sweeps.fork(base, {"model.n_head": 4}, seeds=3)
    assert len(sweeps.fork(base, {"model.n_head": 4}, seeds=4)) == 2
    assert [len(family) for family in differences.families([base, *made])] == [3, 3]


@pytest.mark.parametrize(
    ("changes", "seeds", "reason"),
    [
        ({}, 1, "nothing would change"),
        ({"model.n_head": 2}, 1, "nothing would change"),
        ({"train.seed": 3}, 1, "seed stays"),
        ({"model.n_head": 3}, 1, "model.n_head 3"),
        ({"model.heads": 3}, 1, "no such setting"),
        ({"n_head": 4}, 1, "unknown setting"),
        ({"model.n_head": 4}, 0, "give 1 to 10"),
    ],
)
def test_forks_that_cannot_be_are_refused(changes: dict[str, object], seeds: int, reason: str):
    with pytest.raises(BardlabError, match=reason):
        sweeps.fork(make_run("transformer"), changes, seeds)


def seeded(head: int, losses: list[float], seconds: float = 10.0, text: str = "tinyshakespeare") -> list[Run]:
    """Finished runs that differ in nothing but the seed."""
    made = []
    for i, loss in enumerate(losses):
        model = {"n_layer": 1, "n_head": head, "d_model": 8, "context": 8}
        plan = runs_plan.plan("transformer", model=model, train={"seed": i}, device="cpu", corpus_name=text)
        made.append(ended(editing.create(plan), loss, seconds))
    return made


def test_a_finding_is_the_paired_t_interval():
    """Seed by seed -0.02, -0.03, -0.04: mean -0.03, t(2, 0.975) = 4.303, s = 0.01, half width 0.0248."""
    old, new = seeded(4, [2.00, 2.10, 2.20]), seeded(8, [1.98, 2.07, 2.16], seconds=14.0)
    (finding,) = findings.findings([*new, *old])  # the oldest family is the base

    assert finding.mean == pytest.approx(-0.03) and finding.seeds == (0, 1, 2)
    assert finding.half_width == pytest.approx(4.30265 * 0.01 / math.sqrt(3), rel=1e-4)
    assert finding.trusted
    assert finding.sentence == "n_head 4 → 8: −0.030 ± 0.025 nats over 3 seeds; 1.4 times slower"


def test_what_may_be_chance_is_said_to_be():
    old = seeded(4, [2.00, 2.10, 2.20])
    (unsure,) = findings.findings([*old, *seeded(8, [1.95, 2.12, 2.18], seconds=5.0)])
    (single,) = findings.findings([old[0], *seeded(2, [1.5])])

    assert not unsure.trusted
    assert unsure.sentence.startswith("n_head 4 → 8: no difference you can trust (−0.017 ± 0.087 nats over 3 seeds)")
    assert unsure.sentence.endswith("2.0 times faster")
    assert not single.trusted and "one seed, which proves nothing yet" in single.sentence


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Over 4,000 draws of three normal differences, the 95 % interval holds the true mean in 95 % of them."""
    random = np.random.default_rng(0)
    draws = random.normal(0.3, 1.0, (4000, 3))
    holds = sum(abs(row.mean() - 0.3) <= findings.half_width(row.tolist()) for row in draws)

    assert 0.94 < holds / len(draws) < 0.96


def test_losses_on_different_texts_are_never_compared():
    own = texts_own.add(b"to be or not to be, that is the question\n" * 100, "Short")
    here, there = seeded(4, [2.0, 2.1]), seeded(4, [1.0, 1.1], text=own.name)
    table = findings.table([*here, *there])

    assert findings.findings([*here, *there]) == [] and table["val_loss"] == {} and table["findings"] == []
    assert table["differences"]["text"] == ["tinyshakespeare"] * 2 + [own.name] * 2
    assert "text Tiny Shakespeare → Short" in differences.against(there[0], here[0])


def test_unfinished_and_unmeasured_runs_are_left_out():
    old, new = seeded(4, [2.0, 2.1]), seeded(8, [1.9, 2.0])
    broken = ended(new[1], None)

    (finding,) = findings.findings([*old, new[0], broken])
    assert finding.seeds == (0,)
    assert findings.findings([*old, broken]) == []


# --- sweeps ----------------------------------------------------------------------------------------------------------


def test_a_grid_takes_every_combination(taken: list[Run]):
    rung = RUNGS["transformer"]
    axes = [sweeps.axis(rung, "model.n_layer=1,2"), sweeps.axis(rung, "train.learning_rate=1e-3, 1e-2,1e-1")]
    plans = sweeps.sweep("transformer", axes, preset="seconds", train={"steps": 5})
    made = sweeps.start(plans)

    assert [(p.model["n_layer"], p.train.learning_rate) for p in plans] == [
        (n, r) for n in (1, 2) for r in (1e-3, 1e-2, 1e-1)
    ]
    assert {p.train.steps for p in plans} == {5} and len({p.group for p in plans}) == 1
    assert taken == made and sweeps.swept(made) == ["model.n_layer", "train.learning_rate"]
    (group,) = sweeps.groups(reading.list_runs()).values()
    assert [run.slug for run in group] == [run.slug for run in sorted(made, key=lambda r: r.need().created)]


def test_a_search_covers_its_ranges():
    """Eight points of a Sobol sequence: one in each eighth of the range, on a logarithmic scale."""
    rung = RUNGS["transformer"]
    axis = sweeps.axis(rung, "train.learning_rate=1e-4,1")
    points = sweeps.points(rung, [axis], "search", 8)
    eighths = sorted(int(2 * (4 + math.log10(point["train.learning_rate"]))) for point in points)

    assert eighths == list(range(8))
    assert sweeps.points(rung, [axis], "search", 8) == points
    heads = sweeps.points(rung, [sweeps.axis(rung, "model.n_head=1,8")], "search", 5)
    assert all(isinstance(p["model.n_head"], int) and 1 <= p["model.n_head"] <= 8 for p in heads)
    kinds = sweeps.points(rung, [sweeps.axis(rung, "train.optimizer=adamw,muon,sgd")], "search", 3)
    assert {p["train.optimizer"] for p in kinds} <= {"adamw", "muon", "sgd"}


def test_points_that_contradict_the_model_are_left_out():
    axes = [sweeps.axis(RUNGS["transformer"], "model.n_head=1,2,3,4")]
    plans = sweeps.sweep("transformer", axes, preset="seconds")

    assert [p.model["n_head"] for p in plans] == [1, 2, 4]


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        (["model.heads=1,2"], "no setting"),
        (["model.n_head"], "has no values"),
        (["model.n_head=4"], "take 2 to 36"),
        (["model.n_head=x,y"], "model.n_head"),
        (["model.n_head=1,2,x"], "model.n_head: x is not accepted; give a whole number"),
        (["train.learning_rate=1e-3,1e-2,1e9"], "train.learning_rate: 1e9 is not accepted"),
        (["model.n_head=1,2", "model.n_head=4,8"], "two different settings"),
        (["train.seed=" + ",".join(map(str, range(40)))], "would be 40 runs"),
        ([], "one or two different settings"),
    ],
)
def test_sweeps_that_cannot_be_are_refused(over: list[str], reason: str):
    with pytest.raises(BardlabError, match=reason):
        sweeps.sweep("transformer", [sweeps.axis(RUNGS["transformer"], each) for each in over], preset="seconds")
    assert reading.list_runs() == []


# --- loss against cost -----------------------------------------------------------------------------------------------


def test_a_power_law_is_found_again():
    xs = [10.0**k for k in range(3, 9)]
    fit = scaling.power_law(xs, [5 * x**-0.08 for x in xs])

    assert fit is not None
    assert fit.exponent == pytest.approx(0.08) and fit.factor == pytest.approx(5) and fit.uncertainty < 1e-6
    assert fit.at(1e5)[0] == pytest.approx(5 * 1e5**-0.08)


def test_its_interval_grows_with_the_scatter_and_away_from_the_middle():
    random = np.random.default_rng(1)
    xs = [10.0**k for k in range(3, 9)]
    fits = [
        scaling.power_law(xs, [5 * x**-0.08 * math.exp(scatter * random.normal()) for x in xs])
        for scatter in (0.001, 0.01, 0.1)
    ]

    assert all(a is not None and b is not None and a.uncertainty < b.uncertainty for a, b in pairwise(fits))
    assert fits[2] is not None
    width = [high / low for _, low, high in (fits[2].at(x) for x in (1e3, 10**5.5, 1e8))]
    assert width[0] > width[1] < width[2]
    assert scaling.power_law([1e3, 1e3, 1e4], [2.0, 2.1, 1.9]) is None
