"""Settings kept under a name and loaded again: from a run, from a file, from a rung that has changed meanwhile."""

import json

import pytest

from core.errors import BardlabError
from core.exchange import export
from core.ladder.registry import RUNGS
from core.runs import set_ups
from core.runs.set_ups import SetUp, fit
from tests.conftest import make_run

MLP = RUNGS["mlp"]


def test_what_was_kept_comes_back_and_can_be_forgotten():
    model, train = MLP.settings("seconds", {"dropout": 0.2}, {"seed": 7})
    assert set_ups.keep("  Mine:  a/b ", MLP, "seconds", model, train) == "Mine: a/b"
    set_ups.keep("another", MLP, "seconds", model, train)
    (set_ups.folder("mlp") / "broken.json").write_text("{")
    assert set_ups.saved_names("mlp") == ["another", "Mine: a/b"] and set_ups.saved_names("transformer") == []
    fitted = fit(MLP, set_ups.find("mlp", "Mine: a/b"))
    assert MLP.settings(
        fitted.preset,
        {k[6:]: v for k, v in fitted.changes.items() if k.startswith("model.")},
        {k[6:]: v for k, v in fitted.changes.items() if k.startswith("train.")},
    ) == (model, train)
    set_ups.forget("mlp", "another")
    set_ups.forget("mlp", "another")
    with pytest.raises(BardlabError, match="nothing is kept under 'another' any more"):
        set_ups.find("mlp", "another")
    for name in ("", "   ", "x" * 61):
        with pytest.raises(BardlabError, match="under a name of 1 to 60"):
            set_ups.keep(name, MLP, "seconds", model, train)


def test_what_a_rung_does_not_take_is_left_out_and_told():
    """Settings that are no longer, values out of range or of another kind, another rung, a lost preset."""
    kept = SetUp("mlp", "nosuch", {"dropout": 0.3, "gone": 1, "d_hidden": "many"}, {"steps": 50, "batch_size": -1})
    fitted = fit(MLP, kept)
    assert fitted.preset == MLP.default_preset
    assert fitted.changes == {"model.dropout": 0.3, "train.steps": 50}
    assert fitted.left_out == ("gone", "d_hidden", "batch_size")
    other = fit(MLP, set_ups.of_run(make_run("transformer", seed=9)))
    assert other.changes["train.seed"] == 9 and "n_head" in other.left_out
    transformer = RUNGS["transformer"]
    with pytest.raises(BardlabError, match="n_head"):
        fit(transformer, SetUp("transformer", None, {"n_head": 7}, {}))


def test_exported_settings_are_read():
    run = make_run("mlp", seed=11)
    read = set_ups.of_json(export.config_json(run).read_bytes())
    assert (read.rung_key, read.model, read.train["seed"]) == ("mlp", run.need().model, 11)
    content = b'{"model": {}, "train": {}}'
    assert set_ups.of_json(content.ljust(set_ups.LARGEST)).model == {}


def test_a_preset_is_one_of_the_rung_itself():
    assert fit(MLP, SetUp("mlp", "best", {}, {})).preset == "best" != MLP.default_preset
    assert fit(MLP, SetUp("transformer", "best", {}, {})).preset == MLP.default_preset


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON .Expecting value"),
        (b"{", "not JSON .Expecting property name"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "holds no settings"),
        (b'{"model": 1, "train": {}}', "holds no settings"),
        (b" " * 1_000_001, "no file of settings"),
    ],
)
def test_a_file_that_holds_none_is_refused_in_a_line(content: bytes, told: str):
    with pytest.raises(BardlabError, match=told) as caught:
        set_ups.of_json(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_whatever_stands_in_a_file_does_no_harm():
    odd = {"stage": 3, "preset": ["x"], "name": 5, "model": {"dropout": True, "x" * 999: 1}, "train": {"seed": 1e300}}
    fitted = fit(MLP, set_ups.of_json(json.dumps(odd).encode()))
    assert fitted.changes == {} and max(map(len, fitted.left_out)) <= 60
