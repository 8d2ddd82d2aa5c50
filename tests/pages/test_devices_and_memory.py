"""The form of a rung: which device, and a warning where memory will not suffice."""

import pytest
import torch

from core.jobs import processes
from core.models import memory
from core.runs.state import Run
from tests.pages.test_pages import draw
from tests.pages.test_runs_you_can_trust import choose


@pytest.fixture(autouse=True)
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands by."""
    monkeypatch.setattr(processes, "warm", lambda: None)


def test_a_run_too_large_for_the_memory_asks_for_a_tick(monkeypatch: pytest.MonkeyPatch, taken: list[Run]):
    monkeypatch.setattr(memory, "available", lambda: 301_000_000)
    app = draw("ladder/mlp.py")

    assert any("are free; lower train.batch" in str(each.value) for each in app.warning)
    assert app.button(key="mlp.train").disabled
    app.checkbox(key="mlp.short").check().run()
    assert not app.button(key="mlp.train").disabled
    assert any("--force" in str(each.value) for each in app.code)
    app.button(key="mlp.train").click().run()
    assert not app.exception
    config = taken[0].need()
    assert config.memory_needed and config.memory_needed > 200_000_000


def test_a_machine_with_one_device_offers_no_choice_and_one_with_a_gpu_does(
    monkeypatch: pytest.MonkeyPatch, taken: list[Run]
):
    app = draw("ladder/mlp.py")
    assert "mlp.run.device" not in [each.key for each in app.segmented_control]
    assert not app.warning
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    app = draw("ladder/mlp.py")
    assert list(app.segmented_control(key="mlp.run.device").options) == ["auto", "cuda", "cuda:0", "cuda:1", "cpu"]
    app.segmented_control(key="mlp.run.device").set_value("cuda").run()
    assert list(app.select_slider(key="mlp.train.devices").options) == ["1", "2"]  # as many as there are GPUs
    app.select_slider(key="mlp.train.devices").set_value(2).run()
    assert any("on each of 2 GPUs" in str(each.value) for each in app.caption)
    assert any("--set train.devices=2" in str(each.value) for each in app.code)
    app.segmented_control(key="mlp.run.device").set_value("cuda:1").run()
    assert not [each for each in app.select_slider if str(each.key).endswith("devices")]  # that one alone
    assert any("on the GPU" in str(each.value) for each in app.caption)
    app.segmented_control(key="mlp.run.device").set_value("cpu").run()
    assert not app.exception
    assert any("--device cpu" in str(each.value) for each in app.code)
    app.button(key="mlp.train").click().run()
    assert taken[0].need().device == "cpu"


def test_twins_too_large_for_the_memory_wait_for_the_same_tick(monkeypatch: pytest.MonkeyPatch, taken: list[Run]):
    monkeypatch.setattr(memory, "available", lambda: 301_000_000)
    app = draw("ladder/residual.py")
    assert app.button(key="residual.twins").disabled
    app.checkbox(key="residual.short").check().run()
    app.button(key="residual.twins").click().run()

    assert not app.exception and len(taken) == 2
    assert all((run.need().memory_needed or 0) > 200_000_000 for run in taken)


def test_a_sweep_too_large_for_the_memory_asks_for_a_tick(monkeypatch: pytest.MonkeyPatch, taken: list[Run]):
    monkeypatch.setattr(memory, "available", lambda: 301_000_000)
    app = draw("use/sweeps.py")
    assert any("runs will hardly fit" in str(each.value) for each in app.warning)
    assert app.button(key="sweep.go").disabled
    app.checkbox(key="sweep.short").check().run()
    app.button(key="sweep.go").click().run()

    assert not app.exception and len(taken) > 1
    assert all((run.need().memory_needed or 0) > 200_000_000 for run in taken)


def test_a_fork_too_large_for_the_memory_asks_for_a_tick(
    monkeypatch: pytest.MonkeyPatch, taken: list[Run], finished: Run
):
    monkeypatch.setattr(memory, "available", lambda: 301_000_000)
    app = choose(draw("use/runs.py"), [finished], 0)
    app.selectbox(key=f"fork.{finished.slug}.setting").set_value("model.n_layer").run()
    app.number_input(key=f"fork.{finished.slug}.seeds").set_value(2).run()
    next(slider for slider in app.slider if str(slider.key).endswith("n_layer")).set_value(3).run()
    assert any("3 of these 3 runs will hardly fit" in str(each.value) for each in app.warning)
    assert app.button(key=f"fork.{finished.slug}.go").disabled
    app.checkbox(key=f"fork.{finished.slug}.short").check().run()
    assert not app.button(key=f"fork.{finished.slug}.go").disabled
