"""Every setting of every configuration: declared whole, checked at its bounds, refused in one line."""

import re

import pytest

from core.errors import BardlabError
from core.ladder.registry import RUNGS
from core.models.transformer import TransformerConfig
from core.runs import plan
from core.sampling import SamplingConfig
from core.settings import FieldInfo, Settings
from core.texts.corpus import Corpus
from core.training.config import TrainConfig

CONFIGS = list(dict.fromkeys([*(rung.config for rung in RUNGS.values()), TrainConfig, SamplingConfig]))
FIELDS = [
    pytest.param(config, field, id=f"{config.__name__}.{field.name}") for config in CONFIGS for field in config.fields()
]
NUMBERS = [p for p in FIELDS if p.values[1].kind in ("int", "float")]  # type: ignore[union-attr]
PRESETS = [(key, name) for key, rung in RUNGS.items() for name in rung.presets]


def refusal(config: type[Settings], values: dict[str, object], prefix: str = "") -> str:
    """Return why values are refused, or an empty text if they are accepted."""
    try:
        config.parse(values, prefix)
    except BardlabError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("config", "field"), FIELDS)
def test_every_setting_is_declared_whole(config: type[Settings], field: FieldInfo):
    """Help, and a range, choices, a switch or text; numbers also have what a slider needs."""
    assert len(field.help) > 10 and field.help.endswith(".")
    if field.kind == "choice":
        assert field.choices and field.default in field.choices
    elif field.kind == "bool":
        assert isinstance(field.default, bool)
    elif field.kind == "text":
        assert isinstance(field.default, str)
    else:
        assert field.low is not None and field.high is not None
        assert field.low <= field.default <= field.high
        assert bool(field.step) != bool(field.ticks), "a slider needs a step or stops, not both"
    assert config.parse({field.name: field.default}) == config()


@pytest.mark.parametrize(("config", "field"), NUMBERS)
def test_every_stop_of_a_slider_is_in_range(config: type[Settings], field: FieldInfo):
    """Stops rise within the range; each of them, and both bounds, is an accepted value."""
    assert field.low is not None and field.high is not None
    ticks = field.ticks or ()

    assert list(ticks) == sorted(set(ticks))
    for value in (field.low, field.high, *ticks):
        assert field.low <= value <= field.high
        assert "is not accepted" not in refusal(config, {field.name: value})  # rules between settings may still speak


@pytest.mark.parametrize(("config", "field"), NUMBERS)
@pytest.mark.parametrize("side", ["below", "above", "word", "infinite"])
def test_a_number_out_of_range_is_named_with_its_range(config: type[Settings], field: FieldInfo, side: str):
    """One line with the setting, the value and what is accepted."""
    assert field.low is not None and field.high is not None
    value = {"below": field.low - 1, "above": field.high + 1, "word": "seven", "infinite": float("inf")}[side]
    message = refusal(config, {field.name: value}, "model.")

    assert message.startswith(f"model.{field.name}: {value}")
    assert message.endswith(field.range)
    assert f"{field.low:g} to {field.high:g}" in message
    assert "\n" not in message


@pytest.mark.parametrize(("config", "field"), [p for p in FIELDS if p.values[1].choices])  # type: ignore[union-attr]
def test_an_unknown_choice_lists_the_choices(config: type[Settings], field: FieldInfo):
    """The line names every choice there is."""
    message = refusal(config, {field.name: "nonsense"}, "train.")

    assert message == f"train.{field.name}: nonsense is not accepted; give one of {', '.join(field.choices or ())}"


@pytest.mark.parametrize("config", CONFIGS)
def test_an_unknown_setting_lists_the_settings(config: type[Settings]):
    """A name that is not there is refused with those that are."""
    message = refusal(config, {"n_heads_": 3}, "model.")

    assert message == f"model.n_heads_: no such setting; choose from {', '.join(f.name for f in config.fields())}"


@pytest.mark.parametrize(("config", "field"), [p for p in NUMBERS if p.values[1].kind == "int"])  # type: ignore[union-attr]
def test_whole_numbers_come_from_text_and_are_whole(config: type[Settings], field: FieldInfo):
    """A command line gives text; a fraction or a switch is no whole number."""
    assert getattr(config.parse({field.name: str(field.default)}), field.name) == field.default
    assert "a whole number" in refusal(config, {field.name: "1.5"})


@pytest.mark.parametrize(("key", "preset"), PRESETS)
def test_every_preset_validates(key: str, preset: str, corpus: Corpus):
    """A preset is accepted as a whole, fits the text and says what it is."""
    rung = RUNGS[key]
    model, train = rung.settings(preset, {}, {})
    plan.check(rung, model, train, corpus)

    assert rung.presets[preset].help
    assert set(rung.presets[preset].model) <= {f.name for f in rung.config.fields()}


@pytest.mark.parametrize(("width", "heads"), [(64, 6), (100, 16), (7, 2)])
def test_heads_that_do_not_fit_are_told_which_do(width: int, heads: int):
    """A width that does not divide names exactly the head counts that divide it."""
    message = refusal(TransformerConfig, {"d_model": width, "n_head": heads})
    offered = [int(n) for n in re.findall(r"\d+", message.split("one of")[1])]

    assert offered == [n for n in range(1, 17) if width % n == 0]
    assert f"model.d_model {width}" in message and f"model.n_head {heads}" in message and "\n" not in message
    assert all(not refusal(TransformerConfig, {"d_model": width, "n_head": n}) for n in offered)


def test_settings_are_frozen_and_compared_by_value():
    """What a run was made with cannot change, and `changes` names what differs from another."""
    config = TrainConfig.parse({"steps": 7})

    with pytest.raises(ValueError, match="frozen"):
        config.steps = 8  # type: ignore[misc]
    assert config.changes(TrainConfig()) == {"steps": 7}


@pytest.mark.parametrize(("key", "preset"), PRESETS)
def test_the_command_line_gives_back_the_settings(key: str, preset: str):
    """The command that a page shows, parsed again, is the same settings; so is one with changes."""
    import shlex

    rung = RUNGS[key]
    model, train = rung.settings(preset, {}, {"steps": 123, "prompt": "O, my lord's", "seed": 4})
    words = shlex.split(plan.command(rung, preset, model, train, "cpu"))
    values = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set")
    values["train.seed"] = words[words.index("--seed") + 1]

    assert words[:5] == ["python", "-m", "core", "train", key]
    assert words[words.index("--preset") + 1] == preset and words[-2:] == ["--device", "cpu"]
    assert rung.settings(preset, *plan.split_settings(values)) == (model, train)


@pytest.mark.parametrize(("config", "field"), [p for p in FIELDS if p.values[1].kind == "text"])  # type: ignore[union-attr]
def test_a_text_is_bounded_and_refused_in_one_short_line(config: type[Settings], field: FieldInfo):
    """A prompt of megabytes would be read, stored and shown again with every sample."""
    assert field.longest is not None
    assert getattr(config.parse({field.name: "a" * field.longest}), field.name) == "a" * field.longest
    told = refusal(config, {field.name: "a" * (field.longest + 1)})
    assert told.startswith(f"{field.name}: {field.longest + 1:,} characters are too many") and len(told) < 200
    assert f"{field.longest:,} characters" in told


@pytest.mark.parametrize(("config", "field"), FIELDS)
def test_a_refusal_does_not_repeat_megabytes(config: type[Settings], field: FieldInfo):
    assert len(refusal(config, {field.name: "9" * 1_000_000})) < 500
