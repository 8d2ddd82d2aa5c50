"""The gradient engine against torch: gradients, optimisers, landscapes, a net that learns."""

import math
import random

import numpy as np
import pytest
import torch

from core.scalars import autograd, optimizers
from core.scalars import net as scalars_net
from core.scalars.autograd import Value, backward_steps, graph, topological
from core.scalars.landscapes import SURFACES, Surface, descend
from core.scalars.net import Net, fit, mean_squared_error, wave
from core.scalars.optimizers import OPTIMIZERS, SGD, Adam


def random_graph(seed: int) -> tuple[Value, list[Value], torch.Tensor, list[torch.Tensor]]:
    """Apply the same 40 random operations to Values and to torch scalars; results are reused at random."""
    rng = random.Random(seed)
    numbers = [rng.uniform(-2, 2) for _ in range(5)]
    ours = [Value(n) for n in numbers]
    theirs = [torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in numbers]
    leaves, torch_leaves = list(ours), list(theirs)
    binary = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / (b * b + 1.5),
        "constants": lambda a, b: 2 - (3 * a + 1.25) / 2 + (1 / (b * b + 1)),
    }
    unary = {
        "neg": lambda a: -a,
        "square": lambda a: (0.3 * a) ** 2,
        "cube": lambda a: (0.3 * a) ** 3,
        "root": lambda a: (a * a + 0.5) ** 0.5,
        "inverse": lambda a: (a * a + 0.5) ** -1,
        "tanh": lambda a: a.tanh(),
        "relu": lambda a: a.relu(),
        "exp": lambda a: a.tanh().exp(),
        "log": lambda a: (a * a + 0.1).log(),
    }
    for _ in range(40):
        i, j = rng.randrange(len(ours)), rng.randrange(len(ours))
        if rng.random() < 0.5:
            f = binary[rng.choice(sorted(binary))]
            ours.append(f(ours[i], ours[j]))
            theirs.append(f(theirs[i], theirs[j]))
        else:
            g = unary[rng.choice(sorted(unary))]
            ours.append(g(ours[i]))
            theirs.append(g(theirs[i]))
        ours[-1], theirs[-1] = ours[-1].tanh() * 3, theirs[-1].tanh() * 3  # keeps numbers in a sane range
    return sum(ours, Value(0)), leaves, sum(theirs), torch_leaves  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(40))
def test_gradients_equal_torchs(seed: int):
    """On random graphs value and all gradients agree to 1e-6."""
    result, leaves, expected, torch_leaves = random_graph(seed)
    result.backward()
    expected.backward()

    assert result.data == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    assert [v.grad for v in leaves] == pytest.approx(
        [0.0 if t.grad is None else t.grad.item() for t in torch_leaves], rel=1e-6, abs=1e-6
    )


def test_every_operation_has_torchs_gradient_at_its_corners():
    """ReLU at 0, powers 0, 1 and 2 at 0, and a number used twice in one operation."""
    for f in (
        lambda a: a.relu(),
        lambda a: a**0,
        lambda a: a**1,
        lambda a: a**2,
        lambda a: a * a,
        lambda a: a - a,
    ):
        ours, theirs = Value(0.0), torch.tensor(0.0, requires_grad=True)
        f(ours).backward()
        f(theirs).backward()

        assert ours.grad == theirs.grad.item()  # type: ignore[union-attr]


def test_backward_starts_afresh_each_time():
    """Calling it twice gives the same gradient, not twice the gradient."""
    x = Value(3.0)
    y = x * x + x
    y.backward()
    y.backward()

    assert x.grad == 7
    assert y.grad == 1


def test_the_graph_lists_each_node_once_after_its_operands():
    """Edges go forward only and carry the slope; multiplying slopes along all paths gives the gradient."""
    a, b = Value(2.0, name="a"), Value(-3.0, name="b")
    shared = a * b
    root = shared * shared + a
    nodes, edges = graph(root)

    assert nodes[-1] is root
    assert len(nodes) == len(set(nodes)) == 5
    assert all(source < target for source, target, _ in edges)
    assert sorted(e.slope for e in edges if e.source == nodes.index(shared)) == [-6, -6]  # twice in shared × shared
    root.backward()
    assert (a.grad, b.grad) == (2 * -6 * -3 + 1, 2 * -6 * 2)


def test_backward_can_be_stepped():
    """Each step completes one node's gradient, from the result back to the leaves."""
    x = Value(0.5)
    y = (x * 2).tanh() + x
    final = {}
    for node in backward_steps(y):
        final[node] = node.grad
    expected = {node: node.grad for node in topological(y)}

    assert next(iter(final)) is y
    assert final == expected
    assert x.grad == pytest.approx(1 + 2 * (1 - math.tanh(1) ** 2))


def test_graphs_deeper_than_pythons_stack():
    """Ten thousand operations in a row."""
    x = Value(1.0)
    y = x
    for _ in range(10_000):
        y = y + x * 0.001
    y.backward()

    assert x.grad == pytest.approx(11)


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda: Value(1.0) / 0, ZeroDivisionError),
        (lambda: Value(-1.0).log(), ValueError),
        (lambda: Value(0.0).log(), ValueError),
        (lambda: Value(-1.0) ** 0.5, ValueError),
        (lambda: Value(1000.0).exp(), OverflowError),
    ],
)
def test_impossible_operations_raise(operation, error):
    """No nan and no complex number slips into a graph."""
    with pytest.raises(error):
        operation()


# --- optimisers ------------------------------------------------------------------------------------------------------

TORCH = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.01),
    "Momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "RMSProp": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_walk_where_torchs_walk(name: str):
    """Sixty steps through Rosenbrock's valley end in the same place, to 1e-6 all along."""
    surface = SURFACES["rosenbrock"]
    path = descend(surface, OPTIMIZERS[name], lr=0.01, steps=60)
    x, y = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in surface.start)
    optimizer = TORCH[name]([x, y])
    for here in path:
        assert (here.x, here.y) == pytest.approx((x.item(), y.item()), abs=1e-6)
        height = surface.formula(x, y)
        optimizer.zero_grad()
        height.backward()
        assert (here.grad_x, here.grad_y) == pytest.approx((x.grad.item(), y.grad.item()), rel=1e-6, abs=1e-6)
        optimizer.step()

    assert len(path) == 61


@pytest.mark.parametrize("key", SURFACES)
def test_surfaces_have_their_minima_where_they_say(key: str):
    """There the gradient vanishes and every neighbour is higher; the map shows start and minima."""
    surface = SURFACES[key]
    for x, y in surface.minima:
        a, b = Value(x), Value(y)
        bottom = surface.formula(a, b)
        bottom.backward()
        around = [surface.formula(x + 0.1 * math.cos(t), y + 0.1 * math.sin(t)) for t in range(7)]

        assert (a.grad, b.grad) == pytest.approx((0, 0), abs=1e-9)
        assert min(around) > bottom.data
        assert surface.x_range[0] <= x <= surface.x_range[1]
        assert surface.y_range[0] <= y <= surface.y_range[1]
    assert surface.x_range[0] <= surface.start[0] <= surface.x_range[1]
    assert surface.y_range[0] <= surface.start[1] <= surface.y_range[1]


@pytest.mark.parametrize("key", SURFACES)
def test_surfaces_take_arrays(key: str):
    """One call computes a whole contour map, equal to the same number by number."""
    surface = SURFACES[key]
    x, y = np.meshgrid(np.linspace(*surface.x_range, 4), np.linspace(*surface.y_range, 3))
    heights = surface.formula(x, y)

    assert heights.shape == (3, 4)  # type: ignore[attr-defined]
    assert heights[2, 1] == pytest.approx(surface.formula(Value(x[2, 1]), Value(y[2, 1])).data)  # type: ignore[index]


def test_a_walk_arrives_or_runs_off_the_map():
    """A fitting rate finds the bottom of the bowl; one too high ends the walk early instead of raising."""
    assert descend(SURFACES["bowl"], SGD, lr=0.1, steps=100)[-1].height < 1e-6
    for surface in SURFACES.values():
        for optimizer in OPTIMIZERS.values():
            path = descend(surface, optimizer, lr=100.0, steps=50)
            assert all(math.isfinite(step.height) for step in path)
    assert len(descend(SURFACES["bowl"], SGD, lr=1.5, steps=50)) < 20
    assert len(descend(SURFACES["bowl"], SGD, lr=0.9, steps=50)) == 51


# --- the small net ---------------------------------------------------------------------------------------------------


def test_the_net_equals_torchs_on_its_own_weights():
    """Outputs and every gradient of a 2-3-2-1 net, to 1e-6."""
    net = Net(2, 3, 2, 1, seed=4)
    points = [([0.3, -1.2], 0.5), ([1.0, 0.1], -0.25)]
    loss = mean_squared_error(net, points)
    loss.backward()
    x = torch.tensor([p for p, _ in points], dtype=torch.float64)
    weights = []
    for i, layer in enumerate(net.layers):
        rows = [[w.data for w in n.weights] + [n.bias.data] for n in layer.neurons]
        weights.append(torch.tensor(rows, dtype=torch.float64, requires_grad=True))
        x = x @ weights[-1][:, :-1].T + weights[-1][:, -1]
        x = x if i == 2 else x.tanh()
    expected = (x[:, 0] - torch.tensor([t for _, t in points])).square().mean()
    expected.backward()

    assert loss.data == pytest.approx(expected.item(), abs=1e-6)
    assert [p.grad for p in net.parameters()] == pytest.approx(
        [g for w in weights for g in w.grad.flatten().tolist()], abs=1e-6
    )


def test_the_net_fits_the_wave():
    """Adam brings eight hidden neurons within 0.02 of sixteen points, in mean square; same seed, same curve."""
    net = Net(1, 8, 1)
    losses = list(fit(net, wave(), Adam(net.parameters(), lr=0.1), steps=200))
    again = Net(1, 8, 1)

    assert len(losses) == 201
    assert losses[0] > 0.3
    assert losses[-1] < 0.02
    assert list(fit(again, wave(), Adam(again.parameters(), lr=0.1), steps=3)) == losses[:4]


def test_a_fit_that_diverges_ends_instead_of_raising():
    """A rate far too high: the last loss reported is not finite."""
    net = Net(1, 8, 1)
    losses = list(fit(net, wave(), SGD(net.parameters(), lr=1e3), steps=500))

    assert len(losses) < 500
    assert not math.isfinite(losses[-1])


def test_a_net_without_layers_is_refused():
    """At least an input and an output."""
    with pytest.raises(ValueError, match="at least an input and an output"):
        Net(3)


def test_the_engine_needs_no_torch():
    """It is plain Python."""
    assert not {"torch", "np", "numpy"} & (set(vars(autograd)) | set(vars(optimizers)) | set(vars(scalars_net)))
    assert isinstance(SURFACES["bowl"], Surface)
