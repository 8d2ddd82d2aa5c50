"""The ladder's page: what stands on it, where it comes from, and that the counting does not hold it up."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import paths
from core.ladder.registry import RUNGS
from core.runs import folder, reading, state
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


def drawn(app: AppTest) -> str:
    """What stands in the page's own markup."""
    return "\n".join(element.proto.body for element in app.get("html"))


def labels(app: AppTest) -> list[str]:
    """The links of the ladder, from the top."""
    found = [link.proto.label for link in app.get("page_link") if link.proto.label.strip("✓ ").startswith("**")]
    return [label for label in found if "tour" not in label]


def test_an_empty_ladder_says_what_it_is_about_and_counts_one_order_at_a_time(corpus: Corpus):
    app = draw(PAGE)
    said = words(app)

    assert "The loss is the surprise" in said and f"{len(RUNGS)} of them" in said
    assert len(labels(app)) == len(RUNGS) + 1 and labels(app)[0] == "**Counted 2-gram**"
    assert drawn(app).count("shipped –") == len(RUNGS) and "counted 2." in drawn(app)
    assert "Order 3 is being counted" in said
    assert list(landmarks.counted_ngrams(corpus)) == [2]


def test_own_runs_stand_beside_the_shipped_ones(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "pretrained", lambda: paths.ROOT / "checkpoints" / "pretrained")
    ended(make_run("transformer"), best_val_loss=1.88, seconds=12.0, device="cpu")
    app = draw(PAGE)

    shipped = reading.find("pretrained/transformer").status.best_val_loss
    assert f"shipped {shipped:.3f} · yours 1.880" in drawn(app)
    assert "✓ **Transformer**" in labels(app) and "**MLP**" in labels(app)


def test_a_worse_counted_n_gram_of_ones_own_does_not_hide_the_better_one(corpus: Corpus):
    counted = landmarks.count_ngram(corpus, 3)
    run = ended(make_run("bigram"), best_val_loss=3.0)
    file = run.path / folder.CONFIG
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "model": {"order": 4, "fit": "count"}}))
    app = draw(PAGE)

    assert f"counted {counted.loss:.3f} · yours 3.000" in drawn(app)
    assert "✓ **Counted 3-gram**" in labels(app) and "**Bigram**" in labels(app)


def test_an_imported_run_is_marked():
    ended(make_run("transformer"), best_val_loss=1.5, of=0, message="imported from a*b.pth", device="cpu")

    assert "imported 1.500" in drawn(draw(PAGE))


def test_a_damaged_run_leaves_the_page_whole():
    run = ended(make_run("mlp"), best_val_loss=1.0)
    (run.path / folder.CONFIG).write_text("{")
    app = draw(PAGE)

    assert "1.000" not in drawn(app) and len(labels(app)) == len(RUNGS) + 1


def test_the_button_trains_and_its_end_is_told(taken: list[Run], corpus: Corpus):
    """A reload keeps it; another press takes another seed; what was deleted meanwhile is missed in one line."""
    app = draw(PAGE)
    app.button(key="first.train").click().run()
    (run,) = taken
    assert run.need().preset == RUNGS["mlp"].default_preset and app.button(key="first.train").disabled
    ended(run, best_val_loss=1.8, seconds=13.0)
    app.run()
    assert f"hesitates between 6 letters instead of {corpus.tokenizer.size}" in words(app)
    assert app.query_params["yours"] == run.slug
    assert "hesitates between 6 letters" in words(draw(PAGE, yours=run.slug))

    app.button(key="first.train").click().run()
    assert taken[1].need().train.seed == run.need().train.seed + 1
    shutil.rmtree(taken[1].path)
    app.run()
    assert "gone or damaged" in app.warning[0].value


def test_an_address_without_a_page_is_named_whatever_it_is():
    app = draw(PAGE, lost="no:red[such]rung", yours="../../etc")

    assert len(app.warning) == 1 and "There is no page" in app.warning[0].value and ":red[" not in app.warning[0].value


def test_what_ships_stands_on_the_ladder_in_the_order_of_its_losses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "pretrained", lambda: paths.ROOT / "checkpoints" / "pretrained")
    app = draw(PAGE)

    shipped = [run for run in reading.list_runs(shipped=True) if run.shipped]
    losses = sorted(f"{run.status.best_val_loss:.3f}" for run in shipped)
    assert re.findall(r"shipped (\d\.\d{3})", drawn(app)) == losses
