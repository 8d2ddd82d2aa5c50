"""The teacher's page: who may see it, who trains and waits, how far each is, the limit, and links for a lesson."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from core.runs import folder, owners, reading, state
from core.studies import classroom
from core.texts.corpus import Corpus
from pages.ui import teaching
from tests.conftest import copied, make_run
from tests.pages.test_owners_pages import Enter, enter, of  # noqa: F401
from tests.pages.test_pages import draw, under_way, words

PAGE = "learn/classroom.py"


def link(app: AppTest) -> tuple[str, dict[str, str]]:
    """The link that was built: its page, and what it asks."""
    parts = urlsplit(app.code[0].value)
    return parts.path.rpartition("/")[2], {name: value[0] for name, value in parse_qs(parts.query).items()}


def test_only_who_teaches_sees_it_and_without_a_login_everybody(enter: Enter):  # noqa: F811
    enter("bob")
    app = draw(PAGE)
    assert "for those who teach" in app.info[0].value and not app.dataframe and not app.number_input
    enter("eve")
    assert not draw(PAGE).info


def test_what_a_teacher_sees_and_does(enter: Enter, trained: Path):  # noqa: F811
    """Who trains, with a way to stop it; the best of each on each rung; how many may wait."""
    run, _ = (of(f"{who}@school.example", trained, f"transformer-of-{who}") for who in ("ann", "bob"))
    enter("eve")
    with under_way(run):
        app = draw(PAGE)
        assert "**1** trains, **0** wait" in words(app)
        now, best = (each.value for each in app.dataframe)
        assert list(now["who"]) == ["ann@school.example"] and now["step"][0] == 0.5
        assert list(best["who"]) == ["ann@school.example", "bob@school.example"] and list(best["training"]) == [1, 0]
        assert best["transformer"][1] == pytest.approx(run.status.best_val_loss)
        assert app.button(key="class.stop").disabled
    app.number_input(key="class.limit").set_value(3).run()
    assert owners.most_waiting() == 3 and app.number_input(key="class.limit").value == 3
    app.text_input(key="find").set_value("bob").run()
    assert list(app.dataframe[0].value["who"]) == ["bob@school.example"]
    enter("bob")  # who taught a moment ago
    app.number_input(key="class.limit").set_value(9).run()
    assert owners.most_waiting() == 3 and "only who teaches" in words(app)


def test_many_learners_have_pages():
    for i in range(60):
        run = make_run("bigram")
        config = run.need().model_copy(update={"owner": f"learner-{i:02d}"})
        (run.path / folder.CONFIG).write_bytes(state.sealed(config))
    app = draw(PAGE, page="2")
    assert "Nobody logs in here" in words(app) and "51 to 60 of 60 learners" in words(app)
    assert app.dataframe[-1].value["who"].iloc[0] == "learner-50"


def test_the_best_are_those_of_the_ladder(trained: Path, corpus: Corpus):
    """A damaged run and one that is not over count as runs, not as a best; a shipped one is nobody's."""
    good, _ = of("ann", trained, "transformer-a"), of("ann", trained, "transformer-b")
    bad = copied(trained, "transformer-bad")
    (bad.path / folder.CONFIG).write_text("{")
    ann, guest = classroom.learners(reading.list_runs(), corpus)
    assert (ann.name, len(ann.runs), ann.best["transformer"].loss) == ("ann", 2, good.status.best_val_loss)
    assert (guest.name, guest.best, guest.latest) == ("guest", {}, "")
    assert classroom.rungs([ann, guest]) == [("transformer", "Transformer")]


def test_a_link_opens_a_page_in_a_state_with_parts_hidden_and_locked():
    app = draw(PAGE)
    assert not app.code
    app.selectbox(key="class.link.page.").set_value("mlp").run()
    app.multiselect(key="class.link.hide").set_value(["terminal", "experiments"])
    app.multiselect(key="class.link.lock.mlp").set_value(["model.d_hidden", "text"]).run()
    page, asked = link(app)
    assert (page, asked) == ("mlp", {"hide": "terminal,experiments", "lock": "model.d_hidden,text"})
    opened = draw("ladder/mlp.py", **asked)
    assert opened.select_slider(key="mlp.model.d_hidden").disabled and "python -m core train" not in words(opened)

    pasted = "https://lab.example/sub/transformer?run=pretrained%2Ftransformer&tab=attention&hide=views&only=picture#x"
    app.text_input(key="class.link.state").set_value(pasted).run()
    page, asked = link(app)
    assert page == "transformer" and asked == {
        "run": "pretrained/transformer",
        "tab": "attention",
        "hide": "terminal,experiments",
    }
    app.toggle(key="class.link.picture").set_value(True).run()
    assert link(app)[1]["only"] == "picture" and "hide" not in link(app)[1]


@pytest.mark.parametrize("pasted", ["http://[::1", "nosuch", "https://x.example/<b>nosuch</b>", "x" * 4000, "%", "//"])
def test_a_link_that_is_none_is_told_in_a_line(pasted: str):
    app = draw(PAGE)
    app.text_input(key="class.link.state").set_value(pasted).run()
    assert not app.exception and bool(app.warning) == bool(urlsplit(pasted.replace("[", "")).path.strip("/"))


def test_all_that_can_be_hidden_is_known_to_a_link():
    assert set(teaching.hideable()) >= {*teaching.PARTS, "code", "log"} and all(teaching.hideable().values())
