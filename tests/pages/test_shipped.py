"""What a newcomer sees first: every page on the runs that really ship, with their weights in bfloat16."""

import pytest

from core import paths
from core.evaluation import evaluate
from core.ladder.registry import RUNGS
from core.runs import checkpoints, reading, records
from core.texts.corpus import Corpus
from tests.pages.test_pages import BESIDE_VIEWS, PAGES, VIEWS, draw, open_view

INSIDE = [script for script in PAGES if script.startswith("inside/")]


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's own shipped runs, which other tests do not see."""
    monkeypatch.delenv("BARDLAB_PRETRAINED")


def test_every_rung_ships_a_whole_run_and_all_are_small():
    found = {run.rung_key: run for run in reading.list_runs(shipped=True)}
    size = sum(file.stat().st_size for file in paths.pretrained().rglob("*") if file.is_file())

    assert found.keys() == RUNGS.keys()
    assert all(run.damage is None and run.usable and records.samples(run.path) for run in found.values())
    assert size <= 40e6


@pytest.mark.parametrize("key", ["bigram", "mlp"])
def test_the_loss_it_claims_is_that_of_its_weights(key: str, corpus: Corpus):
    run = reading.find(f"pretrained/{key}")
    model, _ = checkpoints.load_model(run)

    assert evaluate(model, corpus.val_ids).loss == pytest.approx(run.status.val_loss, abs=1e-4)


@pytest.mark.parametrize("script", PAGES)
def test_every_page_opens(script: str):
    app = draw(script)

    assert not app.exception and not app.error


@pytest.mark.parametrize(("script", "tab"), VIEWS)
def test_a_rung_shows_its_shipped_run(script: str, tab: str):
    run = reading.find(f"pretrained/{script.removeprefix('ladder/').removesuffix('.py')}")
    app = draw(script, run=run.slug, tab=tab, **BESIDE_VIEWS)

    assert not app.exception and not app.error
    assert app.selectbox(key="run").value == run.slug
    assert app.segmented_control(key=f"{run.rung_key}.tab").value == tab
    assert open_view(app), "nothing, not even why"


@pytest.mark.parametrize("script", INSIDE)
@pytest.mark.parametrize("key", sorted(RUNGS))
def test_looking_inside_any_of_them(script: str, key: str):
    app = draw(script, run=f"pretrained/{key}")

    assert not app.exception and not app.error
