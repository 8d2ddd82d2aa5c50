"""No float64 on a device that has none, as Apple's: shown on a pretended one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.ladder.registry import RUNGS
from core.texts.corpus import Corpus
from core.training.loop import Evaluated, train
from core.training.trainer import Trainer
from tests.conftest import TINY


class Host:
    """Knows which tensors have been brought from the pretended device to the host."""

    def __init__(self) -> None:
        self.brought: dict[int, Tensor] = {}  # kept alive, or another storage might get the same address

    def take(self, value: Tensor) -> Tensor:
        """Remember a tensor."""
        self.brought[value.untyped_storage()._cdata] = value
        return value

    def has(self, value: Tensor) -> bool:
        """True if it was remembered, or shares the numbers of one that was."""
        return value.untyped_storage()._cdata in self.brought


class Transfers(TorchFunctionMode):
    """Makes `.cpu()` a copy to the host, as it is on a GPU."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return self.host.take(result.clone()) if func is Tensor.cpu else result


class NoFloat64(TorchDispatchMode):
    """Refuses every float64 that is not made from numbers on the host alone."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        result = func(*args, **(kwargs or {}))
        on_host = func is torch.ops.aten.lift_fresh.default or all(self.host.has(each) for each in inputs)
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                wide = value.dtype is torch.float64
                if wide and not on_host:
                    raise TypeError(f"float64 on the device, by {func}")
                if wide or (inputs and on_host and func is not torch.ops.aten._to_copy.default):
                    self.host.take(value)  # a narrower copy is what goes to the device
        return result


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(
    ("key", "model"),
    [
        *((key, {}) for key in TINY),
        ("bigram", {"fit": "count"}),
        ("bigram", {"order": 3}),
        ("mlp", {"batch_norm": True}),
    ],
)
def test_training_and_evaluation_need_no_float64(key: str, model: dict[str, object], optimizer: str, corpus: Corpus):
    """Every step, evaluation, diagnosis, sample, and what is looked at on the way."""
    rung = RUNGS[key]
    settings, config = rung.settings(None, {**TINY[key]["model"], **model}, {**TINY[key]["train"]})
    config = config.model_copy(update={"optimizer": optimizer, "grad_clip": 1.0})
    host = Host()
    with Transfers(host), NoFloat64(host):
        trainer = Trainer(
            rung.build(settings, corpus.tokenizer.size), config, corpus.train_ids[:3000], torch.device("cpu")
        )
        events = list(train(trainer, corpus.val_ids[:500], [0]))

    assert trainer.done == trainer.total
    assert sum(isinstance(event, Evaluated) for event in events) >= 1


@pytest.mark.parametrize("wrong", [lambda x: x.double(), lambda x: torch.add(x, x.cpu().double().sum()[None])])
def test_the_pretended_device_refuses(wrong: Callable[[Tensor], Tensor]):
    """Or the test above could not fail; what was brought to the host first is let through."""
    host = Host()
    with Transfers(host), NoFloat64(host):
        x = torch.ones(3)
        assert float(x.cpu().double().sum()) == 3
        with pytest.raises(TypeError, match="float64 on the device"):
            wrong(x)
