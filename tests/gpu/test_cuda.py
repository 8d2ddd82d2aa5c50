"""What only a GPU can show, each in a few seconds; passed over where there is none.

With BARDLAB_REHEARSE=1 the same lines run on the CPU (`tests/gpu/test_rehearsal.py` does that), so that none fails on a
GPU for want of a comma. What a rehearsal cannot ask, it leaves out.
"""

import functools
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from core import paths
from core.errors import BardlabError
from core.evaluation import evaluate
from core.jobs import control, timing, trial, work
from core.jobs.usage import Meter
from core.ladder import cost
from core.ladder.registry import RUNGS
from core.models import memory
from core.runs import checkpoints, editing, layout, plan, reading, records, requests
from core.runs.folder import State
from core.sampling import SamplingConfig, generate
from core.training import compiling, devices
from core.training.config import TrainConfig
from core.training.monitor import named_layers
from core.training.trainer import Trainer
from tests.conftest import TINY

REHEARSAL = os.environ.get("BARDLAB_REHEARSE") == "1"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not REHEARSAL and not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.filterwarnings("ignore:.*TensorFloat32"),  # the compiler recommends it
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]
GPU, CPU = torch.device("cpu" if REHEARSAL else "cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    """What a test took of the GPU is given back."""
    yield
    memory.release(GPU)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiler, from scratch; in a rehearsal one that makes graphs and no code of them."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    if REHEARSAL:
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    yield
    torch._dynamo.reset()


def free_bytes() -> int:
    return int(memory.room(GPU) if REHEARSAL else torch.cuda.mem_get_info()[0])


def trainer(
    device: torch.device = GPU, rung: str = "transformer", sizes: dict | None = None, **train: object
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
    run = work.work(editing.create(plan.plan(rung, model=tiny["model"], train=tiny["train"], device=GPU.type)).path)

    assert run.state is State.FINISHED, run.status.message
    assert run.status.device == GPU.type and run.status.device_name == devices.name_of(GPU)
    assert records.samples(run.path) and layout.snapshot_steps(run.path) and run.status.val_loss


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_losses_in_float32_are_those_of_the_cpu(rung: str, optimizer: str):
    pair = [trainer(device, rung, precision="float32", optimizer=optimizer) for device in (CPU, GPU)]
    limit = 1e-4 if optimizer == "adamw" else 2e-2  # Muon multiplies in bfloat16 where the hardware does
    for _ in range(5):
        here, there = (float(each.step()) for each in pair)
        assert here == pytest.approx(there, abs=limit)


@pytest.mark.usefixtures("compiler")
def test_compiling_leaves_weights_buffers_and_random_states_alone():
    made = trainer(compile="on", sizes={"dropout": 0.1})
    kept = {name: value.clone() for name, value in made.model.state_dict().items()}
    states = random_states()
    made.prepare()

    assert all(torch.equal(*pair) for pair in zip(states, random_states(), strict=True))
    assert all(torch.equal(value, kept[name]) for name, value in made.model.state_dict().items())


def random_states() -> list[torch.Tensor]:
    return [torch.get_rng_state(), *([] if REHEARSAL else [torch.cuda.get_rng_state()])]


@pytest.mark.usefixtures("compiler")
def test_a_graph_is_made_for_each_length_and_none_more():
    made = trainer(compile="on", short_first=0.7)
    made.prepare()
    assert made.compiled is not None, made.remarks
    for _ in range(20):
        made.step()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == len(compiling.lengths(16, 0.7)) == 3


def test_a_changed_rate_holds():
    made = trainer()
    made.step()
    made.rates = {1: {"learning_rate": 1e-2}}
    made.step()
    assert made.learning_rate == 1e-2 and made.optimizers.learning_rate == pytest.approx(1e-2)


def test_the_norms_of_a_step_are_those_of_autograd():
    """Of the whole gradient and of each layer's, taken at the step that the monitor looks at."""
    made, other = trainer(precision="float32", grad_clip=0.0), trainer(precision="float32", grad_clip=0.0)
    made.step()
    x, y = other.batch()
    F.cross_entropy(other.model(x).flatten(0, 1), y.flatten()).backward()

    def norm(part: torch.nn.Module) -> float:
        return math.sqrt(sum(float(p.grad.double().cpu().square().sum()) for p in part.parameters()))

    assert float(made.grad_norm) == pytest.approx(norm(other.model), rel=1e-4)
    found = {tag: value for tag, value in made.monitor.take().items() if tag.startswith("grad_norm/")}
    assert found == {
        f"grad_norm/{name}": pytest.approx(norm(part), rel=1e-4) for name, part in named_layers(other.model)
    }


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
    torch.manual_seed(1)
    checkpoints.restore(tmp_path, second)
    resumed = [float(second.step()) for _ in range(3)]
    checkpoints.restore(tmp_path, first)
    assert [float(first.step()) for _ in range(3)] == pytest.approx(resumed, abs=1e-3)


def test_out_of_memory_is_recognised_and_the_batch_named_fits():
    with pytest.raises(Exception) as caught:
        torch.empty(free_bytes() + 2**45, dtype=torch.uint8, device=GPU)
    assert memory.is_out_of_memory(caught.value)
    memory.let_go(caught.value)
    take = 1 if REHEARSAL else max(1, free_bytes() - 2_000_000_000)
    ballast = torch.empty(take, dtype=torch.uint8, device=GPU)
    preset, batch = ("seconds", 4) if REHEARSAL else ("reference", 1024)
    config = plan.plan("transformer", preset=preset, train={"batch_size": batch, "compile": "off"})
    fits = timing.fitting_batch(config, GPU)
    assert 1 < fits <= batch // 2
    smaller = config.train.model_copy(update={"batch_size": fits})
    made = Trainer(config.rung.build(config.model_config_, 65), smaller, torch.arange(4000) % 65, GPU)
    made.step()
    timing.synchronise(GPU)
    del ballast, made


def test_the_memory_shown_is_what_is_allocated():
    preset = "seconds" if REHEARSAL else "best"
    model, train = RUNGS["transformer"].settings(preset, {}, {"short_first": 0.0, "compile": "off"})
    memory.release(GPU)
    torch.cuda.reset_peak_memory_stats() if not REHEARSAL else None
    before = torch.cuda.memory_allocated()
    made = Trainer(RUNGS["transformer"].build(model, 65), train, torch.arange(4000) % 65, GPU)
    for _ in range(2):
        made.step()
    evaluate(made.model, made.train_ids)
    peak = torch.cuda.max_memory_allocated() - before
    shown = cost.cost(RUNGS["transformer"], model, train, 65, "cuda").memory_bytes
    assert shown > 0 and (REHEARSAL or 0.75 <= shown / peak <= 1.25)


def test_a_tiny_product_tells_a_usable_gpu_from_one_that_is_too_old(monkeypatch: pytest.MonkeyPatch):
    assert devices.usable(GPU) is None
    old(monkeypatch, 3, 5)
    assert "compute capability is 3.5" in (devices.usable(torch.device("cuda")) or "")


def old(monkeypatch: pytest.MonkeyPatch, *capability: int) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90"])


def test_what_auto_takes_where_the_gpu_is_too_old_for_this_torch(monkeypatch: pytest.MonkeyPatch):
    old(monkeypatch, 6, 1)
    device, why = trial.settle("auto", torch.device("cuda"))
    assert device == CPU and "compute capability is 6.1" in why
    asked, _ = trial.settle("cuda", torch.device("cuda"))
    assert asked.type == "cuda"


def test_bfloat16_is_refused_where_it_is_only_emulated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(devices.PRECISION, raising=False)
    for capability, meant in (((6, 1), torch.float32), ((7, 5), torch.float16), ((8, 0), torch.bfloat16)):
        old(monkeypatch, *capability)
        assert devices.precision("auto", torch.device("cuda")) is meant
        if capability < (8, 0):
            with pytest.raises(BardlabError, match="this GPU has no bfloat16"):
                devices.precision("bfloat16", torch.device("cuda"))


def test_loading_a_model_leaves_the_gpu_alone(tmp_path):
    """As the server of the pages does, in a process of its own."""
    tiny = TINY["transformer"]
    run = work.work(editing.create(plan.plan("transformer", **tiny, device="cpu")).path)
    code = "import torch; from core.runs import checkpoints, reading\n"
    code += f"checkpoints.load_model(reading.find({run.slug!r})); print(torch.cuda.is_initialized())"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_text_with_three_hundred_characters():
    """The table of the embedding, the last layer and the sampling are as wide as the alphabet."""
    model = RUNGS["transformer"].config.parse(TINY["transformer"]["model"])
    train = TrainConfig.parse({"steps": 4, "batch_size": 4, "window": 16, "compile": "off"})
    made = Trainer(RUNGS["transformer"].build(model, 300), train, torch.arange(4000) * 7 % 300, GPU)
    for _ in range(4):
        loss = float(made.step())
    some = list(generate(made.model.eval(), [299], SamplingConfig(tokens=20)))
    assert loss == pytest.approx(math.log(300), abs=1.0)
    assert evaluate(made.model, made.train_ids).predictions == 3999
    assert len(some) == 20 and all(0 <= each.id < 300 for each in some)


def test_the_meters_read():
    found = Meter(GPU.type).read()
    if not REHEARSAL:
        assert found.gpu_memory_total and found.gpu_memory is not None and found.gpu_memory <= found.gpu_memory_total
    assert found.memory > 0


@pytest.mark.parametrize("sizes", [{"context": 1024}, {"d_model": 4}, {"d_model": 48}, {"d_model": 192}])
def test_unusual_contexts_and_heads_have_a_backward_pass(sizes: dict):
    made = trainer(sizes=sizes, window=0, batch_size=2)
    made.step()
    assert torch.isfinite(made.grad_norm)


def test_pausing_stepping_and_going_on_leaves_a_run_that_finishes():
    """Held still after two steps, one more on request, then to the end."""
    tiny = TINY["transformer"]
    run = editing.create(plan.plan("transformer", **tiny, device=GPU.type))
    requests.hold(run, 2)
    seen: list[int] = []

    def attend() -> None:
        try:
            for step in (2, 3):
                held = control.wait_for_state(run, State.PAUSED, 20.0)
                while held.status.step < step and held.state.active:
                    held = reading.read(run.path)
                seen.append(held.status.step)
                if step == 2:
                    control.single_step(held)
        finally:
            requests.release(run)

    helper = threading.Thread(target=attend)
    helper.start()
    done = work.work(run.path)
    helper.join(60)
    assert done.state is State.FINISHED and seen == [2, 3]
