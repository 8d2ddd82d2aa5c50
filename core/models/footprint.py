"""What one pass through a model takes: operations, arithmetic and the most bytes held at once.

The real model runs on torch's `meta` device, which has shapes but no numbers, so the largest one costs nothing. Every
storage is counted from the operation that makes it until nobody holds it any more. Two things depend on the device and
are put in place of what `meta` would do: attention that never writes its pattern out, and products in bfloat16.
"""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.flop_counter import flop_registry

from core.models.contract import LanguageModel
from core.models.heap import Heap, taken

LOWERED = {
    F.linear,
    F.conv1d,
    torch.conv1d,
    torch.matmul,
    torch.bmm,
    Tensor.matmul,
    Tensor.__matmul__,
    F.scaled_dot_product_attention,
}
"""What autocast multiplies in bfloat16."""
FILLS = {
    nn.init.constant_,
    nn.init.kaiming_uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    Tensor.fill_,
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.zero_,
}
"""What draws weights."""
SUMS = {torch.lstm: 4, torch.gru: 3, torch.rnn_tanh: 1}
"""Recurrent layers that run in one kernel, and how many sums each of their units makes at a step."""
AT_A_STEP = 4
"""Operations of such a kernel at one character: two products and what joins them."""
OUTCOMES = 4096
"""How many outcomes of operations are kept, of some hundred bytes each."""


@dataclass(frozen=True)
class Footprint:
    """One pass: a training step's forward and backward, or a forward alone."""

    operations: int
    """Operations of the forward pass, about as many as kernels are launched."""
    flops: float
    """Floating-point operations of the forward pass; counted in training only."""
    made_bytes: int
    """Bytes written by the forward pass."""
    peak_bytes: int
    """The most that was held at once, weights left out, gradients not."""


class _Undrawn(TorchFunctionMode):
    """Leaves weights as they are: without numbers there is nothing to draw."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@dataclass(frozen=True)
class _Outcome:
    """What an operation makes of tensors with given shapes: tensors in memory of their own, and arithmetic."""

    tensors: tuple[tuple[tuple[int, ...], tuple[int, ...], torch.dtype] | None, ...]
    """Shape, strides and type of each."""
    alone: bool
    """True if it is one tensor rather than several."""
    flops: int

    def again(self) -> Any:
        """Make the same."""
        out = [each and torch.empty_strided(each[0], each[1], dtype=each[2], device="meta") for each in self.tensors]
        return out[0] if self.alone else tuple(out)


_outcomes: dict[Any, _Outcome] = {}
"""By operation and what it is given: a layer does what the layer before it did, and a model mostly what another did."""


class _Remembering(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Works out once what an operation makes of tensors with given shapes, which takes `meta` half a millisecond."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self.outcome(func, args, kwargs or {})[0]

    def outcome(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, int]:
        """Return what an operation makes, and its floating-point operations."""
        asked = func, _outline(args), _outline(tuple(kwargs.items()))
        if known := _outcomes.get(asked):
            return known.again(), known.flops
        out = func(*args, **kwargs)
        count = flop_registry.get(func.overloadpacket)
        flops = count(*args, **kwargs, out_val=out) if count else 0
        if not func._schema.is_mutable and (found := _described(out, flops, (args, kwargs))):
            if len(_outcomes) >= OUTCOMES:
                _outcomes.clear()
            _outcomes[asked] = found
        return out, flops


def _outline(value: Any) -> Any:
    """What of an argument decides about the shape of the outcome."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, (tuple, list)):
        return tuple(map(_outline, value))
    return type(value), value


def _described(out: Any, flops: int, given: Any) -> _Outcome | None:
    """How to make something again, or None if it does not consist of `meta` tensors that fill memory of their own."""
    several = isinstance(out, (tuple, list))
    tensors = out if several else (out,)
    if not all(tensor is None or (isinstance(tensor, Tensor) and tensor.is_meta) for tensor in tensors):
        return None
    found = _Outcome(tuple(t if t is None else (t.shape, t.stride(), t.dtype) for t in tensors), not several, flops)
    new = not _storages(out).keys() & _storages(given).keys()
    return found if new and [*_storages(found.again()).values()] == [*_storages(out).values()] else None


def _storages(value: Any) -> dict[int, int]:
    """The bytes of each piece of memory in which tensors lie."""
    pieces = [tensor.untyped_storage() for tensor in tree_iter(value) if isinstance(tensor, Tensor)]
    return {piece._cdata: piece.nbytes() for piece in pieces}


@contextmanager
def weightless() -> Iterator[None]:
    """What is built meanwhile has shapes but no numbers."""
    with torch.device("meta"), _Undrawn(), _Remembering():
        yield


class _Live(_Remembering):  # type: ignore[no-untyped-call]
    """Counts the bytes of every storage that is alive."""

    def __init__(self, known: list[Tensor], heap: Heap | None) -> None:
        super().__init__()
        self.operations = self.flops = self.made = self.now = self._most = 0
        self._sizes = {t.untyped_storage()._cdata: 0 for t in known}
        self._known, self._heap = known, heap

    @property
    def peak(self) -> int:
        """The most that was taken up at once: in a heap with the holes between the blocks."""
        return self._most if self._heap is None else taken(self._most, self._heap.peak)

    def _gone(self, key: int) -> None:
        self.now -= self._sizes.pop(key)
        if self._heap is not None:
            self._heap.give_back(key)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out, flops = self.outcome(func, args, kwargs or {})
        self.operations += 1
        self.flops += flops
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if (key := storage._cdata) not in self._sizes:
                    size = self._sizes[key] = storage.nbytes()
                    self.now += size
                    self.made += size
                    if self._heap is not None:
                        self._heap.take(key, size)
                    weakref.finalize(storage, self._gone, key)
        self._most = max(self._most, self.now)
        return out


class _Fused(torch.autograd.Function):
    """Attention in the shape of a fused kernel: keeps queries, keys, values, result and one number a row."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out, rows = torch.empty_like(v), q.new_empty(q.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(q, k, v, out, rows)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(each) for each in ctx.saved_tensors[:3])


class _Cells(torch.autograd.Function):
    """A recurrent layer in the shape of a fused kernel: keeps its inputs, its states and all sums of its units.

    The way back takes as much again for their gradients, and where there are gates those sums once more, before it has
    the gradients of the inputs and the weights.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, sums: int, *weights: Tensor) -> tuple[Tensor, ...]:
        rows, length, _ = x.shape
        units = weights[1].shape[1]
        states, last = x.new_empty(rows, length, units), x.new_empty(1, rows, units)
        ctx.save_for_backward(x, states, x.new_empty(rows, length, sums * units), *weights)
        return states, last, torch.empty_like(last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, states, sums, *weights = ctx.saved_tensors
        gates = torch.empty_like(sums) if sums.shape[-1] > states.shape[-1] else None
        backwards = torch.empty_like(sums), gates
        found = torch.empty_like(x), None, *(torch.empty_like(weight) for weight in weights)
        del backwards
        return found


class _As(TorchFunctionMode):
    """Does on `meta` what a device would: products in its precision, attention by its kernel."""

    def __init__(self, kind: str, lowered: bool) -> None:
        super().__init__()
        self.kind, self.lowered = kind, lowered
        self.flops = 0.0
        self.operations = 0
        """Of kernels that do many at once."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.lowered and func in LOWERED and not (func is F.scaled_dot_product_attention and self.kind == "cpu"):
            args, kwargs = tree_map(_lower, args), tree_map(_lower, kwargs)
        if func is F.scaled_dot_product_attention and self._fused(*args, **kwargs):
            q, k, v = args[:3]
            self.flops += 2.0 * q.numel() * k.shape[-2] + 2.0 * q.shape[:-1].numel() * v.shape[-2:].numel()
            return _Fused.apply(q, k, v)  # type: ignore[no-untyped-call]
        if (sums := SUMS.get(func)) is not None:
            x, hidden, weights = args[:3]
            self.flops += 2.0 * x.shape[:2].numel() * sum(weight.numel() for weight in weights if weight.ndim == 2)
            self.operations += AT_A_STEP * x.shape[1]
            states, last, cell = _Cells.apply(x, sums, *weights)  # type: ignore[no-untyped-call]
            return (states, last, cell) if isinstance(hidden, tuple) else (states, last)
        return func(*args, **kwargs)

    def _fused(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Any = None, dropout: float = 0.0, *_: Any, **__: Any
    ) -> bool:
        """A CPU's kernel knows no dropout; Apple's keeps the pattern."""
        return self.kind == "cuda" or (self.kind == "cpu" and dropout == 0.0)


def _lower(value: Any) -> Any:
    return value.to(torch.bfloat16) if isinstance(value, Tensor) and value.dtype is torch.float32 else value


def footprint(model: LanguageModel, rows: int, window: int, *, kind: str, lowered: bool, training: bool) -> Footprint:
    """Run `rows` sequences of `window` characters through a model that was built `weightless`.

    `kind` is that of the device whose memory is meant, `lowered` says whether products are in bfloat16 there. With
    `training`, the gradient is computed too; without, the losses of all characters, as an evaluation does.
    """
    ids = torch.zeros((rows, window), dtype=torch.long, device="meta")  # (B, T)
    model.train(training)
    with ExitStack() as stack:
        stack.callback(model.zero_grad)
        stack.enter_context(torch.set_grad_enabled(training))
        live = stack.enter_context(
            _Live([ids, *model.parameters(), *model.buffers()], Heap() if kind == "cpu" else None)
        )
        as_there = stack.enter_context(_As(kind, lowered))
        stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=lowered and kind == "cpu"))
        logits = model(ids)
        flops = live.flops * training + as_there.flops
        operations, made = live.operations + as_there.operations, live.made
        loss = F.cross_entropy(logits.flatten(0, 1).float(), ids.flatten(), reduction="mean" if training else "none")
        del logits
        if training and loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        return Footprint(operations, flops, made, live.peak)
