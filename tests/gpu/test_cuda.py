"""What only a GPU can show, each in a few seconds; passed over where there is none."""

from collections.abc import Iterator

import pytest
import torch

from core.evaluation import evaluate
from core.jobs import timing, work
from core.jobs.usage import Meter
from core.ladder import cost
from core.ladder.registry import RUNGS
from core.models import memory
from core.runs import checkpoints, editing, layout, plan, records, requests
from core.runs.folder import State
from core.training import devices
from core.training.config import TrainConfig
from core.training.trainer import Trainer
from tests.conftest import TINY

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.filterwarnings("ignore:.*TensorFloat32"),  # the compiler recommends it
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    """What a test took of the GPU is given back."""
    yield
    torch.cuda.empty_cache()


def trainer(
    device: torch.device = CUDA, rung: str = "transformer", sizes: dict | None = None, **train: object
) -> Trainer:
    tiny = TINY[rung]
    model = RUNGS[rung].config.parse({**tiny["model"], "dropout": 0.0, **(sizes or {})} if rung != "bigram" else {})
    checkpoints.seed_everything(0)
    built = RUNGS[rung].build(model, 11)
    config = TrainConfig.parse({"steps": 20, "batch_size": 4, "window": 16, "compile": "off", **train})
    return Trainer(built, config, torch.arange(4000) * 7 % 11, device)


@pytest.mark.parametrize("rung", RUNGS)
def test_every_rung_trains_to_its_end(rung: str):
    tiny = TINY[rung]
    run = work.work(editing.create(plan.plan(rung, model=tiny["model"], train=tiny["train"], device="cuda")).path)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.device == "cuda" and run.status.device_name == torch.cuda.get_device_name()
    assert records.samples(run.path) and layout.snapshot_steps(run.path) and run.status.val_loss


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_losses_in_float32_are_those_of_the_cpu(rung: str, optimizer: str):
    pair = [trainer(device, rung, precision="float32", optimizer=optimizer) for device in (CPU, CUDA)]
    limit = 1e-4 if optimizer == "adamw" else 2e-2  # Muon multiplies in bfloat16 where the hardware does
    for _ in range(5):
        here, there = (float(each.step()) for each in pair)
        assert here == pytest.approx(there, abs=limit)


def test_compiling_leaves_weights_buffers_and_random_states_alone():
    made = trainer(compile="on", sizes={"dropout": 0.1})
    kept = {name: value.clone() for name, value in made.model.state_dict().items()}
    states = torch.get_rng_state(), torch.cuda.get_rng_state()
    made.prepare()

    assert torch.equal(states[0], torch.get_rng_state()) and torch.equal(states[1], torch.cuda.get_rng_state())
    assert all(torch.equal(value, kept[name]) for name, value in made.model.state_dict().items())
    torch._dynamo.reset()


def test_a_changed_rate_holds_and_the_monitors_norms_are_those_of_autograd():
    made = trainer()
    made.step()
    made.rates = {1: {"learning_rate": 1e-2}}
    made.step()
    assert made.learning_rate == 1e-2 and made.optimizers.learning_rate == pytest.approx(1e-2)
    assert float(made.grad_norm) > 0


def test_a_run_of_the_gpu_goes_on_on_the_cpu(tmp_path):
    first = trainer(precision="float32")
    for _ in range(3):
        first.step()
    checkpoints.write(tmp_path, checkpoints.take(first))
    second = trainer(CPU, precision="float32")
    checkpoints.restore(tmp_path, second)

    assert second.done == 3
    assert float(second.step()) == pytest.approx(float(first.step()), abs=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_takes_the_same_next_step(tmp_path, optimizer: str):
    first = trainer(optimizer=optimizer, short_first=0.5, sizes={"dropout": 0.1})
    for _ in range(9):
        first.step()
    checkpoints.write(tmp_path, checkpoints.take(first))
    second = trainer(optimizer=optimizer, short_first=0.5, sizes={"dropout": 0.1})
    checkpoints.restore(tmp_path, second)
    torch.cuda.manual_seed(1)
    checkpoints.restore(tmp_path, second)
    resumed = [float(second.step()) for _ in range(3)]
    checkpoints.restore(tmp_path, first)
    assert [float(first.step()) for _ in range(3)] == pytest.approx(resumed, abs=1e-3)


def test_out_of_memory_is_recognised_and_the_batch_named_fits():
    free = torch.cuda.mem_get_info()[0]
    with pytest.raises(Exception) as caught:
        torch.empty(free + 2**33, dtype=torch.uint8, device=CUDA)
    assert memory.is_out_of_memory(caught.value)
    memory.let_go(caught.value)
    ballast = torch.empty(max(1, torch.cuda.mem_get_info()[0] - 2_000_000_000), dtype=torch.uint8, device=CUDA)
    config = plan.plan("transformer", preset="reference", train={"batch_size": 1024, "compile": "off"})
    fits = timing.fitting_batch(config, CUDA)
    assert 1 < fits < 512
    smaller = config.train.model_copy(update={"batch_size": fits})
    made = Trainer(config.rung.build(config.model_config_, 65), smaller, torch.arange(4000) % 65, CUDA)
    made.step()
    torch.cuda.synchronize()
    del ballast, made


def test_the_memory_shown_is_what_is_allocated():
    model, train = RUNGS["transformer"].settings("best", {}, {"short_first": 0.0, "compile": "off"})
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    made = Trainer(RUNGS["transformer"].build(model, 65), train, torch.arange(4000) % 65, CUDA)
    for _ in range(2):
        made.step()
    evaluate(made.model, made.train_ids)
    peak = torch.cuda.max_memory_allocated() - before
    shown = cost.cost(RUNGS["transformer"], model, train, 65, "cuda").memory_bytes
    assert 0.75 <= shown / peak <= 1.25


def test_a_tiny_product_tells_a_usable_gpu_from_one_that_is_too_old(monkeypatch: pytest.MonkeyPatch):
    assert devices.usable(CUDA) is None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (3, 5))
    assert "compute capability is 3.5" in (devices.usable(CUDA) or "")


def test_the_meters_read():
    found = Meter("cuda").read()
    assert found.gpu_memory_total and found.gpu_memory is not None and found.gpu_memory <= found.gpu_memory_total


@pytest.mark.parametrize("sizes", [{"context": 1024}, {"d_model": 4}, {"d_model": 48}, {"d_model": 192}])
def test_unusual_contexts_and_heads_have_a_backward_pass(sizes: dict):
    made = trainer(sizes=sizes, window=0, batch_size=2)
    made.step()
    assert torch.isfinite(made.grad_norm)


def test_pausing_and_going_on_leaves_a_run_that_finishes():
    tiny = TINY["transformer"]
    run = editing.create(plan.plan("transformer", model=tiny["model"], train=tiny["train"], device="cuda"))
    requests.hold(run, 2)
    requests.release(run)
    assert work.work(run.path).state is State.FINISHED
