"""Pages where there are more runs than a table or a list should hold."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.runs import folder
from core.runs.state import Run
from pages.ui.choosers.run import MOST_LISTED
from tests.conftest import copied
from tests.pages.test_pages import draw, words

MANY = 205


@pytest.fixture
def many(finished: Run) -> list[Run]:
    """So many runs, the oldest first."""
    config = json.loads((finished.path / folder.CONFIG).read_text())
    found = []
    for i in range(MANY):
        run = copied(finished.path, f"transformer-copy-{i:03}")
        config |= {"created": f"2026-01-01T{i // 60:02}:{i % 60:02}:00+00:00"}
        (run.path / folder.CONFIG).write_text(json.dumps({k: v for k, v in config.items() if k != "crc32"}))
        found.append(run)
    return found


def names(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["handle"])


def test_the_table_has_pages_and_a_picker_lists_some_and_finds_the_rest(many: list[Run]):
    app = draw("use/runs.py")
    assert len(names(app)) == 100 and "copy-204" in names(app)
    assert "1 to 100 of 206 runs" in words(app)
    app = draw("use/runs.py", page="3")
    assert names(app)[-1] == "copy-000" and "201 to 206 of 206" in words(app)
    assert [b.disabled for b in app.button if b.label in ("Newer", "Older")] == [False, True]
    assert "201 to 206" in words(draw("use/runs.py", page="99"))

    app = draw("use/write.py")
    (picker,) = (box for box in app.selectbox if box.label == "Model")
    assert len(picker.options) == MOST_LISTED + 1
    (find,) = (box for box in app.text_input if box.label == "Find a run")
    find.set_value("copy-000").run()
    (picker,) = (box for box in app.selectbox if box.label == "Model")
    assert len(picker.options) == 2 and not app.exception
