"""What is noted of runs: kept for exactly these, gone with them, never in the way."""

import json

import pytest

from core.errors import BardlabError
from core.runs import editing, notebook
from tests.conftest import make_run


def test_notes_are_of_exactly_these_runs():
    one, other = make_run("bigram"), make_run("mlp")
    notebook.write("reports", [one, other], {"question": "Which “ünder” <b>?"})
    notebook.write("reports", [one], {"question": "alone"})
    notebook.write("reports", (), {"author": "Ada"})
    assert notebook.read("reports", [other, one]) == {"question": "Which “ünder” <b>?"}
    assert notebook.read("reports", [one]) == {"question": "alone"}
    assert notebook.read("reports", ()) == {"author": "Ada"}
    assert notebook.read("bookmarks", [one]) == notebook.read("reports", [other]) == {}
    notebook.write("reports", [one], {})
    notebook.write("reports", [one], {})
    assert notebook.read("reports", [one]) == {}
    with pytest.raises(BardlabError, match="at most 200 kB"):
        notebook.write("reports", [one], {"question": "x" * 300_000})


def test_a_run_that_takes_the_name_of_a_deleted_one_has_no_notes_of_it():
    run = make_run("bigram")
    notebook.write("bookmarks", [run], {"mine": {"method": "pca"}})
    editing.delete(run)
    later = make_run("bigram")
    assert run.config and later.config
    again = later.config.model_copy(update={"created": "2031-01-01T00:00:00+00:00"})
    object.__setattr__(later, "config", again)
    object.__setattr__(later, "path", run.path)
    assert notebook.read("bookmarks", [later]) == {}
    assert notebook.read("bookmarks", [run]) == {"mine": {"method": "pca"}}


def test_a_damaged_note_is_none():
    run = make_run("bigram")
    notebook.write("reports", [run], {"title": "one"})
    file = next((notebook.paths.data() / "reports").iterdir())
    for content in ("{", "[]", json.dumps({"noted": []}), "[" * 100_000):
        file.write_text(content)
        assert notebook.read("reports", [run]) == {}
