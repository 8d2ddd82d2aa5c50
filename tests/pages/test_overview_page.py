"""The ladder's page: what stands on it, where it comes from, and that the counting does not hold it up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core import paths
from core.ladder.registry import RUNGS
from core.runs import reading, state
from core.runs.folder import State
from core.runs.state import Run
from core.studies import landmarks
from core.texts.corpus import Corpus
from tests.conftest import make_run
from tests.pages.test_pages import draw, words

PAGE = "ladder/overview.py"


@pytest.fixture(autouse=True)
def nothing_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As on the day before the first run shipped; a test that wants the shipped ones says so."""
    monkeypatch.setattr(paths, "pretrained", lambda: tmp_path / "none")
    yield


def ended(run: Run, **status: object) -> Run:
    state.write_status(run.path, run.status.model_copy(update={"state": State.FINISHED, "of": 4, **status}))
    return reading.read(run.path)


def test_an_empty_ladder_says_what_it_is_about_and_counts_one_order_at_a_time(corpus: Corpus):
    app = draw(PAGE)
    said = words(app)

    assert "The loss is the surprise" in said and f"{len(RUNGS)} of them" in said
    assert said.count("Not trained yet") == len(RUNGS)
    assert "Being counted" in said and "Order 3 is being counted" in said
    assert list(landmarks.counted_ngrams(corpus)) == [2]

    assert "Order 2, counted here in " in words(draw(PAGE))


def test_an_imported_run_is_marked(corpus: Corpus):
    """In its row and in the chart; a run of one's own is not."""
    own = ended(make_run("mlp"), best_val_loss=1.7, seconds=12.0, device="cpu")
    ended(make_run("transformer"), best_val_loss=1.5, of=0, message="imported from a*b.pth", device="cpu")
    app = draw(PAGE)
    said = words(app)

    assert said.count(":orange-badge[imported]") == 1 and "trained elsewhere, measured here" in said
    assert own.name in said
    traces = app.get("plotly_chart")[0].proto.spec
    assert "imported, not trained here" in traces and '"trained"' in traces
    assert "nanoGPT on a GPU, published" in traces


def test_an_address_without_a_page_is_named_whatever_it_is():
    app = draw(PAGE, lost="no:red[such]rung")

    assert "There is no page" in app.warning[0].value and ":red[" not in app.warning[0].value


def test_what_ships_is_said_to_ship(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "pretrained", lambda: paths.ROOT / "checkpoints" / "pretrained")
    app = draw(PAGE)

    shipped = [run for run in reading.list_runs(shipped=True) if run.shipped]
    assert shipped
    assert words(app).count("ships with Bardlab") == len({run.rung_key for run in shipped})
