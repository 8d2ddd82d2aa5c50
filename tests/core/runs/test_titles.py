"""What runs are called that nobody has named."""

import json

from core.ladder.registry import RUNGS
from core.runs import editing, folder, plan, reading
from core.runs.state import Run
from core.studies import differences
from tests.conftest import make_run


def of_preset(preset: str | None = None, **changes: object) -> Run:
    """An MLP, not started, with what differs from its preset."""
    model, train = plan.split_settings({name.replace("__", "."): value for name, value in changes.items()})
    return editing.create(plan.plan("mlp", preset=preset or RUNGS["mlp"].default_preset, model=model, train=train))


def test_a_run_is_called_by_what_its_preset_lacks():
    """Its rung, the preset if it is not the first, three settings at most, and always the seed."""
    assert of_preset().name == "mlp"
    assert of_preset("minutes").name == "mlp good"
    assert of_preset(model__dropout=0.2, train__seed=1338).name == "mlp dropout 0.2, seed 1338"
    assert of_preset("minutes", train__seed=7).name == "mlp good, seed 7"
    many = {"model__dropout": 0.1, "train__steps": 50, "train__grad_clip": 1, "train__patience": 9, "train__seed": 2}
    assert of_preset(**many).name == "mlp dropout 0.1, steps 50, grad_clip 1, 1 more, seed 2"
    assert of_preset(train__prompt="A").name == "mlp"


def test_runs_of_one_name_are_told_apart_and_a_given_name_stands_alone():
    first, second = of_preset(train__seed=3), of_preset(train__seed=3)
    labels = differences.labels([first, second])
    assert first.name == second.name and first.label == f"mlp seed 3 · {first.slug.removeprefix('mlp-')}"
    assert labels == {first.slug: first.label, second.slug: second.label}
    called = editing.rename(second, "Mine")
    assert (called.name, called.label) == ("Mine", "Mine")
    assert folder.name(first.path) == "mlp seed 3" and folder.name(called.path) == "Mine"
    assert reading.find("Mine").slug == second.slug


def test_labels_do_not_say_twice_what_a_title_says():
    base, other = of_preset(model__dropout=0.1), of_preset(model__dropout=0.2)
    assert differences.labels([base, other]) == {base.slug: "mlp dropout 0.1", other.slug: "mlp dropout 0.2"}
    editing.rename(base, "Base")
    told = differences.labels([reading.read(base.path), other])
    assert told == {base.slug: "Base (dropout 0.1)", other.slug: "mlp dropout 0.2"}


def test_an_older_run_is_called_by_its_settings_and_one_of_a_lost_preset_by_its_folder():
    run = make_run("mlp", seed=5)
    config = json.loads((run.path / folder.CONFIG).read_bytes())
    for preset, expected in ((None, run.name), ("nosuch", run.slug)):
        old = {name: value for name, value in config.items() if name not in ("title", "crc32")} | {"preset": preset}
        (run.path / folder.CONFIG).write_text(json.dumps(old))
        again = reading.read(run.path)
        assert again.damage is None and again.name == expected
