"""Optimisers against plain arithmetic: Muon's update, and the schedule at its corners."""

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.training.config import TrainConfig
from core.training.muon import POLAR_EXPRESS, Muon, orthogonalise
from core.training.optimizers import Optimizers, schedule
from tests.conftest import TINY

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


# --- the optimisers of a model, under one schedule -------------------------------------------------------------------

RISING = {"steps": 10, "warmup": 4, "learning_rate": 0.01, "weight_decay": 0.1, "beta2": 0.95}


def optimised(optimizer: str, key: str = "mlp", **changes: object) -> tuple[LanguageModel, Optimizers]:
    torch.manual_seed(0)
    model = RUNGS[key].build(RUNGS[key].config.parse(TINY[key]["model"]), 11)
    return model, Optimizers(model, TrainConfig.parse({**RISING, "optimizer": optimizer, **changes}))


def gradients_of(model: nn.Module, seed: int) -> list[Tensor]:
    """Give every weight a gradient, and return them."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    return [weight.grad.double() for weight in model.parameters() if weight.grad is not None]


def test_adamw_by_arithmetic_while_the_rate_rises():
    """Kingma and Ba (2015), algorithm 1, with the decay of Loshchilov and Hutter (2019) taken off first."""
    model, optimisers = optimised("adamw")
    expected = [weight.detach().double() for weight in model.parameters()]
    first, second = [torch.zeros_like(w) for w in expected], [torch.zeros_like(w) for w in expected]
    for step in range(3):
        rate = 0.01 * (step + 1) / 4
        for i, g in enumerate(gradients_of(model, step)):
            first[i], second[i] = 0.9 * first[i] + 0.1 * g, 0.95 * second[i] + 0.05 * g**2
            m, v = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.95 ** (step + 1))
            expected[i] = expected[i] * (1 - rate * 0.1) - rate * m / (v.sqrt() + 1e-8)
        optimisers.step(step)
        assert optimisers.learning_rate == pytest.approx(rate)
        assert all(weight.grad is None for weight in model.parameters())

    for weight, wanted in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(weight.double(), wanted, atol=1e-6)


def test_sgd_follows_the_gradient():
    model, optimisers = optimised("sgd")
    before = [weight.detach().double() for weight in model.parameters()]
    found = gradients_of(model, 0)
    optimisers.step(1)
    for weight, w, g in zip(model.parameters(), before, found, strict=True):
        assert torch.allclose(weight.double(), w - 0.005 * (g + 0.1 * w), atol=1e-7)


def test_muon_has_the_hidden_matrices_and_adamw_the_rest():
    model, optimisers = optimised("muon", "transformer", muon_learning_rate=0.03, muon_momentum=0.8)
    rest, muon = optimisers.parts
    (group,), hidden = muon.param_groups, list(model.hidden_matrices())

    assert isinstance(muon, Muon) and hidden
    assert [id(weight) for weight in group["params"]] == [id(weight) for weight in hidden]
    assert {id(w) for part in (rest, muon) for g in part.param_groups for w in g["params"]} == {
        id(weight) for weight in model.parameters()
    }
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.03, 0.8, 0.1)
    assert {muon.stacked(weight) for weight in hidden} == {1, 3}  # queries, keys and values are three matrices
    assert len(optimised("muon", "bigram")[1].parts) == 1


def test_a_rate_is_changed_from_the_next_step_on():
    """Each of the two by its name; the warm-up still applies."""
    model, optimisers = optimised("muon")

    def rates_of(step: int) -> tuple[float, ...]:
        gradients_of(model, step)
        optimisers.step(step)
        return tuple(part.param_groups[0]["lr"] for part in optimisers.parts)

    assert rates_of(0) == pytest.approx((0.0025, 0.005))
    optimisers.set_rate("muon_learning_rate", 0.4)
    assert rates_of(1) == pytest.approx((0.005, 0.2))
    optimisers.set_rate("learning_rate", 0.1)
    assert rates_of(2) == pytest.approx((0.075, 0.3))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_state_taken_up_goes_on_as_if_never_interrupted(optimizer: str):
    model, optimisers = optimised(optimizer)
    gradients_of(model, 0)
    optimisers.step(0)
    twin = copy.deepcopy(model)
    other = Optimizers(twin, optimisers.config)
    other.load_state_dict(copy.deepcopy(optimisers.state_dict()))
    for m, o in ((model, optimisers), (twin, other)):
        gradients_of(m, 1)
        o.step(1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("overflow", [False, True])
def test_a_scaler_keeps_weights_where_a_gradient_has_overflowed(overflow: bool):
    model, optimisers = optimised("adamw")
    scaler, before = GradScaler("cpu", init_scale=8.0), copy.deepcopy(model)
    scaler.scale(torch.zeros(()))
    gradients_of(model, 0)
    if overflow:
        next(model.parameters()).grad[0] = torch.inf  # type: ignore[index]
    for part in optimisers.parts:
        scaler.unscale_(part)
    optimisers.step(0, scaler)

    same = [torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert all(same) if overflow else not any(same)
    assert all(weight.grad is None for weight in model.parameters())
