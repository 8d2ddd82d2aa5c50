"""Every rung of the registry can keep what it declares."""

import inspect

import pytest

from core.ladder.registry import RUNGS
from core.ladder.rung import Rung
from core.runs import plan
from core.texts.corpus import load

EVERY = pytest.mark.parametrize("rung", RUNGS.values(), ids=RUNGS)


@EVERY
def test_the_equation_holds_the_numbers_of_the_model(rung: Rung):
    """A changed setting that the equation names changes the equation."""
    model, _ = rung.settings(None, {}, {})
    shown = rung.equation_of(model, 65)

    assert "$" not in shown
    for field in rung.config.fields():
        if f"${field.name}" in rung.equation and field.kind == "int":
            other = model.model_copy(update={field.name: 7777})
            assert "7777" in rung.equation_of(other, 65)


@EVERY
def test_the_code_shown_is_in_the_models_file(rung: Rung):
    file = inspect.getsourcefile(rung.code)

    assert file and file.endswith(f"core/models/{rung.key}.py")
    assert rung.source.startswith("def ")
    assert len(rung.source.splitlines()) <= 30


@EVERY
def test_every_experiment_can_be_started_and_differs_from_the_first_preset(rung: Rung):
    corpus = load()
    start = rung.settings(rung.default_preset, {}, {})
    for experiment in rung.experiments:
        model, train = plan.split_settings(experiment.changes)
        settings = rung.settings(experiment.preset, model, train)
        plan.check(rung, *settings, corpus)
        assert settings != start
