"""Optimisers against plain arithmetic: Muon's update, and the schedule at its corners."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from core.training.config import TrainConfig
from core.training.muon import POLAR_EXPRESS, Muon, orthogonalise
from core.training.optimizers import schedule

SHAPES = [(16, 16), (8, 40), (40, 8), (30, 10)]


def by_hand(change: Tensor) -> Tensor:
    """Orthogonalise one matrix (m, n) as the polynomial is written, in float64."""
    x = (change.T if change.shape[0] > change.shape[1] else change).double()
    x = x / (x.norm() * 1.01 + 1e-7)
    for a, b, c in POLAR_EXPRESS:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if change.shape[0] > change.shape[1] else x


def gradients(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


@pytest.mark.parametrize("momentum", [0.0, 0.95])
def test_muon_is_momentum_made_orthogonal(momentum: float):
    """Weights of all shapes after three steps, the tall one of three maps taken apart, by arithmetic in float64."""
    weights = [nn.Parameter(w) for w in gradients(0)]
    expected, velocities = [w.detach().double() for w in weights], [torch.zeros(s).double() for s in SHAPES]
    muon = Muon(weights, lambda weight: 3 if weight is weights[3] else 1, 0.02, 0.1, momentum)
    for step in range(3):
        for weight, gradient in zip(weights, gradients(step + 1), strict=True):
            weight.grad = gradient
        muon.step()
        for i, gradient in enumerate(gradients(step + 1)):
            velocities[i] = momentum * velocities[i] + (1 - momentum) * gradient.double()
            update = (1 - momentum) * gradient.double() + momentum * velocities[i]
            parts = 3 if i == 3 else 1
            straight = torch.cat([by_hand(part) for part in update.chunk(parts)])
            rows = SHAPES[i][0] // parts
            expected[i] = expected[i] * (1 - 0.02 * 0.1) - 0.02 * math.sqrt(max(1, rows / SHAPES[i][1])) * straight

    for weight, wanted in zip(weights, expected, strict=True):
        assert torch.allclose(weight.double(), wanted, atol=2e-5)
    kept = [muon.state[weight]["momentum_buffer"] for weight in weights]
    assert all(torch.allclose(ours.double(), v, atol=1e-5) for ours, v in zip(kept, velocities, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_singular_values_go_through_the_polynomial_and_vectors_stay(dtype: torch.dtype, size: float):
    """In every precision, however large the gradient: float16 could hold no norm above 65,504."""
    matrices = size * torch.randn(5, 16, 64, generator=torch.Generator().manual_seed(1))
    straight = orthogonalise(matrices, dtype)
    U, S, Vh = torch.linalg.svd(matrices, full_matrices=False)
    wanted = S / (S.norm(dim=1, keepdim=True) * 1.01)  # (5, 16)
    for a, b, c in POLAR_EXPRESS:
        wanted = a * wanted + b * wanted**3 + c * wanted**5

    assert straight.dtype is torch.float32
    inner = U.mT @ straight @ Vh.mT  # (5, 16, 16)
    assert torch.allclose(inner, torch.diag_embed(wanted), atol=1e-4 if dtype is torch.float32 else 0.1)


def test_no_singular_value_is_left_small():
    """What three steps of the polynomial make of those from a hundredth of the largest on: 0.18 to 1.87."""
    values = torch.logspace(-2, math.log10(1 / 1.01), 1000)
    for a, b, c in POLAR_EXPRESS:
        values = a * values + b * values**3 + c * values**5
    assert float(values.min()) > 0.18 and float(values.max()) < 1.88


def test_muon_takes_the_step_of_torchs_own():
    """On a square matrix, but for the polynomial, of which torch's takes five cheaper steps: both are near U V'."""
    start = torch.randn(32, 32, generator=torch.Generator().manual_seed(2))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    one = Muon([ours], lambda weight: 1, 0.02, 0.1, 0.95)
    other = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)
    for step in range(3):
        gradient = torch.randn(32, 32, generator=torch.Generator().manual_seed(10 + step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()

    moved, its = (ours - start).detach().flatten(), (theirs - start).detach().flatten()
    assert float(torch.cosine_similarity(moved, its, dim=0)) > 0.9
    assert float(moved.norm() / its.norm()) == pytest.approx(1.0, abs=0.3)


def test_weights_without_gradient_are_left_alone():
    weights = [nn.Parameter(torch.ones(4, 4)) for _ in range(2)]
    muon = Muon(weights, lambda weight: 1, 0.1, 0.1, 0.9)
    muon.step()
    assert all(torch.equal(w, torch.ones(4, 4)) for w in weights) and not muon.state
    weights[1].grad = torch.eye(4)
    muon.step()
    assert torch.equal(weights[0], torch.ones(4, 4)) and not torch.equal(weights[1], torch.ones(4, 4))


def rates(**changes: object) -> list[float]:
    config = TrainConfig.parse(changes)
    return [schedule(step, config) for step in range(config.steps)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 4}, [1, 1, 1, 1]),
        ({"steps": 1, "warmup": 1, "cooldown": 1.0}, [0.5]),
        ({"steps": 4, "warmup": 1}, [1, 1, 1, 1]),
        ({"steps": 4, "warmup": 4}, [0.25, 0.5, 0.75, 1]),
        ({"steps": 4, "warmup": 8}, [0.125, 0.25, 0.375, 0.5]),  # never gets to the top
        ({"steps": 4, "cooldown": 0.5}, [1, 1, 2 / 3, 1 / 3]),
        ({"steps": 4, "cooldown": 1.0}, [0.8, 0.6, 0.4, 0.2]),
        ({"steps": 4, "cooldown": 0.1}, [1, 1, 1, 1]),  # less than half a step
        ({"steps": 4, "warmup": 4, "cooldown": 1.0}, [0.25, 0.5, 0.4, 0.2]),  # whichever is lower
    ],
)
def test_the_schedule_at_its_corners(changes: dict[str, object], expected: list[float]):
    """No step is taken at rate zero: the rise ends at 1, the fall would reach 0 one step after the last."""
    assert rates(**changes) == pytest.approx(expected)


def test_the_schedule_is_a_trapezium():
    found = rates(steps=100, warmup=10, cooldown=0.4)
    rise = [b - a for a, b in itertools.pairwise(found[:10])]
    fall = [a - b for a, b in itertools.pairwise(found[60:])]

    assert found[9:60] == [1.0] * 51
    assert rise == pytest.approx([0.1] * 9) and fall == pytest.approx([1 / 41] * 39)
    assert found[60] == pytest.approx(40 / 41) and found[-1] == pytest.approx(1 / 41)
