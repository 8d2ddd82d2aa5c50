"""Every rung of the registry can keep what it declares."""

import inspect

import pytest

from core import launch
from core.corpus import load
from core.stages import STAGES, Stage

EVERY = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


@EVERY
def test_the_equation_holds_the_numbers_of_the_model(stage: Stage):
    """A changed setting that the equation names changes the equation."""
    model, _ = stage.settings(None, {}, {})
    shown = stage.equation_of(model, 65)

    assert "$" not in shown
    for field in stage.config.fields():
        if f"${field.name}" in stage.equation and field.kind == "int":
            other = model.model_copy(update={field.name: 7777})
            assert "7777" in stage.equation_of(other, 65)


@EVERY
def test_the_code_shown_is_in_the_models_file(stage: Stage):
    file = inspect.getsourcefile(stage.code)

    assert file and file.endswith(f"core/models/{stage.key}.py")
    assert stage.source.startswith("def ")
    assert len(stage.source.splitlines()) <= 30


@EVERY
def test_every_experiment_can_be_started_and_differs_from_the_first_preset(stage: Stage):
    corpus = load()
    start = stage.settings(stage.default_preset, {}, {})
    for experiment in stage.experiments:
        model, train = launch.split_settings(experiment.changes)
        settings = stage.settings(experiment.preset, model, train)
        launch.check(stage, *settings, corpus)
        assert settings != start
