"""What ships is an ordinary finished run, thinned and measured again."""

import pytest
import torch

from core import paths
from core.errors import BardlabError
from core.evaluation import evaluate
from core.exchange.weights import read_weights
from core.jobs import control
from core.ladder.registry import RUNGS
from core.ladder.rung import Preset
from core.runs import checkpoints, layout, reading, records, requests
from core.runs.folder import State
from core.runs.state import Run
from core.studies import shipping
from core.texts.corpus import Corpus
from tests.conftest import TINY, make_run


def test_a_published_run_is_a_run_with_weights_in_half_the_bytes(finished: Run, corpus: Corpus):
    """Its loss is that of the weights as published; its curves and texts come with it; nothing to resume from."""
    published = shipping.publish(finished, "transformer")
    model, _ = checkpoints.load_model(published)
    original, _ = checkpoints.load_model(finished)

    assert reading.find("pretrained/transformer").shipped
    assert published.status.val_loss == evaluate(model, corpus.val_ids).loss
    assert published.status.val_loss == pytest.approx(finished.status.val_loss, abs=0.01)
    for name, tensor in original.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor.bfloat16().float())
    assert records.samples(published.path) == records.samples(finished.path)
    assert list(published.path.glob("events.out.tfevents.*"))
    assert not (published.path / layout.TRAINER).exists()
    assert "Transformer" in shipping.write_figures().read_text()


def test_published_weights_come_back_by_themselves(finished: Run):
    """The newest and the snapshots say which rung and settings they are of, so nothing has to be measured."""
    published = shipping.publish(finished, "transformer")
    files = [layout.weights_path(published.path), *(layout.snapshot_path(published.path, s) for s in (0, 4))]
    for file in files:
        (reading,) = read_weights(file)[1]
        assert reading.rung_key == "transformer" and reading.config == finished.need().model_config_


def test_only_what_has_finished_ships():
    with pytest.raises(BardlabError, match="only a finished run can ship"):
        shipping.publish(make_run("bigram"), "bigram")


def test_snapshots_are_thinned_to_what_fits(finished: Run):
    """The first and the last always stay."""
    source = layout.snapshot_path(finished.path, 4)
    for step in range(5, 40):
        layout.snapshot_path(finished.path, step).write_bytes(source.read_bytes())
    each = source.stat().st_size / 2
    kept = shipping.kept_snapshots(finished, 8.5 * each)

    assert kept[0] == 0
    assert kept[-1] == 39
    assert 5 <= len(kept) <= 8
    assert len(shipping.kept_snapshots(finished, 1e9)) == 38


def test_training_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch):
    """Stopped and started again, the same folder finishes and is published."""
    tiny = Preset("", TINY["mlp"]["model"], TINY["mlp"]["train"])
    monkeypatch.setitem(RUNGS["mlp"].presets, "best", tiny)
    run = shipping._training_run(RUNGS["mlp"])
    requests.request_stop(run)
    from core.jobs import work

    assert work.work(run.path, log=lambda line: None).state is State.STOPPED
    published = shipping.pretrain(RUNGS["mlp"], lambda line: None)

    assert published.status.step == 4
    assert published.path == paths.pretrained() / "mlp"
    with pytest.raises(BardlabError, match="ships with the product"):
        control.check_startable(published)
