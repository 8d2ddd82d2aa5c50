"""Gradient descent from nothing: a number that remembers how it was made, and the chain rule.

Every operation on a `Value` records its operands and, at the same moment, its slope with respect to each of them: how
much the result would move if that operand moved a little. To learn how much a final loss depends on a number deep
inside, walk back from the loss and multiply slopes along the way; where several ways lead to a number, add them up.
That is all of backpropagation (Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating
errors"). The rest of the ladder leaves it to torch; this file does it on one number at a time, in plain Python, as
Karpathy's micrograd showed that one can.

What is done with the gradients is in descent.py (five ways to take a step) and net.py (a small net that learns).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple


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
