"""The importer on the page Runs: a file, the text it learned from, and what is said of it."""

import math

import pytest
from streamlit.testing.v1 import AppTest

from core.runs import reading
from core.texts import own
from tests.core.exchange.test_interchange import content, reference
from tests.pages.test_pages import draw

ALPHABET = "".join(chr(97 + i) for i in range(20))


def upload(file: tuple[str, bytes, str], text: str | None = None) -> AppTest:
    """Give a file to the importer and press its button."""
    app = draw("use/runs.py")
    if text is not None:
        app.selectbox(key="runs.import.text").select(text)
    app.file_uploader(key="runs.upload").set_value(file).run()
    app.button(key="runs.import").click().run(timeout=120)
    assert not app.exception, app.exception[0].message
    return app


def test_weights_of_an_own_text_come_in_and_are_called_after_their_file():
    name = own.add((ALPHABET * 60).encode(), "Twenty").name
    upload(("lecture.pth", content(reference(vocab=20).state_dict()), "application/octet-stream"), name)
    (run,) = reading.list_runs()

    assert (run.name, run.need().corpus) == ("lecture", name)
    assert run.status.val_loss and math.isfinite(run.status.val_loss)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"<!doctype html><html>", "a web page, not the file that it links to"),
        (content(reference().state_dict()), "worse than guessing"),
    ],
)
def test_what_is_wrong_is_said_on_the_page(file: bytes, said: str):
    app = upload(("theirs.pth", file, "application/octet-stream"))

    assert any(said in error.value for error in app.error)
