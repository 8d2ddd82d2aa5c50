"""Number formats of the products: which a device gets, and float16 with its scaled loss, for real on a CPU."""

import io
import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from core.errors import BardlabError
from core.jobs import work
from core.ladder.registry import RUNGS
from core.runs import checkpoints, layout, records
from core.runs.folder import State
from core.runs.metrics import TRAIN_LOSS, MetricsReader
from core.training.config import TrainConfig
from core.training.devices import precision
from core.training.loop import Progress, train
from core.training.muon import Muon
from core.training.trainer import Diverged, Trainer
from tests.conftest import TINY, make_run

CPU = torch.device("cpu")
TEXT = torch.arange(400) * 7 % 11
VALIDATION = TEXT[:60]


def trainer(key: str = "transformer", **changes: object) -> Trainer:
    torch.manual_seed(0)
    rung = RUNGS[key]
    settings = {**TINY[key]["train"], "precision": "float16", **changes}
    model = {**TINY[key]["model"], **({"dropout": 0.0} if key == "transformer" else {})}  # masks depend on the format
    return Trainer(rung.build(rung.config.parse(model), 11), TrainConfig.parse(settings), TEXT, CPU)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((6, 1), "float32"), ((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((12, 0), "bfloat16")],
)
def test_auto_is_what_the_gpu_multiplies_in(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
):
    """The given one, not the current one; bfloat16 is refused where the card only emulates it."""
    monkeypatch.delenv("BARDLAB_PRECISION", raising=False)
    second = torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda asked: capability if asked == second else (1, 0))

    assert precision("auto", second) is getattr(torch, expected)
    assert precision("float32", second) is torch.float32
    assert precision("float16", second) is torch.float16
    if expected == "bfloat16":
        assert precision("bfloat16", second) is torch.bfloat16
    else:
        with pytest.raises(
            BardlabError, match=rf"\Athis GPU has no bfloat16; set train.precision to {expected} or auto\Z"
        ):
            precision("bfloat16", second)


def test_apples_devices_take_no_float16():
    with pytest.raises(BardlabError, match="take float32 or auto"):
        precision("float16", torch.device("mps"))


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
@pytest.mark.parametrize("key", TINY)
def test_every_rung_learns_alike_in_float16(key: str, optimizer: str):
    """Scaled, unscaled and clipped, a step moves the weights as one in float32 does, to the format's three digits."""
    both = {"optimizer": optimizer, "grad_clip": 0.5, "steps": 20}
    half, full = trainer(key, **both), trainer(key, precision="float32", **both)
    for step in range(8):
        losses = float(half.step()), float(full.step())
        assert losses[0] == pytest.approx(losses[1], abs=2e-2)
        if not step:
            assert float(half.grad_norm) == pytest.approx(float(full.grad_norm), rel=0.01)
    assert half.scaler is not None and half.scaler.get_scale() == 65536 and full.scaler is None


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_a_step_that_overflows_is_passed_over_and_the_scale_halved(optimizer: str):
    """Weights stay, the norm shown stays finite, and the curve goes on."""
    one = trainer(optimizer=optimizer, grad_clip=1.0)
    assert one.scaler is not None
    one.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = [p.detach().clone() for p in one.model.parameters()]
    loss = one.step()

    assert one.scaler.get_scale() == 2.0**39 and one.done == 1
    assert all(torch.equal(p, kept) for p, kept in zip(one.model.parameters(), before, strict=True))
    assert math.isfinite(one.mean_loss([loss])) and math.isfinite(float(one.grad_norm))
    while one.scaler.get_scale() > 2.0**10:
        scale = one.scaler.get_scale()
        one.step()
        if one.scaler.get_scale() == scale:
            break
    assert any(not torch.equal(p, kept) for p, kept in zip(one.model.parameters(), before, strict=True))


def test_batches_whose_loss_overflows_leave_no_gap_in_the_curve():
    """The mean of those that did not is shown, else the last one; weights are not moved by them."""
    one = trainer()
    nan, two = torch.tensor(math.nan), torch.tensor(2.0)
    assert one.mean_loss([nan]) == pytest.approx(math.log(11), abs=0.1)
    assert one.mean_loss([two, nan, two]) == 2.0
    assert one.mean_loss([nan]) == 2.0


def test_it_has_diverged_once_no_scale_helps():
    """A weight that makes every product overflow: the scale falls below 1, and one line says what to lower."""
    one = trainer(steps=100, eval_every=100)
    events: Iterator[object] = train(one, VALIDATION, [0])
    assert [isinstance(next(events), Progress) for _ in range(3)] == [True, False, True]
    with torch.no_grad():
        next(iter(one.model.parameters())).fill_(math.nan)
    with pytest.raises(Diverged, match=r"no longer a number at step \d+; lower train.learning_rate"):
        list(events)
    assert one.scaler is not None and one.scaler.get_scale() < 1
    assert 17 < one.done <= 100


def test_it_resumes_with_its_scale_bit_for_bit():
    """Through the bytes of trainer.pt, while the scale is still being found."""
    whole, first = trainer(steps=20), trainer(steps=20)
    for each in (whole, first):
        each.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=3)
    for _ in range(20):
        whole.step()
    for _ in range(9):
        first.step()
    buffer = io.BytesIO()
    torch.save(checkpoints.take(first).state, buffer)
    second = trainer(steps=20)
    second.scaler = torch.amp.GradScaler("cpu", growth_interval=3)
    second.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    while second.done < 20:
        second.step()

    assert second.scaler.state_dict() == whole.scaler.state_dict()  # type: ignore[union-attr]
    ours, theirs = second.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_in_float16_finishes_with_finite_curves():
    """As a worker does it, saved and measured."""
    run = work.work(make_run("transformer", precision="float16", steps=30, eval_every=10).path)
    _, losses = MetricsReader(run.path).refresh().curve(TRAIN_LOSS)

    assert run.state is State.FINISHED and not [a for a in records.alerts(run.path) if a.kind in ("nan", "compile")]
    assert all(math.isfinite(loss) for loss in losses) and losses[-1] < losses[0]
    assert "scaler" in torch.load(run.path / layout.TRAINER, weights_only=True)


@pytest.mark.parametrize("wanted", ["float32", "bfloat16", "float16"])
def test_muon_multiplies_in_the_precision_of_the_run(wanted: str):
    [muon] = [part for part in trainer(precision=wanted, optimizer="muon").optimizers.parts if isinstance(part, Muon)]
    assert muon.precision is getattr(torch, wanted)
    weight = muon.param_groups[0]["params"][0]
    assert isinstance(weight, nn.Parameter) and weight.dtype is torch.float32
