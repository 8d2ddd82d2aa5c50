"""What the training loop measures about itself, what it costs, and how a run ends whose loss is no number."""

import math

import numpy as np
import pytest
import torch

from core.evaluation import evaluate, spread_slice
from core.jobs import work
from core.models.contract import LanguageModel
from core.models.residual import ResidualConfig, ResidualNet
from core.runs import checkpoints, editing, plan
from core.runs.folder import State
from core.runs.metrics import TRAIN_EVAL_LOSS, VAL_LOSS, MetricsReader
from core.texts.corpus import Corpus
from core.training.config import TrainConfig
from core.training.loop import Progress, train
from core.training.monitor import FREE, SHARE, Monitor, named_layers
from core.training.trainer import Trainer
from tests.conftest import TINY, make_run


def trainer(corpus: Corpus, **changes: object) -> Trainer:
    torch.manual_seed(0)
    model = ResidualNet(ResidualConfig.parse({"context": 4, "d_embed": 4, "width": 16, "depth": 3}), 65)
    config = TrainConfig.parse({"steps": 8, "batch_size": 4, "window": 16, "learning_rate": 1e-2, **changes})
    return Trainer(model, config, corpus.train_ids, torch.device("cpu"))


def norms_by_hand(model: LanguageModel) -> dict[str, float]:
    """The same norms, from the gradients of a step of one's own."""
    return {
        f"grad_norm/{name}": math.sqrt(sum(float((p.grad**2).sum()) for p in layer.parameters() if p.grad is not None))
        for name, layer in named_layers(model)
    }


@pytest.mark.numeric
@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_norms_and_ratios_are_those_of_the_step(corpus: Corpus, optimizer: str):
    """Gradient norm of every layer and log10 of update against weights of every matrix, checked by plain arithmetic."""
    one, two = trainer(corpus, optimizer=optimizer), trainer(corpus, optimizer=optimizer)
    before = {name: p.detach().clone() for name, p in one.model.named_parameters()}
    one.step()
    found = one.monitor.take()
    x, y = two.batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=two.precision is torch.bfloat16):
        loss = torch.nn.functional.cross_entropy(two.model(x).flatten(0, 1), y.flatten())
    loss.backward()
    expected = norms_by_hand(two.model)

    assert [name for name, _ in named_layers(one.model)] == [
        "token_embedding",
        "widen",
        *(f"layers.{i:02d}" for i in range(3)),
        "norm_final",
        "head",
    ]
    assert {tag: value for tag, value in found.items() if tag.startswith("grad")} == pytest.approx(expected, rel=1e-4)
    for name, p in one.model.named_parameters():
        if p.ndim == 2:
            ratio = float((p.detach() - before[name]).norm() / before[name].norm())
            assert found["update_ratio/" + name.removesuffix(".weight")] == pytest.approx(math.log10(ratio), abs=1e-3)
    assert one.monitor.take() == {}


@pytest.mark.numeric
def test_measuring_changes_nothing(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    """The weights after some steps are the same bit for bit, measured or not."""
    watched, blind = trainer(corpus), trainer(corpus)
    monkeypatch.setattr(blind.monitor, "due", lambda step: False)
    for each in (watched, blind):
        for _ in range(8):
            each.step()

    assert watched.monitor.spent > 0 and not blind.monitor.spent
    for ours, theirs in zip(watched.model.parameters(), blind.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_measuring_stops_when_its_share_is_spent():
    """However slow a look is, it is not taken again before the training has earned it."""
    monitor = Monitor(torch.nn.Linear(2, 2), 200)
    assert monitor.due(1)
    monitor.spent = FREE + 1.0
    assert not monitor.due(2)
    monitor.trained = 1.01 / SHARE
    assert monitor.due(3)
    assert not Monitor(torch.nn.Linear(2, 2), 1000).due(7)


def test_the_slice_of_the_training_split_lies_all_over_it():
    ids = torch.arange(10_000)
    found = spread_slice(ids, 800)

    assert len(found) == 800 and int(found[0]) == 0 and int(found[-1]) == 9999
    assert np.abs(np.diff(found.numpy()) - 1).astype(bool).sum() == 7
    assert torch.equal(spread_slice(ids, 20_000), ids)


@pytest.mark.parametrize("key", ["mlp", "transformer"])
def test_a_run_keeps_what_was_measured(key: str):
    """Curves by layer and by matrix, and the loss on the training split at the evaluations' steps."""
    run = work.work(make_run(key).path)
    read = MetricsReader(run.path).refresh()
    layers = [tag for tag in read.tags() if tag.startswith("grad_norm/")]
    steps, values = read.curve(TRAIN_EVAL_LOSS)

    assert layers and all(read.curve(tag)[0][0] == 1 for tag in layers)
    assert "update_ratio/token_embedding" in read.tags()
    assert steps.tolist() == read.curve(VAL_LOSS)[0].tolist() == [2, 4]
    assert all(3 < value < 5 for value in values)


def test_the_training_split_is_measured_as_the_validation_split_is(corpus: Corpus):
    """A model in training mode, dropout and all, is measured without it, and on 2,048 characters at least."""
    one = trainer(corpus)

    assert len(one.training_slice) == 2048
    assert math.isfinite(evaluate(one.model, one.training_slice).loss) and one.model.training
    assert len(trainer(corpus, eval_every=100, batch_size=64).training_slice) == 3 * 100 * 64 * 16 // 100


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("key", "optimizer"), [("bigram", "sgd"), ("mlp", "sgd"), ("mlp", "muon"), ("wavenet", "sgd"), ("residual", "muon")]
)
def test_every_rung_that_diverges_says_what_to_lower_and_keeps_its_weights(key: str, optimizer: str):
    """A loss that is no number ends the run in one line; the last finite weights stay and can be used."""
    wild = {"steps": 400, "eval_every": 2, "weight_decay": 1.0, "sample_chars": 1, "snapshots": 0}
    wild |= {"optimizer": optimizer, "learning_rate": 100.0, "muon_learning_rate": 1.0}
    run = editing.create(plan.plan(key, model=TINY[key]["model"], train={**TINY[key]["train"], **wild}, device="cpu"))
    run = work.work(run.path)
    message = run.status.message

    assert run.state is State.FAILED and "\n" not in message
    assert message.startswith("the loss is no longer a number at step ")
    assert "; lower train.learning_rate (it is 100)" in message
    assert ("train.muon_learning_rate (it is 1)" in message) == (optimizer == "muon")
    assert run.status.checkpoint_step is not None
    assert run.status.checkpoint_step < int(message.split(" at step ")[1].split(";")[0])
    assert all(bool(torch.isfinite(p).all()) for p in checkpoints.load_model(run)[0].parameters())


class Clock:
    """A clock and a device whose queue takes time to empty: waiting for it moves the clock, and nothing else does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.queued = 100.0, 0.0
        monkeypatch.setattr("core.training.monitor.time.perf_counter", lambda: self.now)
        monkeypatch.setattr("core.training.monitor.drain", self.drain)

    def drain(self, device: torch.device) -> None:
        """Wait until the queue is empty."""
        self.now += self.queued
        self.queued = 0.0


def test_waiting_for_the_device_is_not_the_monitors_own_cost(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    """What the device had been given before is waited for off the clock; what the look gives it is on it."""
    model = trainer(corpus).model
    clock, monitor = Clock(monkeypatch), Monitor(model, 200)
    for _ in range(3):
        clock.queued = 50.0  # forward and backward pass
        monitor.before()
        clock.queued = 7.0  # the optimiser
        monitor.after()
    assert monitor.spent == 0

    norm = torch._foreach_norm

    def slow(*arguments: object, **more: object) -> object:
        clock.queued += 2.0
        return norm(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "_foreach_norm", slow)
    clock.queued = 50.0
    monitor.before()
    monitor.after()
    assert monitor.spent == 6.0  # of the gradients, the matrices, and what moved


def test_the_first_look_is_free(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    """It waits for its kernels to be loaded: that is no reason to look less often later."""
    model = trainer(corpus).model
    clock, monitor = Clock(monkeypatch), Monitor(model, 200)
    norm = torch._foreach_norm

    def loading(*arguments: object, **more: object) -> object:
        clock.now += 3.0
        return norm(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "_foreach_norm", loading)
    monitor.before()
    monitor.after()
    assert monitor.spent == 0 and monitor.due(2)
    monitor.before()
    assert monitor.spent == 3.0 and not monitor.due(3)


def test_looking_again_allocates_nothing_for_the_matrices(corpus: Corpus):
    """The copies of the first look are written over by the next."""
    one = trainer(corpus)
    one.step()
    kept = [copy.data_ptr() for copy in one.monitor._copies]
    before = {name: p.detach().clone() for name, p in one.model.named_parameters()}
    one.step()
    found = one.monitor.take()

    assert kept and [copy.data_ptr() for copy in one.monitor._copies] == kept
    for name, p in one.model.named_parameters():
        if p.ndim == 2:
            ratio = float((p.detach() - before[name]).norm() / before[name].norm())
            assert found["update_ratio/" + name.removesuffix(".weight")] == pytest.approx(math.log10(ratio), abs=1e-3)


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_the_norm_is_taken_where_it_is_shown(corpus: Corpus, clip: float, monkeypatch: pytest.MonkeyPatch):
    """At every report it is that very step's, and between reports it is left out, unless it is needed for clipping."""
    monkeypatch.setattr("core.training.loop.PROGRESS_INTERVAL", 1e9)
    whole, sparing = trainer(corpus, grad_clip=clip, eval_every=4), trainer(corpus, grad_clip=clip, eval_every=4)
    for each in (whole, sparing):
        monkeypatch.setattr(each.monitor, "due", lambda step: False)
    norms = [float(whole.grad_norm) for _ in range(8) if whole.step() is not None]
    taken: list[int] = []
    total = torch.nn.utils.get_total_norm

    def counted(grads: list[torch.Tensor]) -> torch.Tensor:
        taken.append(sparing.done + 1)
        return total(grads)

    monkeypatch.setattr(torch.nn.utils, "get_total_norm", counted)
    shown = {e.step: e.grad_norm for e in train(sparing, corpus.val_ids[:500], [0]) if isinstance(e, Progress)}

    assert shown == {0: 0.0, 1: norms[0], 4: norms[3], 8: norms[7]}
    assert taken == (list(range(1, 9)) if clip else [1, 4, 8])
