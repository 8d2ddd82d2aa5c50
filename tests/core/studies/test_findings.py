"""What is said of several runs, to the letter, without training any."""

import math

import pytest

from core.errors import BardlabError
from core.runs import editing, reading, state
from core.runs.folder import State
from core.runs.state import Run
from core.settings import shown
from core.studies import differences
from core.studies.findings import Finding, findings, half_width, paired, table
from tests.conftest import make_run


def ended(run: Run, loss: float | None, **status: object) -> Run:
    fields = {"state": State.FINISHED, "val_loss": loss, "seconds": 10.0, "device": "cpu", **status}
    state.write_status(run.path, run.status.model_copy(update=fields))
    return reading.read(run.path)


def finding(*found: float, ratio: float | None = None) -> Finding:
    return Finding("a 1 → 2", tuple(range(len(found))), found, ratio)


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (None, ""),
        (1.0, "; as fast"),
        (0.95, "; as fast"),
        (1.05, "; as fast"),
        (1.06, "; 1.1 times slower"),
        (0.94, "; 1.1 times faster"),
        (0.25, "; 4.0 times faster"),
    ],
)
def test_the_pace_is_told_beyond_a_twentieth(ratio: float | None, said: str):
    assert finding(0.1, 0.1, 0.1, ratio=ratio).sentence == f"a 1 → 2: +0.100 ± 0.000 nats over 3 seeds{said}"


def test_an_interval_by_hand():
    """Two values 1 and 3: mean 2, s = √2, t(1, 0.975) = 12.706, so 12.706."""
    assert half_width([1.0, 3.0]) == pytest.approx(12.7062, rel=1e-5)
    assert half_width([1.0]) == half_width([]) == math.inf
    assert finding(1.0, 3.0).mean == 2 and not finding(1.0, 3.0).trusted
    assert finding(-0.1, -0.1).trusted and not finding(0.0, 0.0).trusted
    assert finding(-0.25).sentence == (
        "a 1 → 2: −0.250 nats with one seed, which proves nothing yet: run it with more seeds"
    )


def test_times_are_compared_on_one_machine_only():
    old, new = ended(make_run("mlp"), 2.0, seconds=8.0), ended(make_run("mlp", batch_size=8), 1.5, seconds=2.0)
    elsewhere = ended(make_run("mlp", batch_size=8), 1.5, device="cuda")
    at_once = ended(make_run("mlp", batch_size=8), 1.5, seconds=0.0)

    assert paired([old], [new]) == Finding("batch_size 4 → 8", (1337,), (-0.5,), pytest.approx(0.25))
    for other in (elsewhere, at_once):
        found = paired([old], [other])
        assert found is not None and found.time_ratio is None


def test_pairs_have_a_seed_and_a_loss_in_common():
    old = [ended(make_run("mlp", seed=s), 2.0) for s in (1, 2, 3)]
    new = [
        ended(make_run("mlp", seed=1, batch_size=8), 1.0),
        ended(make_run("mlp", seed=2, batch_size=8), math.inf),
        ended(make_run("mlp", seed=4, batch_size=8), 1.0),
    ]
    found = paired(old, new)

    assert found is not None and (found.seeds, found.differences) == ((1,), (-1.0,))
    assert paired(old, new[1:]) is None
    running = [ended(make_run("mlp", seed=1, batch_size=8), 1.0, state=State.STOPPED)]
    assert paired(old, running) is None


def test_a_table_holds_it_all_and_the_parents_are_the_base():
    old, new = ended(make_run("mlp"), 2.0), ended(make_run("mlp", batch_size=8), 1.5)
    child = editing.create(new.need().model_copy(update={"parent": new.slug}))
    child = ended(child, 1.25)
    newer = ended(make_run("mlp", batch_size=16), 1.0)
    found = table([old, new, child, newer])

    assert found["runs"] == [run.slug for run in (old, new, child, newer)]
    assert found["differences"] == {"train.batch_size": [4, 8, 8, 16]}
    assert found["val_loss"] == {old.slug: 2.0, new.slug: 1.5, child.slug: 1.25, newer.slug: 1.0}
    assert [row["change"] for row in found["findings"]] == ["batch_size 8 → 4", "batch_size 8 → 16"]
    first = found["findings"][0]
    assert (first["seeds"], first["differences"], first["mean"]) == ([1337], [0.75], 0.75)
    assert (first["half_width"], first["trusted"], first["time_ratio"]) == (math.inf, False, 1.0)
    assert [f.mean for f in findings([old, newer])] == [-1.0] and findings([old]) == []
    with pytest.raises(BardlabError, match=r"\Agive at least two runs to compare\Z"):
        table([old])


# --- what differs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "on"),
        (False, "off"),
        (0.00010, "0.0001"),
        (3, "3"),
        ("\n", '"\\n"'),
        ("", '""'),
        ("\u2003", '"\u2003"'),
        ("a", "a"),
    ],
)
def test_values_are_written_as_people_do(value: object, text: str):
    assert shown(value) == text


def test_settings_of_the_model_and_rungs_count_too():
    old = make_run("mlp").need()
    one, other = (editing.create(old.model_copy(update={"model": {**old.model, "d_hidden": n}})) for n in (8, 99))

    assert differences.differences([one, other]) == {"model.d_hidden": [8, 99]}
    assert differences.differences([one, make_run("bigram")])["model.d_hidden"] == [8, None]


def test_six_changes_are_told_and_the_rest_counted():
    old = make_run("mlp")
    more = {"warmup": 10, "batch_size": 5, "window": 8, "eval_every": 1, "patience": 3, "seed": 7, "snapshots": 0}
    new, fewer = make_run("mlp", **more), make_run("mlp", **dict(list(more.items())[:6]))

    assert differences.changes(old, new).count(differences.ARROW) == 6
    assert differences.changes(old, new).endswith(" and 1 more")
    assert differences.changes(old, fewer).count(differences.ARROW) == 6 and "more" not in differences.changes(
        old, fewer
    )
    assert differences.changes(old, old) == ""
    assert differences.changes(old, make_run("bigram")) == "rung mlp → bigram"


def test_labels_say_one_or_two_settings_and_never_the_machine():
    one, two = make_run("mlp"), make_run("mlp", batch_size=8)
    three, four = make_run("mlp", batch_size=8, seed=1), make_run("mlp", batch_size=9, seed=1, warmup=10)
    pairs = [[one, two], [one, three], [one, four], [one, make_run("mlp")], [one]]
    found = [list(differences.labels(pair).values()) for pair in pairs]

    assert found[0] == [f"{one.name} (batch_size 4)", f"{two.name} (batch_size 8)"]
    assert found[1] == [f"{one.name} (batch_size 4, seed 1337)", f"{three.name} (batch_size 8)"]
    assert found[2] == [one.name, four.name] and found[3][0] == one.label and found[4] == [one.name]
    assert differences.labels([]) == {}
    told = [ended(run, 2.0, device_name=name, precision="float32") for run, name in ((one, "A"), (two, "B"))]
    assert differences.differences(told) == {"device": ["A", "B"], "train.batch_size": [4, 8]}
    assert list(differences.labels(told).values()) == found[0]
    older = [told[0], ended(two, 2.0, device_name="", precision="float32")]
    assert list(differences.differences(older)) == ["train.batch_size"]


def test_each_run_is_told_against_its_parent_or_the_first():
    base = make_run("mlp")
    child = editing.create(
        base.need().model_copy(
            update={"parent": base.slug, "train": base.need().train.model_copy(update={"batch_size": 8})}
        )
    )
    other, orphan = make_run("mlp", seed=5), editing.create(base.need().model_copy(update={"parent": "nobody"}))
    found = differences.lineage([other, child, base, orphan])

    assert found == {
        other.slug: f"seed 1337 → 5, everything else as in {base.name}",
        child.slug: f"batch_size 4 → 8, everything else as in {base.name}",
        orphan.slug: "made from nobody, which is no longer here or cannot be read",
    }
    assert differences.against_parent(base) is None


def test_families_share_all_but_the_seed_and_stand_by_age_and_seed():
    late, early = make_run("mlp", seed=2), make_run("mlp", seed=1)
    other, broken = make_run("mlp", batch_size=8), make_run("mlp", seed=3)
    (broken.path / "config.json").write_text("{")
    on_gpu = ended(make_run("mlp", seed=0), 2.0, device="cuda")
    found = differences.families([other, on_gpu, late, reading.read(broken.path), early])

    assert [[run.slug for run in family] for family in found] == [
        [on_gpu.slug, early.slug, late.slug],
        [other.slug],
    ]
