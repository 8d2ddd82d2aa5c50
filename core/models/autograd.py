"""Gradient descent from nothing: a number that remembers how it was made, and the chain rule.

Every operation on a `Value` records its operands and, at the same moment, its slope with respect to each of them: how
much the result would move if that operand moved a little. To learn how much a final loss depends on a number deep
inside, walk back from the loss and multiply slopes along the way; where several ways lead to a number, add them up.
That is all of backpropagation (Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating
errors"). The rest of the ladder leaves it to torch; this file does it on one number at a time, in plain Python, as
Karpathy's micrograd showed that one can.

Below it: five ways to turn a gradient into a step, five landscapes to walk down, and a small net to fit to points.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

# --- numbers that remember -------------------------------------------------------------------------------------------


class Value:
    """A number, what it was made from, and (after `backward`) how much the result depends on it.

    `grad` is d result / d self; `slopes` holds d self / d operand for each of `operands`. Errors are Python's own
    (ZeroDivisionError, OverflowError), or ValueError outside the domain of a function.
    """

    __slots__ = ("data", "grad", "name", "op", "operands", "slopes")

    def __init__(
        self,
        data: float,
        op: str = "",
        operands: tuple["Value", ...] = (),
        slopes: tuple[float, ...] = (),
        name: str = "",
    ) -> None:
        self.data, self.grad = float(data), 0.0
        self.op, self.operands, self.slopes, self.name = op, operands, slopes, name

    def __add__(self, other: "Value | float") -> "Value":
        other = as_value(other)
        return Value(self.data + other.data, "+", (self, other), (1.0, 1.0))

    def __sub__(self, other: "Value | float") -> "Value":
        other = as_value(other)
        return Value(self.data - other.data, "-", (self, other), (1.0, -1.0))

    def __mul__(self, other: "Value | float") -> "Value":
        other = as_value(other)
        return Value(self.data * other.data, "×", (self, other), (other.data, self.data))

    def __truediv__(self, other: "Value | float") -> "Value":
        other = as_value(other)
        ratio = self.data / other.data
        return Value(ratio, "÷", (self, other), (1 / other.data, -ratio / other.data))

    def __pow__(self, exponent: float) -> "Value":
        if self.data < 0 and exponent != int(exponent):
            raise ValueError(f"{self.data:g} ** {exponent:g} is not a real number")
        slope = exponent * self.data ** (exponent - 1) if exponent else 0.0
        return Value(self.data**exponent, f"^{exponent:g}", (self,), (slope,))

    def __neg__(self) -> "Value":
        return Value(-self.data, "neg", (self,), (-1.0,))

    def __radd__(self, other: float) -> "Value":
        return as_value(other) + self

    def __rsub__(self, other: float) -> "Value":
        return as_value(other) - self

    def __rmul__(self, other: float) -> "Value":
        return as_value(other) * self

    def __rtruediv__(self, other: float) -> "Value":
        return as_value(other) / self

    def tanh(self) -> "Value":
        """The S-curve between -1 and 1."""
        t = math.tanh(self.data)
        return Value(t, "tanh", (self,), (1 - t * t,))

    def relu(self) -> "Value":
        """Self where it is positive, else 0."""
        return Value(max(self.data, 0.0), "relu", (self,), (float(self.data > 0),))

    def exp(self) -> "Value":
        """The exponential."""
        e = math.exp(self.data)
        return Value(e, "exp", (self,), (e,))

    def log(self) -> "Value":
        """The natural logarithm. Raises ValueError unless the number is positive."""
        return Value(math.log(self.data), "log", (self,), (1 / self.data,))

    def backward(self) -> None:
        """Set `grad` to d self / d node on every node that self was made from, whatever it was before."""
        for _ in backward_steps(self):
            pass

    def __repr__(self) -> str:
        return f"Value({self.name + '=' if self.name else ''}{self.data:.4g}, grad={self.grad:.4g})"


def as_value(x: Value | float) -> Value:
    """Wrap a plain number."""
    return x if isinstance(x, Value) else Value(x)


class Edge(NamedTuple):
    """One operand going into one operation: places in the list of nodes, and the slope along the way."""

    source: int
    target: int
    slope: float


def topological(result: Value) -> list[Value]:
    """Every node that `result` was made from, each after all of its operands; `result` comes last."""
    order: list[Value] = []
    seen: set[Value] = set()
    stack = [(result, False)]  # a stack of our own: graphs grow deeper than Python lets functions call themselves
    while stack:
        node, operands_done = stack.pop()
        if operands_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(node.operands))
    return order


def graph(result: Value) -> tuple[list[Value], list[Edge]]:
    """Return nodes in the order in which they can be computed, and the edges between them.

    A number used twice in one operation has two edges to it.
    """
    nodes = topological(result)
    place = {node: i for i, node in enumerate(nodes)}
    edges = [
        Edge(place[operand], place[node], slope)
        for node in nodes
        for operand, slope in zip(node.operands, node.slopes, strict=True)
    ]
    return nodes, edges


def backward_steps(result: Value) -> Iterator[Value]:
    """Run `backward` one node at a time, yielding each as soon as its own `grad` is complete and handed on."""
    nodes = topological(result)
    for node in nodes:
        node.grad = 0.0
    result.grad = 1.0
    for node in reversed(nodes):
        for operand, slope in zip(node.operands, node.slopes, strict=True):
            operand.grad += slope * node.grad  # the chain rule; += because every way counts
        yield node


# --- from a gradient to a step ---------------------------------------------------------------------------------------


class SGD:
    """Step against the gradient. Base of the others: those differ in `change`."""

    def __init__(self, params: Sequence[Value], lr: float) -> None:
        self.params, self.lr = list(params), lr
        self.first = [0.0] * len(self.params)  # a running mean of each gradient, where one is kept
        self.second = [0.0] * len(self.params)  # a running mean of its square
        self.steps = 0

    def step(self) -> None:
        """Move every parameter once, by its `grad`."""
        self.steps += 1
        for i, p in enumerate(self.params):
            p.data -= self.lr * self.change(i, p)

    def change(self, i: int, p: Value) -> float:
        """What to subtract from parameter number i, up to the learning rate."""
        return p.grad


class Momentum(SGD):
    """A heavy ball: velocity builds up along a slope and cancels out across it (Polyak 1964)."""

    def change(self, i: int, p: Value) -> float:
        """The velocity: nine tenths of the last, and the gradient."""
        self.first[i] = 0.9 * self.first[i] + p.grad
        return self.first[i]


class RMSProp(SGD):
    """Divide by the recent size of the gradient, so that steep and flat directions move alike (Hinton 2012)."""

    def change(self, i: int, p: Value) -> float:
        """The gradient over its root mean square."""
        self.second[i] = 0.99 * self.second[i] + 0.01 * p.grad * p.grad
        return p.grad / (math.sqrt(self.second[i]) + 1e-8)


class Adam(SGD):
    """Momentum and RMSProp together, their early means corrected for starting at 0 (Kingma and Ba 2014)."""

    def change(self, i: int, p: Value) -> float:
        """The mean gradient over its root mean square (algorithm 1)."""
        self.first[i] = 0.9 * self.first[i] + 0.1 * p.grad
        self.second[i] = 0.999 * self.second[i] + 0.001 * p.grad * p.grad
        mean = self.first[i] / (1 - 0.9**self.steps)
        square = self.second[i] / (1 - 0.999**self.steps)
        return mean / (math.sqrt(square) + 1e-8)


class AdamW(Adam):
    """Adam, and besides it every parameter shrinks a little (Loshchilov and Hutter 2019)."""

    def __init__(self, params: Sequence[Value], lr: float, weight_decay: float = 0.01) -> None:
        super().__init__(params, lr)
        self.weight_decay = weight_decay

    def change(self, i: int, p: Value) -> float:
        """Adam's change and the decay, which Adam's division does not touch (algorithm 2)."""
        return super().change(i, p) + self.weight_decay * p.data


OPTIMIZERS: dict[str, type[SGD]] = {
    "SGD": SGD,
    "Momentum": Momentum,
    "RMSProp": RMSProp,
    "Adam": Adam,
    "AdamW": AdamW,
}


# --- landscapes ------------------------------------------------------------------------------------------------------

T = TypeVar("T", Value, float)


def bowl(x: T, y: T) -> T:
    """Equally steep all round."""
    return x * x + y * y


def ravine(x: T, y: T) -> T:
    """Fifty times as steep across as along."""
    return 0.1 * x * x + 5.0 * y * y


def rosenbrock(x: T, y: T) -> T:
    """A bent valley with a flat floor (Rosenbrock 1960, with 10 for his 100)."""
    return (1.0 - x) ** 2 + 10.0 * (y - x * x) ** 2


def beale(x: T, y: T) -> T:
    """Flat plains between steep walls (Beale 1958)."""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y * y) ** 2 + (2.625 - x + x * y * y * y) ** 2


def saddle(x: T, y: T) -> T:
    """Uphill to both sides, downhill ahead and behind, and level in the middle; it flattens out far away."""
    return x * x - y * y + 0.1 * y * y * y * y


@dataclass(frozen=True)
class Surface:
    """A landscape over (x, y). `formula` takes plain numbers, arrays (for contours) and Values (for gradients)."""

    title: str
    formula: Callable[..., Value]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]


SURFACES: dict[str, Surface] = {
    "bowl": Surface("Bowl", bowl, (-2.5, 2.0), ((0, 0),), (-3, 3), (-3, 3)),
    "ravine": Surface("Ravine", ravine, (-4.0, 1.5), ((0, 0),), (-5, 5), (-2, 2)),
    "rosenbrock": Surface("Rosenbrock's valley", rosenbrock, (-1.5, 2.0), ((1, 1),), (-2, 2), (-1, 3)),
    "beale": Surface("Beale's plains", beale, (-1.0, 1.5), ((3, 0.5),), (-4.5, 4.5), (-2, 2)),
    "saddle": Surface("Saddle", saddle, (-2.0, 0.01), ((0, 5**0.5), (0, -(5**0.5))), (-3, 3), (-3, 3)),
}


class Footstep(NamedTuple):
    """One place on the way down, and the gradient there."""

    x: float
    y: float
    height: float
    grad_x: float
    grad_y: float


def descend(surface: Surface, optimizer: type[SGD], lr: float, steps: int) -> list[Footstep]:
    """Walk from the surface's start; return the places visited, `steps` + 1 unless the walk runs off the map.

    The walk ends where the height is no longer finite or a coordinate exceeds a thousand: the learning rate was too
    high.
    """
    x, y = Value(surface.start[0], name="x"), Value(surface.start[1], name="y")
    walker = optimizer([x, y], lr)
    path: list[Footstep] = []
    for _ in range(steps + 1):
        height = surface.formula(x, y)
        height.backward()
        path.append(Footstep(x.data, y.data, height.data, x.grad, y.grad))
        walker.step()
        if not (math.isfinite(height.data) and abs(x.data) < 1000 and abs(y.data) < 1000):
            break
    return path


# --- a small net -----------------------------------------------------------------------------------------------------


class Neuron:
    """A weighted sum of the inputs, and a tanh unless it is `linear`."""

    def __init__(self, inputs: int, rng: random.Random, linear: bool = False) -> None:
        self.weights = [Value(rng.gauss(0, 1 / math.sqrt(inputs)), name=f"w{i + 1}") for i in range(inputs)]
        self.bias = Value(0.0, name="b")
        self.linear = linear

    def __call__(self, xs: Sequence[Value | float]) -> Value:
        """Answer to the inputs xs."""
        total = self.bias
        for w, x in zip(self.weights, xs, strict=True):
            total = total + w * x
        return total if self.linear else total.tanh()

    def parameters(self) -> list[Value]:
        """All weights, then the bias."""
        return [*self.weights, self.bias]


class Layer:
    """Neurons side by side, all reading the same inputs."""

    def __init__(self, inputs: int, outputs: int, rng: random.Random, linear: bool = False) -> None:
        self.neurons = [Neuron(inputs, rng, linear) for _ in range(outputs)]

    def __call__(self, xs: Sequence[Value | float]) -> list[Value]:
        """One answer a neuron."""
        return [neuron(xs) for neuron in self.neurons]

    def parameters(self) -> list[Value]:
        """Those of every neuron."""
        return [p for neuron in self.neurons for p in neuron.parameters()]


class Net:
    """Layers one after another; the last is linear. `Net(1, 8, 1)` has one input, eight hidden neurons, one output."""

    def __init__(self, *sizes: int, seed: int = 1337) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"a net needs at least an input and an output, all sizes positive; got {sizes}")
        rng = random.Random(seed)
        last = len(sizes) - 2
        self.layers = [Layer(sizes[i], sizes[i + 1], rng, linear=i == last) for i in range(last + 1)]

    def __call__(self, xs: Sequence[Value | float]) -> list[Value]:
        """The last layer's answers to the inputs xs."""
        out: Sequence[Value | float] = xs
        for layer in self.layers:
            out = layer(out)
        return [as_value(v) for v in out]

    def parameters(self) -> list[Value]:
        """Those of every layer."""
        return [p for layer in self.layers for p in layer.parameters()]


Points = Sequence[tuple[Sequence[float], float]]
"""Inputs and what the net should answer."""


def wave(count: int = 16) -> list[tuple[list[float], float]]:
    """Points on one and a half periods of a sine, to fit a `Net(1, ..., 1)` to: x from -1 to 1."""
    xs = [2 * i / (count - 1) - 1 for i in range(count)]
    return [([x], math.sin(1.5 * math.pi * x)) for x in xs]


def mean_squared_error(net: Net, points: Points) -> Value:
    """The loss of the net's first output on all points, as the root of one graph."""
    total = Value(0.0)
    for inputs, target in points:
        error = net(inputs)[0] - target
        total = total + error * error
    return total / len(points)


def fit(net: Net, points: Points, optimizer: SGD, steps: int) -> Iterator[float]:
    """Take `steps` steps on all points at once; yield the loss before each, and after the last.

    Ends early, after yielding it, at a loss that is no longer finite.
    """
    for step in range(steps + 1):
        loss = mean_squared_error(net, points)
        yield loss.data
        if not math.isfinite(loss.data) or step == steps:
            return
        loss.backward()
        optimizer.step()
