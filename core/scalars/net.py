"""A net of single numbers: neurons, layers, and fitting them to a few points by gradient descent."""

import math
import random
from collections.abc import Iterator, Sequence

from core.scalars.autograd import Value, as_value
from core.scalars.optimizers import SGD


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


def xor() -> list[tuple[list[float], float]]:
    """Four points, 1 where exactly one input is 1: no single line parts them (Minsky and Papert 1969)."""
    return [([a, b], 1.0 if a != b else -1.0) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]


def moons(count: int = 24, seed: int = 1) -> list[tuple[list[float], float]]:
    """Two half circles that reach into one another, a little blurred: 1 on the upper one, -1 on the lower."""
    rng = random.Random(seed)
    found: list[tuple[list[float], float]] = []
    for i in range(count):
        upper = i % 2 == 0
        angle = math.pi * (i // 2) / max(1, count // 2 - 1)
        x, y = math.cos(angle), math.sin(angle)
        x, y = (x - 0.5, y - 0.25) if upper else (0.5 - x, 0.25 - y)
        found.append(([x + rng.gauss(0, 0.06), y + rng.gauss(0, 0.06)], 1.0 if upper else -1.0))
    return found


TASKS: dict[str, Points] = {"moons": moons(), "xor": xor(), "wave": wave()}
"""What a small net can be fitted to: two inputs, two inputs, one input."""


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
