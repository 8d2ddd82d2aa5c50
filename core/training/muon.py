"""Muon: momentum whose update is made orthogonal (Jordan et al. 2024)."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
)
"""Coefficients of the first steps of the polar decomposition by Amsel et al. (2025), "The Polar Express", section 3."""


def orthogonalise(matrices: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """Replace the singular values of matrices (K, m, n), m ≤ n, by values near 1; singular vectors stay.

    Three steps of an odd polynomial in each matrix, whose coefficients push all singular values towards 1 at once,
    multiplied in the given precision.
    """
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)  # (K, m, n) singular values below 1
    x = x.to(precision)  # (K, m, n) only now: float16 could not hold the norm of large gradients
    for a, b, c in POLAR_EXPRESS:
        gram = x @ x.mT  # (K, m, m)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)  # (K, m, n) (a + bG + cG²) x
    straight: Tensor = x.to(matrices.dtype)  # (K, m, n)
    return straight


class Muon(Optimizer):
    """Momentum whose update is made orthogonal, for the matrices between hidden layers (Jordan et al. 2024).

    All matrices of one shape are orthogonalised together. A weight that holds several matrices one above another
    (queries, keys and values) is taken apart for it: `stacked` says how many each weight holds.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        stacked: Callable[[nn.Parameter], int],
        lr: float,
        weight_decay: float,
        momentum: float,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(list(params), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.stacked, self.precision = stacked, precision

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix once along its orthogonalised momentum, by `lr` · sqrt(max(1, rows / columns))."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            grads, velocities = [weight.grad for weight in weights], [self._velocity(weight) for weight in weights]
            torch._foreach_lerp_(velocities, grads, 1 - group["momentum"])
            updates = torch._foreach_lerp(grads, velocities, group["momentum"])  # Nesterov: look where it is going
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight, update in zip(weights, updates, strict=True):
                parts = self.stacked(weight)
                for piece, change in zip(weight.chunk(parts), update.chunk(parts), strict=True):
                    alike[piece.shape].append((piece, change))
            for (rows, columns), members in alike.items():
                pieces, changes = zip(*members, strict=True)
                together = torch.stack(changes)  # (K, rows, columns)
                if rows > columns:
                    straight = orthogonalise(together.mT, self.precision).mT.contiguous()  # (K, rows, columns)
                else:
                    straight = orthogonalise(together, self.precision)  # (K, rows, columns)
                rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
                torch._foreach_add_(pieces, straight.unbind(), alpha=-rate)

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity: Tensor = state["momentum_buffer"]
        return velocity
