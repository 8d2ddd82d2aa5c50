"""What an address, a box and another tab can bring: every page stays whole, and says in a line what is not so."""

import ast
import shutil

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.runs import reading
from core.runs.state import Run
from core.settings import LONGEST_TEXT
from pages.ui import state
from pages.ui.address import whole_number
from pages.ui.choosers.prompt import LONGEST
from pages.ui.rung_views import table
from tests.pages.test_pages import FOLDER, draw, to_the_end, words

SOURCES = {str(path.relative_to(FOLDER)): path.read_text() for path in sorted(FOLDER.rglob("*.py"))}
NUMBERS = ["²", "9" * 5000, "-1", "٣", "1e5", "0x10", "nan", "1" * 12, " 1", "1\n"]
PLACES = [
    ("inside/prediction.py", ("step",)),
    ("inside/prediction.py", ("row", "position", "view=lens")),
    ("inside/embeddings.py", ("step",)),
    ("inside/attention.py", ("step", "query", "heads")),
    ("inside/time.py", ("step",)),
    ("inside/knockout.py", ("step", "at", "off")),
    ("inside/side_by_side.py", ("tokens", "temperature", "seed")),
]


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_no_number_in_range_is_none(number: str):
    assert whole_number(number, 0, 10**9) is None
    assert whole_number(number.encode(), 0, 10**9) is None


def test_a_number_in_range_is_read():
    assert [whole_number(text, 1, 12) for text in ("0", "1", "012", "12", "13")] == [None, 1, 12, 12, None]


@pytest.mark.parametrize("number", NUMBERS[:4])
@pytest.mark.parametrize(("script", "names"), PLACES, ids=lambda each: str(each))
def test_no_address_breaks_a_page(script: str, names: tuple[str, ...], number: str, finished: Run):
    """`draw` fails if the page does."""
    query = dict(name.split("=") if "=" in name else (name, number) for name in names)
    app = draw(script, run=finished.slug, **query)
    assert len(words(app)) < 100_000


def test_numbers_of_an_address_are_read_in_one_place():
    """`isdigit` and its kin let through what `int` refuses."""
    found = [
        f"{name}:{node.lineno}"
        for name, source in SOURCES.items()
        if name not in ("ui/address.py", "ladder/paper.py")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in ("isdigit", "isdecimal", "isnumeric")
    ]
    assert not found


# --- boxes -----------------------------------------------------------------------------------------------------------


def test_every_box_for_text_has_a_bound():
    """Streamlit cuts what comes to it, on the server, where a box has `max_chars`."""
    boxes = [
        (f"{name}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for name, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("text_input", "text_area", "chat_input")
    ]
    assert len(boxes) > 10
    assert not [place for place, names in boxes if "max_chars" not in names]


def test_a_pasted_book_is_cut_before_a_model_reads_it(finished: Run):
    app = draw("use/write.py")
    app.text_area(key="write.prompt").set_value("love " * 200_000)
    app.select_slider(key="write..tokens").set_value(50)
    to_the_end(app.button(key="write.go").click().run())

    assert not app.exception
    assert len(app.session_state["write.texts"].prompt) == LONGEST_TEXT and len(app.session_state["written"]) == 50


@pytest.mark.parametrize(
    ("script", "name", "most"),
    [
        ("use/text.py", "corpus.typed", 200),
        ("inside/attention.py", "prompt", LONGEST),
        ("inside/knockout.py", "a", 2000),
        ("inside/surprise.py", "text", 2000),
        ("inside/side_by_side.py", "prompt", 500),
        ("ladder/gradient_descent.py", "expression", 200),
        ("use/runs.py", "find", 200),
    ],
)
def test_a_long_text_in_an_address_is_cut(script: str, name: str, most: int, finished: Run):
    """A link to a page is anybody's; 8,000 letters in it took half a gigabyte."""
    app = draw(script, run=finished.slug, **{name: "a" * 8000, "tool": "patching"})
    assert all(len(box.value or "") <= 8000 for box in (*app.text_input, *app.text_area))
    tables = [frame.value.shape[1] for frame in app.dataframe]
    assert max(tables, default=0) <= max(most, 20)
    assert "a" * (most + 1) not in words(app)


# --- other tabs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["delete", "rename", "annotate", "pin"])
def test_a_run_that_another_tab_has_just_deleted(action: str, finished: Run, monkeypatch: pytest.MonkeyPatch):
    """Found, and gone before it is acted on: one line, and the page goes on."""
    monkeypatch.setattr(reading, "find", lambda _: finished)
    shutil.rmtree(finished.path)

    def script(action: str, slug: str) -> None:
        from core.runs import editing
        from pages.ui import state
        from pages.ui.run.buttons import _do

        more = {"rename": ["new"], "annotate": ["new"], "pin": [True]}.get(action, [])
        _do(lambda run: getattr(editing, action)(run, *more), slug)
        state.notices()

    app = AppTest.from_function(script, args=(action, finished.slug)).run(timeout=60)
    assert not app.exception
    assert len(app.error) == 1 and "\n" not in app.error[0].value


@pytest.mark.parametrize(
    "problem",
    [FileNotFoundError(2, "no"), PermissionError(13, "Permission denied"), OSError(28, "No space left"), OSError()],
)
def test_what_the_file_system_says_is_one_line_that_says_what_to_do(problem: OSError):
    told = state.told(problem)
    assert told and "\n" not in told and "again" in told
    assert problem.strerror is None or problem.errno == 2 or problem.strerror in told


def test_callbacks_expect_the_file_system_to_refuse():
    """Whatever is told at the next drawing is told of the file system too."""
    for name, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ExceptHandler) and "say_error" in ast.unparse(node):
                assert node.type is not None and ast.unparse(node.type) == "state.PROBLEMS", f"{name}:{node.lineno}"


# --- views -----------------------------------------------------------------------------------------------------------


@pytest.mark.view_fails
def test_a_view_that_fails_leaves_the_others_alone(
    finished: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def fails(run: Run) -> None:
        st.text("half of it")
        raise ValueError("secret detail")

    def script(slug: str) -> None:
        from core.runs import reading
        from pages.ui.run.rung_page import _view

        run = reading.find(slug)
        _view("fails", run)
        _view("whole", run)

    monkeypatch.setattr(table, "VIEWS", {"fails": fails, "whole": lambda run: st.text(f"whole {run.slug}")})
    app = AppTest.from_function(script, args=(finished.slug,)).run(timeout=60)
    assert not app.exception
    assert [text.value for text in app.text] == ["half of it", f"whole {finished.slug}"]
    assert len(app.warning) == 1 and "secret" not in app.warning[0].value
    assert "fails" in caplog.text and "secret detail" in caplog.text
