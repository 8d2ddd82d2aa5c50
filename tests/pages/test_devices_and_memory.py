"""The form of a rung: which device, and a warning where memory will not suffice."""

import pytest
import torch

from core.jobs import processes
from core.models import memory
from core.runs.state import Run
from tests.pages.test_pages import draw


@pytest.fixture(autouse=True)
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands by."""
    monkeypatch.setattr(processes, "warm", lambda: None)


def test_a_run_too_large_for_the_memory_asks_for_a_tick(monkeypatch: pytest.MonkeyPatch, taken: list[Run]):
    monkeypatch.setattr(memory, "available", lambda: 200_000_000)
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
    choice = app.segmented_control(key="mlp.run.device")
    assert list(choice.options) == ["auto", "cuda", "cuda:0", "cuda:1", "cpu"]
    choice.set_value("cpu").run()
    assert not app.exception
    assert any("--device cpu" in str(each.value) for each in app.code)
    app.button(key="mlp.train").click().run()
    assert taken[0].need().device == "cpu"
