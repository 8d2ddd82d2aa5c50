"""Every page with runs of a learner's own text, and with runs whose text is gone: their alphabet, their passages."""

import random
import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import work
from core.runs import editing, reading
from core.runs import plan as runs_plan
from core.runs.openings import openings
from core.runs.state import Run
from core.texts import own as texts_own
from core.texts.corpus import load
from tests.conftest import TINY
from tests.pages.test_pages import BESIDE_VIEWS, PAGES, VIEWS, draw, words

WORDS = {
    "arabic": ["السلام", "عليكم", "كتاب", "قمر", "شمس", "بيت", "نور", "ماء"],
    "emoji": ["👩\u200d👩\u200d👧", "❤\ufe0f", "🇩🇪", "👍🏽", "fine", "ok"],
    "dna": [*"ACGT"],
}
ABOUT_SHAKESPEARE = {"ladder/overview.py", "ladder/gradient_descent.py", "ladder/paper.py"}
"""Pages that are about the text that ships, whatever is trained."""
FALSE = re.compile(r"ROMEO|JULIET|Citizen|GREMIO|Shakespeare|soft! what")


def written(kind: str) -> str:
    """A text of the learner's own; that of the letters of DNA is one line without a blank."""
    draw_from, between = random.Random(kind), "" if kind == "dna" else " "
    lines = [between.join(draw_from.choices(WORDS[kind], k=8)) for _ in range(60 if kind != "dna" else 200)]
    return ("" if kind == "dna" else ".\n").join(lines)


@pytest.fixture(scope="module", params=list(WORDS))
def own_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an own text and a run of every rung on it. Not to be changed."""
    home = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", str(home))
        own = texts_own.add(written(request.param).encode(), request.param)
        for rung, tiny in TINY.items():
            plan = runs_plan.plan(
                rung, model=tiny["model"], train={**tiny["train"], "snapshots": 2}, device="cpu", corpus_name=own.name
            )
            work.work(editing.create(plan).path)
    return home


@pytest.fixture(scope="module")
def home_without_text(own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after the text was deleted."""
    home = tmp_path_factory.mktemp("gone")
    shutil.copytree(own_home, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", str(home))
        texts_own.delete(by_rung()["bigram"].need().corpus)
    return home


def by_rung() -> dict[str, Run]:
    """The runs at home by rung."""
    return {run.rung_key: run for run in reading.list_runs()}


@pytest.fixture
def own(own_home: Path, home: Path) -> dict[str, Run]:
    """The runs of one own text in this test's home."""
    shutil.copytree(own_home, home, dirs_exist_ok=True)
    return by_rung()


@pytest.fixture
def only_shown(own_home: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Run]:
    """The runs of one own text where many tests look at them, which keep what was computed of them."""
    monkeypatch.setenv("BARDLAB_HOME", str(own_home))
    return by_rung()


@pytest.fixture
def without_text(home_without_text: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Run]:
    """The same after the text was deleted."""
    monkeypatch.setenv("BARDLAB_HOME", str(home_without_text))
    return by_rung()


def shown(app: AppTest) -> str:
    """All that a page says, and what stands in its boxes."""
    boxes = [*app.text_area, *app.text_input]
    return "\n".join([words(app), *(str(box.value) for box in boxes)])


def opened(script: str, own: dict[str, Run], tab: str = "") -> AppTest:
    """Open a page with the run that it is about, and its text where it asks for one."""
    run = own.get(Path(script).stem, own["transformer"])
    query = {"run": run.slug, "runs": run.slug}
    if script.startswith("ladder") or script in ("use/text.py", "use/sweeps.py"):
        query["text"] = run.need().corpus
    return draw(script, **query, **({"tab": tab, **BESIDE_VIEWS} if tab else {}))


@pytest.mark.parametrize(("script", "tab"), [*((page, "") for page in PAGES), *VIEWS])
def test_a_page_with_runs_of_an_own_text(script: str, tab: str, only_shown: dict[str, Run]):
    app = opened(script, only_shown, tab)

    assert not app.error
    assert not [w.value for w in app.warning]
    if script not in ABOUT_SHAKESPEARE:
        assert not FALSE.search(shown(app))


@pytest.mark.parametrize(("script", "tab"), [*((page, "") for page in PAGES), *VIEWS])
def test_a_page_with_runs_whose_text_is_gone(script: str, tab: str, without_text: dict[str, Run]):
    """What needs no text works, and the rest says why; nothing intact is called damaged."""
    app = opened(script, without_text, tab)

    assert not app.error
    assert all("no longer here" in w.value or "There is no text" in w.value for w in app.warning)
    assert "damaged" not in words(app)
    if script not in ABOUT_SHAKESPEARE and script != "use/text.py":  # which then shows the text that ships
        assert not FALSE.search(shown(app))


@pytest.mark.parametrize("script", ["inside/attention.py", "inside/prediction.py", "inside/time.py", "use/write.py"])
def test_boxes_follow_the_run_until_something_is_typed(script: str, own: dict[str, Run], finished: Run):
    mine = own["transformer"]
    app = draw(script, run=finished.slug)
    box = next(iter(app.text_area)).key

    assert app.text_area(key=box).value.startswith("ROMEO:")
    app.selectbox(key="run").set_value(mine.slug).run()
    assert not app.exception and not app.warning
    assert app.text_area(key=box).value.startswith(openings(mine).line)
    app.text_area(key=box).set_value("!?").run()
    app.selectbox(key="run").set_value(finished.slug).run()
    assert app.text_area(key=box).value == "!?"


def test_a_text_of_which_nothing_is_left_can_begin_anew(own: dict[str, Run]):
    run = own["transformer"]
    app = draw("inside/prediction.py", run=run.slug, prompt="ÄÖÜ")

    assert "has never seen" in app.warning[0].value and "empty" in app.info[0].value
    app.button(key="prediction.prompt.own").click().run()
    assert not app.warning and app.text_area(key="prediction.prompt").value == openings(run).sentence


def test_losses_are_compared_within_one_text(own: dict[str, Run], finished: Run):
    """Side by side, Surprise and the depths of residual networks take the runs of one text, whatever else is there."""
    app = draw("inside/side_by_side.py", run=finished.slug)
    assert app.multiselect(key="stage.with").value == [finished.slug]
    app.selectbox(key="text").set_value(own["mlp"].need().corpus).run()
    assert set(app.multiselect(key="stage.with").value) == {run.slug for run in own.values()}
    assert not app.exception and not app.warning

    app = draw("inside/surprise.py", run=finished.slug)
    assert list(app.dataframe[0].value["run"]) == [finished.label]


def test_the_counted_passage_is_one_of_the_run_s_own_validation_split(own: dict[str, Run]):
    run = own["mlp"]
    corpus = load(run.need().corpus)
    app = draw("inside/surprise.py", run=run.slug)
    seen = []
    for _ in range(3):
        seen.append(app.text_area(key="surprise.text").value)
        app.button(key="surprise.another").click().run()

    assert all(text in corpus.text[corpus.split :] for text in seen)


def test_what_an_address_brings_is_cut_to_what_one_may_type(own: dict[str, Run]):
    """2,000 letters in the URL: 200 of them are looked at, in numbered columns."""
    app = draw("use/text.py", **{"corpus.typed": "ab" * 1000})
    table = app.dataframe[0].value

    assert list(table.columns) == [str(i) for i in range(1, 201)]
    assert list(table.iloc[0])[:2] == ["a", "b"]


def upload(content: bytes, name: str) -> AppTest:
    app = draw("use/text.py")
    app.file_uploader[0].upload(name, content).run()
    assert not app.exception
    return app


def test_a_file_in_another_encoding_is_read_as_what_it_probably_is(home: Path):
    russian = "Мой дядя самых честных правил, когда не в шутку занемог\n" * 40
    app = upload(russian.encode("koi8-r"), "onegin.txt")

    assert "probably KOI8-R" in app.warning[0].value
    assert any(code.value == russian[:600] for code in app.code)
    app.button(key="texts.keep").click().run()
    assert [load(text.name).text for text in texts_own.listing()] == [russian]


def test_a_text_of_too_many_characters_keeps_the_commonest(home: Path):
    many = "".join(chr(0x4E00 + i) for i in range(1500)) + "的" * 3000
    app = upload(many.encode(), "many.txt")

    assert "1,501 different characters" in app.warning[0].value
    app.slider(key="texts.commonest.0").set_value(100).run()
    app.button(key="texts.keep").click().run()
    kept = load(texts_own.listing()[0].name)
    assert kept.tokenizer.size == 100 and len(kept.text) == len(many) and "□" in kept.text
