"""What is measured inside the training loop: gradient norms layer by layer, and how far each step moves each matrix.

Rarely, and never for more than a hundredth of the training time: what can be computed later from saved weights and
the text is computed then, by `core.inspect`.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from core.training.devices import drain

GRAD_NORM, UPDATE_RATIO = "grad_norm/", "update_ratio/"
POINTS = 200
"""At most this many measurements in a run."""
SHARE = 0.007
"""Of the training time; with what writing the measurements down costs it stays below a hundredth."""
FREE = 0.02
"""Seconds that may be spent before the first hundredth has been earned."""


def named_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts of a model that hold weights, in the order of the forward pass; lists of layers one by one.

    Layers of a list are numbered from 0 in two digits: `layers.07`.
    """
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList):
            parts = [(f"{name}.{i:02d}", part) for i, part in enumerate(child)]
        else:
            parts = [(name, child)]
        yield from ((label, part) for label, part in parts if any(True for _ in part.parameters()))


class Monitor:
    """Measures one training step in a while. `due` asks; `before` and `after` stand around the optimiser's step."""

    def __init__(self, model: nn.Module, total: int) -> None:
        self._stride = math.ceil(total / POINTS)
        layers = list(named_layers(model))
        self._weights = [p for _, layer in layers for p in layer.parameters()]
        self._layer_names = [name for name, _ in layers]
        counts = torch.tensor([sum(1 for _ in layer.parameters()) for _, layer in layers], dtype=torch.long)
        self._layer_of = torch.repeat_interleave(torch.arange(len(layers)), counts)  # (weights,)
        matrices = [(name.removesuffix(".weight"), p) for name, p in model.named_parameters() if p.ndim == 2]
        self._matrix_names, self._matrices = [name for name, _ in matrices], [p for _, p in matrices]
        self._norms: Sequence[Tensor] = ()
        self._copies: list[Tensor] = []
        self._looks = 0
        self._found: dict[str, float] = {}
        self.trained = self.spent = 0.0  # seconds
        self._seen: float | None = None

    def due(self, step: int) -> bool:
        """True if the step with this number (from 1) is to be measured. To be asked before every step."""
        now = time.perf_counter()
        if self._seen is not None:
            self.trained += now - self._seen
        self._seen = now
        wanted = step == 1 or step % self._stride == 0
        return wanted and self.spent <= SHARE * self.trained + FREE

    def away(self) -> None:
        """The loop has been busy with something else, such as an evaluation: that time is not training."""
        self._seen = None

    @torch.no_grad()
    def before(self) -> None:
        """Take gradient norms, and copies of the matrices: gradients are there, weights not yet moved."""
        self._looks += 1
        with self._timed():
            grads = [torch.zeros((), device=p.device) if p.grad is None else p.grad for p in self._weights]
            self._norms = torch._foreach_norm(grads) if grads else ()
            if self._matrices and not self._copies:
                self._copies = [torch.empty_like(p) for p in self._matrices]
            if self._matrices:
                torch._foreach_copy_(self._copies, [p.detach() for p in self._matrices])

    @torch.no_grad()
    def after(self) -> None:
        """Compare the matrices with their copies."""
        with self._timed():
            if self._norms and self._copies:
                self._compare()
            self._norms = ()

    def _compare(self) -> None:
        sizes = torch._foreach_norm(self._copies)
        torch._foreach_sub_(self._copies, [p.detach() for p in self._matrices])
        moved = torch._foreach_norm(self._copies)
        flat = torch.stack([*self._norms, *moved, *sizes]).float().cpu()  # one transfer
        squares = flat[: len(self._norms)] ** 2
        layers = torch.zeros(len(self._layer_names)).index_add_(0, self._layer_of, squares).sqrt()  # (layers,)
        change, size = flat[len(self._norms) :].view(2, -1)  # (matrices,) each
        ratios = (change / size).log10()
        self._found = {GRAD_NORM + n: v for n, v in zip(self._layer_names, layers.tolist(), strict=True)}
        self._found |= {UPDATE_RATIO + n: v for n, v in zip(self._matrix_names, ratios.tolist(), strict=True)}

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Add to what was spent, from when the device has done what it was given before until it has done this too.

        The first look is not counted: it also waits for its kernels to be loaded.
        """
        device = self._weights[0].device if self._weights else torch.device("cpu")
        drain(device)
        began = time.perf_counter()
        yield
        drain(device)
        if self._looks > 1:
            self.spent += time.perf_counter() - began

    def take(self) -> dict[str, float]:
        """Return what the latest step brought, by metric tag, and forget it; finite numbers only.

        `grad_norm/LAYER` is the Euclidean norm of the gradient of all weights of a layer, before any clipping.
        `update_ratio/MATRIX` is log10 of ‖update‖ / ‖weights‖ of one step; about -3 is healthy.
        """
        found, self._found = self._found, {}
        return {tag: value for tag, value in found.items() if math.isfinite(value)}
