"""A declaration with a mistake in it is told in one line that names rung and file; the other rungs work."""

import itertools
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.cli.main import main
from core.ladder import registry
from core.ladder.declarations import load
from core.models.mlp import MLP
from pages.ui import ladder_problems
from tests.pages.test_pages import draw

GOOD = """
from core.ladder.rung import Experiment, Preset, Rung
from core.models.contract import LanguageModel
from core.models.mlp import MLP, MLPConfig

class Half(LanguageModel):
    context = 3

class Blind(LanguageModel):
    def forward(self, ids, cache=None):
        return ids

TOY = Rung(
    key="toy",
    title="Toy",
    idea="An idea.",
    new="A toy.",
    paper="Nobody (2026)",
    paper_url="https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
    config=MLPConfig,
    model=MLP,
    presets={"seconds": Preset("Short.", {"d_embed": 4}, {"steps": 4})},
    equation="p",
    code=MLP.forward,
    experiments=(Experiment("Wider", "Is it better?", "seconds", {"model.d_embed": 8}),),
    ships="seconds",
)
"""
NUMBER = itertools.count()


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a declaration, with something in it replaced, and return the name of its module."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(old: str = "", new: str = "") -> str:
        assert old in GOOD
        name = f"toy_{next(NUMBER)}"
        (tmp_path / f"{name}.py").write_text(GOOD.replace(old, new) if old else GOOD, encoding="utf-8")
        return name

    return write


BROKEN = {
    "a field": ('    idea="An idea.",\n', "", "'idea'"),
    "two fields": ('    idea="An idea.",\n    new="A toy.",\n', "", "'idea' and 'new'"),
    "an argument of a preset": (', {"steps": 4})', ")", "Preset(...) lacks 'train'"),
    "syntax": ("    ships=", "    ships==", "SyntaxError"),
    "an import": ("core.models.mlp import MLP,", "core.models.mlp import MPL,", "ImportError"),
    "forward": ("model=MLP", "model=Half", "Half has no forward"),
    "context": ("model=MLP", "model=Blind", "Blind has no context"),
    "a model": ("model=MLP", "model=dict", "no LanguageModel"),
    "a setting": ('"d_embed": 4', '"d_embde": 4', "d_embde"),
    "an experiment": (
        '(Experiment("Wider", "Is it better?", "seconds", {"model.d_embed": 8}),)',
        "()",
        "no experiment",
    ),
    "an experiment's preset": ('better?", "seconds"', 'better?", "second"', "'second'"),
    "a preset": ('ships="seconds"', 'ships="best"', "'best'"),
    "a width": ('ships="seconds"', 'ships="seconds", widths=("d_hiden",)', "'d_hiden'"),
    "the rung": ("TOY = Rung(", "TOY = dict(", "declares 0 rungs"),
}


@pytest.mark.parametrize("lacks", BROKEN)
def test_a_declaration_that_lacks_something_is_told_in_one_line_and_the_others_work(lacks: str, declare):
    old, new, said = BROKEN[lacks]
    broken = declare(old, new)

    ladder = load(["core.ladder.bigram", broken, declare()])

    assert list(ladder.rungs) == ["bigram", "toy"]
    [line] = ladder.problems
    assert repr(broken) in line and f"({broken}.py)" in line and said in line and "\n" not in line


def test_of_two_rungs_with_one_key_the_first_stays(declare):
    first, second = declare(), declare()

    ladder = load([first, second])

    assert ladder.files == {"toy": f"{first}.py"}
    [line] = ladder.problems
    assert f"({second}.py)" in line and f"{first}.py" in line and "'toy'" in line


def test_a_whole_ladder_has_no_problem():
    assert not registry.PROBLEMS and not ladder_problems.problems()
    assert list(registry.RUNGS) == list(registry.FILES) and len(registry.RUNGS) == len(registry.DECLARED)


def test_the_command_line_tells_it_and_lists_the_others(
    declare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(registry, "PROBLEMS", load([declare("TOY = Rung(", "TOY = dict(")]).problems)
    main(["stages"])
    captured = capsys.readouterr()

    assert all(f"{key}:" in captured.out for key in registry.RUNGS)
    assert captured.err.count("\n") == 1 and "declares 0 rungs" in captured.err


@pytest.fixture
def toy(declare, monkeypatch: pytest.MonkeyPatch):
    """Put a rung on the ladder that names a view and a picture that do not exist."""
    ladder = load(
        [
            declare(
                '    ships="seconds",\n',
                '    ships="seconds",\n    views=("layres", "parameters"),\n    picture="mpl",\n',
            )
        ]
    )
    monkeypatch.setitem(registry.RUNGS, "toy", ladder.rungs["toy"])
    monkeypatch.setitem(registry.FILES, "toy", ladder.files["toy"])
    return ladder.files["toy"]


def test_a_view_or_a_picture_that_does_not_exist_is_told_where_the_ladder_is_shown(toy: str):
    def page() -> None:
        from pages.ui import ladder_problems

        ladder_problems.show()

    shown = [warning.value for warning in AppTest.from_function(page).run().warning]

    assert len(shown) == 2 and all("'toy'" in line and toy in line for line in shown)
    assert "'layres'" in shown[0] and "receptive" in shown[0] and "'mpl'" in shown[1] and "wavenet" in shown[1]


def test_they_stand_at_the_top_of_the_first_page(toy: str):
    shown = [warning.value for warning in draw("ladder/overview.py").warning]

    assert shown[:2] == ladder_problems.problems() and len(shown) >= 2


def test_its_page_and_those_of_the_other_rungs_are_drawn(toy: str):
    assert registry.RUNGS["toy"].model is MLP
    for key in ("toy", "mlp"):
        app = draw(f"ladder/{key}.py")
        assert not app.exception and app.button(key=f"{key}.train").disabled is False
