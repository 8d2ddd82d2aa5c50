"""Several people who log in: whose runs each sees, and what each can do with another's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit import user_info
from streamlit.testing.v1 import AppTest

from core.ladder.registry import RUNGS
from core.runs import folder, owners, reading, set_ups, state
from core.runs.folder import State
from core.runs.owners import EVERYBODY, Who
from core.runs.state import Run
from core.texts import own
from pages import login
from pages.login import TEACHERS, Login
from pages.ui.wording import JOINER
from tests.conftest import copied
from tests.pages.test_pages import draw, under_way, words

Enter = Callable[..., None]


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Enter]:
    """Let somebody be logged in; eve teaches."""
    user: dict[str, object] = {}
    monkeypatch.setattr(login, "login", lambda: Login((None,)))
    monkeypatch.setattr(user_info, "_get_user_info", lambda: user)
    monkeypatch.setenv(TEACHERS, "eve@school.example, Max@school.example")

    def comes(name: str, **about: object) -> None:
        user.clear()
        user.update({"is_logged_in": True, "email": f"{name}@school.example"} | about)

    yield comes


def of(who: str, trained: Path, name: str) -> Run:
    """A finished run of somebody."""
    run = copied(trained, name)
    (run.path / folder.CONFIG).write_bytes(state.sealed(run.need().model_copy(update={"owner": who})))
    return reading.read(run.path)


@pytest.fixture
def two(trained: Path) -> tuple[Run, Run]:
    """A run of ann and one of bob."""
    return tuple(of(f"{who}@school.example", trained, f"transformer-of-{who}") for who in ("ann", "bob"))  # type: ignore[return-value]


def listed(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["handle"])


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button if button.key and not button.disabled}


@pytest.mark.parametrize(
    ("about", "who"),
    [
        ({}, Who("ann@school.example")),
        ({"email": "Eve@School.Example"}, Who("eve@school.example", teaches=True)),
        ({"email": "max@school.example", "email_verified": True}, Who("max@school.example", teaches=True)),
        ({"email": "eve@school.example", "email_verified": False, "sub": "77"}, Who("77")),
        ({"email": None, "sub": "77"}, Who("77")),
        ({"email": None}, Who()),
        ({"is_logged_in": False}, Who()),
        ({"email": "guest"}, Who("guest")),
    ],
)
def test_who_acts_is_whoever_has_logged_in(
    about: dict[str, object], who: Who, enter: Enter, monkeypatch: pytest.MonkeyPatch
):
    enter("ann", **about)
    monkeypatch.setattr(login, "get_script_run_ctx", lambda suppress_warning: object())
    assert login.visitor() == who
    assert login.visitor().may_change("guest") is who.teaches


def test_without_a_session_nobody_acts_and_without_a_login_everybody(enter: Enter, monkeypatch: pytest.MonkeyPatch):
    enter("eve")
    assert owners.acting() == Who()
    monkeypatch.setattr(login, "login", lambda: Login(()))
    assert owners.acting() == EVERYBODY


def test_a_run_of_another_can_be_looked_at_and_not_changed(enter: Enter, two: tuple[Run, Run]):
    """Also not by a button of a page that was drawn before: core refuses, in one line."""
    ann, bob = two
    enter("ann")
    app = draw("use/runs.py", run=ann.slug)
    assert {"runs.pin", "runs.delete"} <= {button.key for button in app.button}
    assert list(app.dataframe[0].value["owner"]) == ["bob@school.example", "ann@school.example"]
    enter("bob")
    app.button(key="runs.pin").click().run()
    assert "belongs to ann@school.example: only its owner, or who teaches, can pin it" in words(app).replace(JOINER, "")
    assert not reading.read(ann.path).pinned
    app = draw("use/runs.py", run=ann.slug)
    assert not {"runs.pin", "runs.delete", "runs.stop"} & {button.key for button in app.button}
    enter("eve")
    draw("use/runs.py", run=ann.slug).button(key="runs.pin").click().run()
    assert reading.read(ann.path).pinned

    with under_way(ann) as run:
        enter("bob")
        app = draw("ladder/transformer.py", run=run.slug)
        assert not {"pause", "stop", "step"} & keys(app) and "strip.stop.transformer-of-ann" not in keys(app)
        enter("ann")
        app = draw("ladder/transformer.py", run=run.slug)
        assert {"pause", "stop", "strip.stop.transformer-of-ann"} <= keys(app)
    assert reading.read(bob.path).state is State.FINISHED


def test_texts_and_kept_settings_of_another_can_be_used_and_not_removed(enter: Enter):
    with owners.acting_as(Who("ann@school.example")):
        text = own.add(b"To be, or not to be, that is the question. " * 50, "Hamlet")
        set_ups.keep("slow", RUNGS["bigram"], "seconds", *RUNGS["bigram"].settings("seconds", {}, {}))
    for who, may, whose in (("bob", False, "ann@school.example"), ("ann", True, "your own")):
        enter(who)
        app = draw("use/text.py", text=text.name)
        assert f"a text of {whose}" in words(app).replace(JOINER, "")
        assert ("texts.delete" in {button.key for button in app.button}) is may
        app = draw("ladder/bigram.py")
        assert ("bigram.kept.of.forget" in keys(app)) is may and "bigram.kept.of.load" in keys(app)


def test_each_may_see_only_their_own_and_what_an_address_names(enter: Enter, two: tuple[Run, Run]):
    ann, bob = two
    enter("ann")
    assert len(listed(draw("use/runs.py"))) == 2
    app = draw("use/runs.py", mine="1")
    assert listed(app) == ["of-ann"] and app.query_params["mine"] == "1"
    assert app.sidebar.toggle(key="mine").value
    app.sidebar.toggle(key="mine").set_value(False).run()
    assert len(listed(app)) == 2 and "mine" not in app.query_params
    app = draw("use/compare.py", mine="1", runs=f"{ann.slug},{bob.slug}")
    assert app.multiselect(key="compare.runs").value == [ann.slug, bob.slug]
    app = draw("use/write.py", mine="1")
    assert app.selectbox(key="run").options == [app.selectbox(key="run").options[0]]
    app = draw("ladder/transformer.py")
    assert app.selectbox(key="run").value == ann.slug  # bob's is as new


def test_without_a_login_nothing_is_asked_and_nothing_hidden(two: tuple[Run, Run]):
    app = draw("use/runs.py", mine="1", run=two[0].slug)
    assert not app.sidebar.toggle and len(listed(app)) == 2
    app.button(key="runs.pin").click().run()
    assert reading.read(two[0].path).pinned
