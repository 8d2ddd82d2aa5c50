"""What a run will cost: exact where it can be counted, honest where it must be measured."""

from pathlib import Path

import pytest
import torch

from core.jobs import timing
from core.ladder import cost as ladder_cost
from core.ladder.cost import Cost
from core.ladder.registry import RUNGS
from core.models.contract import parameter_count
from core.runs import plan
from core.runs.state import RunConfig
from core.training import compiling
from core.training.config import TrainConfig
from tests.conftest import TINY

VOCAB = 65
PRESETS = [(key, name) for key, rung in RUNGS.items() for name in rung.presets]


def cost(key: str, preset: str | None = None, device: str = "cpu", **train: object) -> Cost:
    rung = RUNGS[key]
    return ladder_cost.cost(rung, *rung.settings(preset, {}, train), VOCAB, device)


@pytest.mark.parametrize(("key", "preset"), PRESETS)
def test_parts_add_up_to_the_whole(key: str, preset: str):
    """The listed components are all of the model, and the model is the one that is built."""
    found = cost(key, preset)
    rung = RUNGS[key]
    built = rung.build(rung.settings(preset, {}, {})[0], VOCAB)

    assert sum(count for _, count in found.parts) == found.parameters == parameter_count(built)
    assert found.flops_per_step > 0


def test_the_reference_has_its_published_size():
    assert cost("transformer", "reference").parameters == 10_788_929


@pytest.mark.parametrize("key", RUNGS)
def test_memory_grows_with_the_batch(key: str):
    """Weights are paid once, activations for each sequence: once these rule, twice as many take twice as much.

    That is so on a GPU; how many holes there are in a processor's heap depends on which sizes come together.
    """
    bytes_ = [cost(key, device="cuda", batch_size=size, window=64).training_bytes for size in (256, 512, 1024)]
    assert 0 < bytes_[0] < bytes_[1] < bytes_[2]
    assert bytes_[2] - bytes_[1] == pytest.approx(2 * (bytes_[1] - bytes_[0]), rel=0.02)


@pytest.mark.parametrize("key", RUNGS)
def test_memory_counts_the_optimisers_state(key: str):
    """AdamW keeps two numbers a weight, SGD none."""
    adamw, sgd = (cost(key, optimizer=name) for name in ("adamw", "sgd"))

    assert adamw.memory_bytes - sgd.memory_bytes == 8 * adamw.parameters


def test_arithmetic_grows_with_the_batch():
    """Twice the sequences, twice the floating-point operations, and at least 6 a weight and character."""
    one, two = cost("transformer", batch_size=8), cost("transformer", batch_size=16)

    assert two.flops_per_step == 2 * one.flops_per_step
    assert one.flops_per_step > 6 * 10_000_000 * 8 * one.window * 0.9


def whole(config: RunConfig, device: str) -> float | None:
    built = ladder_cost.cost(config.rung, config.model_config_, config.train, VOCAB, device)
    return timing.estimate_seconds(config.rung, config.model_config_, built, config.train, device, 111_540, VOCAB)


@pytest.mark.parametrize("key", RUNGS)
def test_no_estimate_before_a_measurement_one_after(key: str):
    """Nothing is guessed; after one real run there is a positive number, longer for more steps."""
    rung = RUNGS[key]
    tiny = TINY[key]
    config = plan.plan(key, model=tiny["model"], train=tiny["train"], device="cpu")
    built = ladder_cost.cost(rung, config.model_config_, config.train, VOCAB)

    assert not timing.known(rung, "cpu")
    assert whole(config, "cpu") is None

    timing.record(config, "cpu", 200.0)
    assert timing.known(rung, "cpu")
    assert timing.seconds_per_step(rung, "cpu", built, config.train) == pytest.approx(1 / 200)
    larger = config.train.model_copy(update={"batch_size": 64})
    more = ladder_cost.cost(rung, config.model_config_, larger, VOCAB)
    assert 1 / 200 <= (timing.seconds_per_step(rung, "cpu", more, larger) or 0) <= 16 / 200
    assert (whole(config, "cpu") or 0) >= config.train.steps / 200
    assert whole(config, "cuda") is None


def test_between_two_measurements_the_time_lies_between():
    rung = RUNGS["transformer"]
    small, large = (
        plan.plan("transformer", model=TINY["transformer"]["model"], train={"batch_size": n}) for n in (2, 200)
    )
    timing.record(small, "cpu", 1000.0)
    timing.record(large, "cpu", 50.0)
    between = TrainConfig(batch_size=20)
    middle = ladder_cost.cost(rung, small.model_config_, between, VOCAB)

    assert 1 / 1000 < (timing.seconds_per_step(rung, "cpu", middle, between) or 0) < 1 / 50


def test_rates_come_back_from_times_that_were_made_of_them():
    """Work whose times follow the model exactly is predicted exactly, far outside what was timed too."""
    works = [ladder_cost.Work(10 * i, 1e9 * i * i, 1e6 * (7 - i), 1e4 * i**3) for i in range(1, 7)]
    rates = (2e-5, 3e-11, 4e-10, 5e-9, 0.0)

    def real(work: ladder_cost.Work) -> float:
        return sum(a * b for a, b in zip(work.row, rates, strict=True))

    asked = ladder_cost.Work(500, 1e12, 1e9, 1e7)
    assert timing._predict([[*work.row, real(work)] for work in works], asked) == pytest.approx(real(asked), rel=1e-3)


def test_the_probe_takes_no_step_of_one_sequence_for_the_whole_of_a_batch(monkeypatch: pytest.MonkeyPatch):
    """What it times is at the presets' own batch or at a part of it that is said, with another that tells the rest."""
    timed: list[tuple[str, float]] = []
    monkeypatch.setattr(timing, "timed", lambda work, device, least: 0.01)
    monkeypatch.setattr(timing, "_remember", lambda key, work, seconds: timed.append((key.split("|")[0], work.flops)))
    rung, ids = RUNGS["mlp"], torch.arange(4000) % VOCAB
    timing.probe(rung, torch.device("cpu"), ids, VOCAB)

    assert [what for what, _ in timed] == ["step", "step", "evaluation", "writing"] * len(rung.presets)
    steps = [flops for what, flops in timed if what == "step"]
    assert steps[1] / steps[0] == pytest.approx(4)
    assert steps[1] == cost("mlp", "seconds", short_first=0.0).flops_per_step


def test_the_table_of_times_tells_hardware_and_number_format_apart(monkeypatch: pytest.MonkeyPatch):
    rung = RUNGS["mlp"]
    config = plan.plan("mlp", train={"precision": "float32"}, device="cpu")
    timing.record(config, "cpu", 10.0, "one processor")
    assert not timing.known(rung, "cpu")
    monkeypatch.setattr(timing.devices, "processor", lambda: "one processor")
    assert timing.known(rung, "cpu")
    timing.record(config, "cuda", 1000.0, "a GPU")
    timing.record(config, "cuda", 5000.0, "another GPU")
    built = cost("mlp", precision="float32")
    assert timing.seconds_per_step(rung, "cuda", built, config.train) == pytest.approx(1 / 5000)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"bigram/cpu": 3}', b"\xff\x00", b'{"bigram/cpu": [[1]]}'])
def test_a_damaged_table_of_times_is_no_table(content: bytes):
    """It only holds measurements: without it there is no estimate, and the next one starts it anew."""
    timing._file().parent.mkdir(parents=True)
    timing._file().write_bytes(content)

    assert not timing.known(RUNGS["bigram"], "cpu")
    timing.record(plan.plan("bigram"), "cpu", 10.0)
    assert timing.known(RUNGS["bigram"], "cpu")


def test_the_time_shown_holds_what_compiling_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As long as a graph takes for each length of sequence, less once it was compiled before, none if it never is."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    off, on = (
        plan.plan("transformer", preset="seconds", device="cpu", train={"compile": each, "short_first": 0.5})
        for each in ("off", "on")
    )
    timing.record(off, "cpu", 10.0)
    without, cold = whole(off, "cpu"), whole(on, "cpu")
    window = ladder_cost.cost(on.rung, on.model_config_, on.train, VOCAB).window
    graphs = len(compiling.lengths(window, 0.5))
    assert without and cold and cold == pytest.approx(without + compiling.seconds(graphs, warm=False))

    compiling.remember(on.model_config_, VOCAB, on.train, window, "cpu")
    assert whole(on, "cpu") == pytest.approx(without + compiling.seconds(graphs, warm=True))

    counted = plan.plan("bigram", preset="counted", device="cpu", train={"compile": "on"})
    timing.record(counted, "cpu", 10.0)
    assert (whole(counted, "cpu") or 0) < compiling.seconds(1, warm=True)
