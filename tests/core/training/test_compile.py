"""torch.compile: the same training where there is a compiler, the same training and one remark where it fails."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch._inductor import config as inductor

from core.jobs import work
from core.ladder.cost import cost
from core.ladder.registry import RUNGS
from core.ladder.rung import Rung
from core.runs import layout, reading, records, state
from core.runs.folder import State
from core.settings import Settings
from core.training import compiling
from core.training.config import TrainConfig
from core.training.loop import train
from core.training.trainer import Trainer
from tests.conftest import TINY, make_run

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),  # its compiler uses what it deprecates
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning"),  # and advises against exact products
]


@pytest.fixture(autouse=True)
def nothing_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that was compiled before is found, so that the compiler is really asked.

    But not whether it knows each of the processor's vector instructions, which takes some 8 seconds.
    """
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch._dynamo.reset()
    with inductor.patch({"cpp.vec_isa_ok": True}):
        yield
    torch._dynamo.reset()


SMALL = {"transformer": {"n_layer": 1, "dropout": 0.0}, "mlp": {"dropout": 0.0, "batch_norm": True}}


def trainer(key: str = "transformer", changed: Mapping[str, object] | None = None, **changes: object) -> Trainer:
    torch.manual_seed(0)
    rung = RUNGS[key]
    model = rung.build(rung.config.parse({**TINY[key]["model"], **SMALL[key], **(changed or {})}), 11)
    ids = torch.arange(400) * 7 % 11
    return Trainer(model, TrainConfig.parse({"steps": 8, "batch_size": 4, **changes}), ids, torch.device("cpu"))


@pytest.mark.parametrize(("key", "precision", "near"), [("transformer", "float32", 1e-4), ("mlp", "bfloat16", 1e-2)])
def test_a_compiled_model_trains_alike(key: str, precision: str, near: float):
    """Losses of each step agree, and compiling leaves the model as it was, running means included.

    To 1e-4 in float32. In bfloat16 a compiled model rounds less often, so only to the two digits of the format.
    """
    plain, compiled = (trainer(key, compile=wanted, precision=precision) for wanted in ("off", "on"))
    kept = {name: value.clone() for name, value in compiled.model.state_dict().items()}
    before = torch.get_rng_state()
    assert compiled.prepare() > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, kept[name]) for name, value in compiled.model.state_dict().items())
    assert (compiled.compiled is None) == bool(compiled.remarks) == (shutil.which("g++") is None)
    losses = [(float(plain.step()), float(compiled.step())) for _ in range(8)]
    assert max(abs(a - b) for a, b in losses) < near
    assert losses[0] != losses[-1]


def test_a_compiler_that_fails_is_told_once_and_the_run_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    plain, asked = make_run("transformer", compile="off"), make_run("transformer", compile="on")
    ended = [work.work(run.path) for run in (plain, asked)]
    assert [run.state for run in ended] == [State.FINISHED] * 2
    told = [alert.text for alert in records.alerts(asked.path) if alert.kind == "compile"]
    assert len(told) == 1
    assert told[0].startswith("torch.compile failed, so training goes on without it: ")
    assert "\n" not in told[0]
    assert told[0] in records.log_tail(asked.path, 5000)
    first, second = (load_file(run.path / layout.WEIGHTS) for run in (plain, asked))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_says_while_its_model_is_compiled(home: Path, monkeypatch: pytest.MonkeyPatch):
    """The status names what it is waiting for, until the first step."""
    run = make_run("transformer", compile="on")
    said: list[str] = []
    write = state.write_status

    def prepare(trainer: Trainer) -> float:
        said.append(f"now: {reading.read(run.path).status.message}")
        return 0.0

    def written(path: Path, status: state.Status) -> None:
        write(path, status)
        said.append(status.message)

    monkeypatch.setattr(Trainer, "prepare", prepare)
    monkeypatch.setattr(state, "write_status", written)
    work.work(run.path)

    at = said.index(f"now: {state.COMPILING}")
    assert state.TRAINING in said[at:] and state.COMPILING not in said[at:]


Backend = Callable[[torch.fx.GraphModule, list[torch.Tensor]], Callable[..., object]]


@pytest.fixture
def with_backend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Backend], None]:
    """Put something else in the place of the code generator; torch.compile does all the rest."""

    def use(backend: Backend) -> None:
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))

    return use


@pytest.mark.parametrize(("short_first", "lengths"), [(0.0, 1), (0.6, 3)])
@pytest.mark.parametrize("key", SMALL)
def test_each_length_takes_one_graph(
    key: str, short_first: float, lengths: int, with_backend: Callable[[Backend], None]
):
    """All are compiled before the first step, none again on the way, evaluations between included."""
    graphs: list[int] = []

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(len(graphs))
        return graph.forward

    with_backend(count)
    one = trainer(key, compile="on", short_first=short_first, steps=10, eval_every=3, window=16, sample_chars=3)
    one.model.train()
    one.prepare()
    assert len(graphs) == lengths

    list(train(one, torch.arange(60) % 11, [0]))
    assert one.done == 10 and len(graphs) == lengths and not one.remarks


@pytest.mark.parametrize("key", SMALL)
def test_a_graph_that_fails_at_the_first_real_step_costs_only_its_gain(
    key: str, with_backend: Callable[[Backend], None]
):
    """The step is taken again without a compiler: the same weights, running means and random state as without one."""

    def spoil(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        runs_ = iter((True, False))

        def forward(*arguments: torch.Tensor) -> object:
            torch.rand(3)
            result = graph.forward(*arguments)
            if not next(runs_):
                raise RuntimeError("a kernel failed\nin many lines")
            return result

        return forward

    with_backend(spoil)
    model = {"dropout": 0.3}
    plain, compiled = trainer(key, model, compile="off"), trainer(key, model, compile="on")
    torch.manual_seed(1)
    compiled.prepare()
    losses = [float(compiled.step()) for _ in range(3)]
    after = torch.get_rng_state()
    torch.manual_seed(1)

    assert losses == [float(plain.step()) for _ in range(3)]
    assert torch.equal(after, torch.get_rng_state())
    assert compiled.remarks == ["torch.compile failed, so training goes on without it: a kernel failed"]
    ours, theirs = compiled.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_no_memory_is_no_fault_of_the_compiler(with_backend: Callable[[Backend], None]):
    """It is passed on as what it is, whoever says so."""

    def spoil(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        raise RuntimeError("Triton Error [CUDA]: out of memory")

    with_backend(spoil)
    one = trainer(compile="on")
    with pytest.raises(Exception, match="out of memory"):
        one.prepare()
    assert not one.remarks


def test_auto_leaves_a_processor_alone():
    assert not trainer(compile="auto", steps=5000).compiles
    assert trainer(compile="on").compiles
    assert not trainer(compile="off").compiles


LAUNCHES = {"bigram": 0.001, "mlp": 0.002}
"""Seconds of starting the kernels of one step, which no card does faster; those of the other rungs take 6 ms."""


@pytest.mark.parametrize(("card", "warm"), [(0.008, False), (0.008, True), (0.06, False), (0.06, True)])
def test_auto_compiles_nothing_but_the_reference(card: float, warm: bool):
    """On a large card not even that the first time. `card` is the seconds of a step of the reference."""
    reference = cost(*of("transformer", "reference"), 65).flops_per_step
    compiled = []
    for key, rung in RUNGS.items():
        for preset in rung.presets:
            built, train_config = cost(*of(key, preset), 65), of(key, preset)[2]
            seconds = max(LAUNCHES.get(key, 0.006), card * built.flops_per_step / reference)
            graphs = len(compiling.lengths(built.window, train_config.short_first))
            if not built.fused and compiling.is_asked_for(train_config, "cuda", built.steps, seconds, graphs, warm):
                compiled.append((key, preset))

    assert compiled == ([("transformer", "reference")] if warm or card > 0.01 else [])


def of(key: str, preset: str) -> tuple[Rung, Settings, TrainConfig]:
    rung = RUNGS[key]
    return (rung, *rung.settings(preset, {}, {}))


@pytest.mark.parametrize("compile_", ["auto", "on", "off"])
@pytest.mark.parametrize("device", ["cpu", "mps", "cuda"])
def test_only_auto_asks_whether_it_is_worth_it(compile_: str, device: str):
    config = TrainConfig.parse({"compile": compile_})
    hours, blink = (compiling.is_asked_for(config, device, steps, 0.01, 1, False) for steps in (10**6, 10))

    assert blink == (compile_ == "on")
    assert hours == (compile_ == "on" or (compile_ == "auto" and device == "cuda"))


def test_what_was_compiled_is_kept_beside_the_runs_and_the_estimate_knows(
    home: Path, monkeypatch: pytest.MonkeyPatch, with_backend: Callable[[Backend], None]
):
    """And not in the folder for temporary files; the second time the estimate is of loading it."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    with_backend(lambda graph, inputs: graph.forward)
    one = trainer(compile="on", short_first=0.5, window=16)

    def estimate(**changes: object) -> float:
        config = one.config.model_copy(update=changes)
        return compiling.estimated_seconds(one.model.config, 11, config, one.window, "cpu", 1000, 0.01)

    assert estimate() == 3 * compiling.COLD
    one.prepare()
    assert compiling.folder() == home / "data" / "compiled" == Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert estimate() == 3 * compiling.WARM
    assert estimate(compile="off") == estimate(compile="auto") == 0
    assert estimate(batch_size=5) == 3 * compiling.COLD and estimate(seed=5) == 3 * compiling.WARM


@pytest.mark.parametrize(
    ("window", "short_first", "lengths"), [(256, 0.0, (256,)), (256, 0.1, (64, 128, 256)), (2, 0.5, (1, 2))]
)
def test_lengths_of_a_run(window: int, short_first: float, lengths: tuple[int, ...]):
    """Those that the steps really have, in their order."""
    assert compiling.lengths(window, short_first) == lengths
    if window <= 16:
        one = trainer(window=window, short_first=short_first, steps=40)
        seen = dict.fromkeys(one.length for one.done in range(40))
        assert tuple(seen) == lengths
