"""Models are shared between visitors: looking into one does not disturb writing with it, nor the other way round."""

import ast
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from core.inspect.activations import health
from core.inspect.receptive import measured_field
from core.inspect.trace import capture, hooked
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.sampling import SamplingConfig, generate
from tests.conftest import TINY

ROOT = Path(__file__).parents[3]
VOCAB = 11
ALLOWED = {ROOT / "core" / "inspect" / "trace.py"}


def test_modules_are_listened_to_in_one_place_only():
    """A bare hook would hear, and change, what other threads compute with the same model."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("core", "pages")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path not in ALLOWED
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("register_") and node.attr.endswith("hook")
    ]
    assert not found


def build(key: str) -> LanguageModel:
    torch.manual_seed(3)
    rung = RUNGS[key]
    return rung.build(rung.config.parse(TINY[key]["model"]), VOCAB).eval()


def test_a_hook_acts_in_its_own_thread_only():
    model, found = build("mlp"), {}
    ids = torch.zeros((1, 4), dtype=torch.long)
    with torch.no_grad(), hooked([(model, capture(found, "logits")), (model, torch.zeros_like)]):
        others: list[torch.Tensor] = []
        thread = threading.Thread(target=lambda: others.append(model(ids).detach()))
        thread.start()
        thread.join()
        assert not found and others[0].any()
        assert not model(ids).any() and found["logits"].any()
    assert not model._forward_hooks


@pytest.mark.parametrize("key", ["mlp", "recurrent", "wavenet", "residual", "transformer"])
def test_looking_in_while_another_thread_writes(key: str):
    """What is measured is what is measured alone, and so is what is written."""
    model = build(key)
    ids = torch.randint(VOCAB, (400,), generator=torch.Generator().manual_seed(1))
    config = SamplingConfig(tokens=60, seed=5)
    alone = measured_field(model, ids, 4).gradient, health(model, ids[None, :16], ids[None, 1:17])
    text = [choice.id for choice in generate(model, [1, 2], config)]
    stop, written, problems = threading.Event(), list[list[int]](), list[Exception]()

    def write() -> None:
        try:
            while not stop.is_set():
                written.append([choice.id for choice in generate(model, [1, 2], config)])
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(written) < 3 and not problems:
            field, layers = measured_field(model, ids, 4).gradient, health(model, ids[None, :16], ids[None, 1:17])
            np.testing.assert_allclose(field, alone[0], rtol=1e-5)
            for found, expected in zip(layers, alone[1], strict=True):
                assert (found.mean, found.std) == pytest.approx((expected.mean, expected.std), rel=1e-5)
    finally:
        stop.set()
        thread.join()
    assert not problems and all(each == text for each in written)
