"""What a pass takes is the same whether its operations were met before or not."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.ladder.registry import RUNGS
from core.models import footprint


@pytest.mark.parametrize("key", RUNGS)
def test_what_is_remembered_of_an_operation_changes_no_number(key: str, monkeypatch: pytest.MonkeyPatch):
    rung = RUNGS[key]
    config, _ = rung.settings(None, rung.tiny, {})
    with footprint.weightless():
        model = rung.build(config, 65)

    def looked() -> footprint.Footprint:
        training = not model.closed_form
        return footprint.footprint(model, 3, model.usual_window, kind="cpu", lowered=True, training=training)

    remembered = [looked(), looked()]
    monkeypatch.setattr(footprint, "_outcomes", {})
    monkeypatch.setattr(footprint, "_described", lambda *_: None)

    assert remembered == [looked()] * 2 and remembered[0].peak_bytes > 0
    assert not footprint._outcomes


@pytest.mark.parametrize("key", ["mlp", "wavenet", "residual", "transformer"])
def test_arithmetic_is_that_of_a_real_pass(key: str):
    rung = RUNGS[key]
    config, _ = rung.settings(None, rung.tiny, {})
    with footprint.weightless():
        model = rung.build(config, 65)
    real = rung.build(config, 65)
    ids = torch.zeros(3, model.usual_window, dtype=torch.long)

    with FlopCounterMode(display=False) as counter:
        real(ids)

    found = footprint.footprint(model, 3, model.usual_window, kind="cpu", lowered=False, training=True)
    assert found.flops == counter.get_total_flops() > 0


def test_a_model_without_weights_has_the_shapes_of_one_with_them():
    for rung in RUNGS.values():
        config, _ = rung.settings(None, rung.tiny, {})
        with footprint.weightless():
            model = rung.build(config, 65)
        real = rung.build(config, 65)

        assert all(tensor.is_meta for tensor in model.state_dict().values())
        assert {name: t.shape for name, t in model.state_dict().items()} == {
            name: t.shape for name, t in real.state_dict().items()
        }
