"""torch.compile: the same training where there is a compiler, the same training and one remark where it fails."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch._inductor import config as inductor

from core import alerts, runs, worker
from core.config import TrainConfig
from core.runs import State
from core.stages import STAGES
from core.training import Trainer
from tests.conftest import TINY, make_run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # its compiler uses what it deprecates


@pytest.fixture(autouse=True)
def nothing_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that was compiled before is found, so that the compiler is really asked."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


SMALL = {"transformer": {"n_layer": 1, "dropout": 0.0}, "mlp": {"dropout": 0.0, "batch_norm": True}}


def trainer(key: str = "transformer", **changes: object) -> Trainer:
    torch.manual_seed(0)
    stage = STAGES[key]
    model = stage.build(stage.config.parse({**TINY[key]["model"], **SMALL[key]}), 11)
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
    ended = [worker.work(run.path) for run in (plain, asked)]
    assert [run.state for run in ended] == [State.FINISHED] * 2
    told = [alert.text for alert in alerts.alerts(asked.path) if alert.kind == "compile"]
    assert len(told) == 1
    assert told[0].startswith("torch.compile failed, so training goes on without it: ")
    assert "\n" not in told[0]
    assert told[0] in runs.log_tail(asked.path, 5000)
    first, second = (load_file(run.path / runs.WEIGHTS) for run in (plain, asked))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_says_while_its_model_is_compiled(home: Path, monkeypatch: pytest.MonkeyPatch):
    """The status names what it is waiting for, until the first step."""
    run = make_run("transformer", compile="on")
    said: list[str] = []
    write = runs.write_status

    def prepare(trainer: Trainer) -> float:
        said.append(f"now: {runs.read(run.path).status.message}")
        return 0.0

    def written(path: Path, status: runs.Status) -> None:
        write(path, status)
        said.append(status.message)

    monkeypatch.setattr(Trainer, "prepare", prepare)
    monkeypatch.setattr(runs, "write_status", written)
    worker.work(run.path)

    at = said.index(f"now: {runs.COMPILING}")
    assert runs.TRAINING in said[at:] and runs.COMPILING not in said[at:]


def test_auto_leaves_a_processor_alone():
    assert not trainer(compile="auto", steps=5000).compiles
    assert trainer(compile="on").compiles
    assert not trainer(compile="off").compiles
