"""Runs that an older version has written are listed, loaded, resumed and drawn.

Each folder of tests/data/old_runs was written by the version before the rooms (commit c83e783) and stopped after two of
four steps. They are never written again: a change that cannot read them has to say so to those who have such runs.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from core import paths
from core.evaluation import evaluate
from core.jobs import work
from core.ladder.registry import RUNGS
from core.runs import checkpoints, editing, reading
from core.runs.folder import State
from core.runs.metrics import TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run
from core.sampling import SamplingConfig, generate
from core.texts.corpus import Corpus
from tests.pages.test_pages import draw, words

OLD = {
    path.name.partition("-")[0]: path for path in sorted((Path(__file__).parents[2] / "data" / "old_runs").iterdir())
}


@pytest.fixture
def old(request: pytest.FixtureRequest) -> Run:
    """A run of an older version, in this test's home."""
    source = OLD[request.param]
    return reading.read(Path(shutil.copytree(source, paths.runs() / source.name)))


every_rung = pytest.mark.parametrize("old", OLD, indirect=True)


def test_there_is_one_of_every_rung_of_then():
    assert set(OLD) == {"bigram", "mlp", "wavenet", "residual", "transformer"} <= set(RUNGS)


@every_rung
def test_it_is_listed_with_what_it_was(old: Run):
    assert [run.slug for run in reading.list_runs()] == [old.slug]
    assert (old.damage, old.state, old.name) == (None, State.STOPPED, f"old {old.rung_key}")
    settings = json.loads((old.path / "config.json").read_text(encoding="utf-8"))
    read = old.need().model_config_.model_dump(mode="json")
    assert {name: read[name] for name in settings["model"]} == settings["model"]
    reader = MetricsReader(old.path).refresh()
    assert list(reader.curve(TRAIN_LOSS)[0])[-1] == 2 and len(reader.curve(VAL_LOSS)[0])


@every_rung
def test_its_weights_load_and_are_worth_what_they_were(old: Run, corpus: Corpus):
    model, tokenizer = checkpoints.load_model(old)

    assert tokenizer.size == corpus.tokenizer.size
    assert evaluate(model, corpus.val_ids).loss == pytest.approx(old.status.val_loss, abs=2e-3)
    assert len(list(generate(model, tokenizer.encode("\n"), SamplingConfig(tokens=8)))) == 8


@every_rung
def test_it_goes_on_where_it_was_stopped(old: Run):
    before = checkpoints.load_model(old)[0].state_dict()
    editing.queue_again(old)
    run = work.work(old.path)

    assert (run.state, run.status.step) == (State.FINISHED, 4), run.status.message
    after = checkpoints.load_model(run)[0].state_dict()
    assert before.keys() == after.keys() and any(not torch.equal(before[name], after[name]) for name in before)


@every_rung
def test_its_page_is_drawn(old: Run):
    app = draw(f"ladder/{old.rung_key}.py", run=old.slug)

    assert not app.error and not app.warning
    assert old.name in words(app) or any(old.slug in str(box.value) for box in app.selectbox)
