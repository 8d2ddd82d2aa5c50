"""A computation graph laid out for the eye, and the forward and backward pass one node at a time, in numbers."""

from dataclasses import dataclass
from typing import Literal

from core.scalars.autograd import Edge, Value, graph

ROOM = 1.0
"""Least distance between two nodes above one another."""


@dataclass(frozen=True)
class Node:
    """One number of the graph."""

    name: str
    """Of an input its own; n1, n2, ... in between; f is the result."""
    op: str
    """How it was made; empty for inputs and constants."""
    kind: Literal["input", "constant", "operation"]
    data: float
    grad: float
    """d result / d this."""
    x: float
    """Column, from 0: one more than the furthest operand's."""
    y: float
    """Height of its place in units of `ROOM`, downwards from 0."""


@dataclass(frozen=True)
class Step:
    """One number filled in."""

    phase: Literal["forward", "backward"]
    node: int
    edges: list[int]
    """The edges that the number came along."""
    title: str
    lines: list[str]
    """How it was found, in numbers."""


@dataclass(frozen=True)
class Trace:
    """A graph after `backward`, and the steps that lead there."""

    nodes: list[Node]
    """Each after its operands; the result is the last."""
    edges: list[Edge]
    steps: list[Step]


def trace(result: Value) -> Trace:
    """Run the backward pass over the graph of `result` and write down each step of both passes.

    Forward, each operation's value from its operands. Backward, each node's gradient from those that used it: for every
    use, the local derivative times the user's own gradient, all uses added up.
    """
    result.backward()
    values, edges = graph(result)
    names = _names(values)
    places = _places(values)
    nodes = [
        Node(names[i], v.op, _kind(v), v.data, v.grad, *places[i])  # columns, heights
        for i, v in enumerate(values)
    ]
    steps = [_forward(i, nodes, edges) for i, v in enumerate(values) if v.operands]
    steps += [_backward(i, nodes, edges) for i in reversed(range(len(nodes))) if nodes[i].kind != "constant"]
    return Trace(nodes, edges, steps)


def _kind(value: Value) -> Literal["input", "constant", "operation"]:
    if value.operands:
        return "operation"
    return "input" if value.name.isidentifier() else "constant"


def _names(values: list[Value]) -> list[str]:
    taken = {v.name for v in values}
    inner = "n" if not any(name.startswith("n") for name in taken) else "node"
    last = "f" if "f" not in taken else "result"
    found = []
    count = 0
    for value in values:
        if not value.operands:
            found.append(value.name)
        elif value is values[-1]:
            found.append(last)
        else:
            count += 1
            found.append(f"{inner}{count}")
    return found


def _places(values: list[Value]) -> list[tuple[float, float]]:
    """Columns by the longest way from an input; heights so that each node stands amid its operands.

    An input stands one column before the first operation that uses it.
    """
    at = {v: i for i, v in enumerate(values)}
    column = [0] * len(values)
    for i, value in enumerate(values):
        if value.operands:
            column[i] = 1 + max(column[at[o]] for o in value.operands)
    for i, value in enumerate(values):
        if not value.operands:
            column[i] = min((column[j] for j, user in enumerate(values) if value in user.operands), default=1) - 1
    height: dict[int, float] = {}
    row = 0
    for i, value in enumerate(values):  # depth first, so inputs come in the order in which they are written
        if value.operands:
            height[i] = sum(height[at[o]] for o in value.operands) / len(value.operands)
        else:
            height[i] = row * ROOM
            row += 1
    for c in set(column):
        last = -ROOM
        for i in sorted((i for i in range(len(values)) if column[i] == c), key=lambda i: height[i]):
            height[i] = last = max(height[i], last + ROOM)
    return [(float(column[i]), height[i]) for i in range(len(values))]


def _forward(i: int, nodes: list[Node], edges: list[Edge]) -> Step:
    node = nodes[i]
    into = [k for k, e in enumerate(edges) if e.target == i]
    operands = [nodes[edges[k].source] for k in into]
    formula = _formula(node.op, [o.name for o in operands])
    numbers = _formula(node.op, [_bracketed(o.data) for o in operands])
    return Step("forward", i, into, f"{node.name} = {formula}", [f"{numbers} = {_short(node.data)}"])


def _backward(i: int, nodes: list[Node], edges: list[Edge]) -> Step:
    node, last = nodes[i], nodes[-1].name
    out = [k for k, e in enumerate(edges) if e.source == i]
    title = f"∂{last}/∂{node.name}"
    if not out:
        return Step("backward", i, [], title, [f"the result moves exactly as much as itself: {title} = 1"])
    lines, terms = [], []
    for k in out:
        user = nodes[edges[k].target]
        inputs = [j for j, e in enumerate(edges) if e.target == edges[k].target]
        rule = _rule(user, [nodes[edges[j].source] for j in inputs], inputs.index(k))
        lines.append(f"local derivative ∂{user.name}/∂{node.name} = {rule} = {_short(edges[k].slope)}")
        terms.append(f"{_bracketed(edges[k].slope)} × {_bracketed(user.grad)}")
    ways = " + ".join(
        f"∂{nodes[edges[k].target].name}/∂{node.name} · ∂{last}/∂{nodes[edges[k].target].name}" for k in out
    )
    lines.append(f"{title} = {ways}")
    lines.append(f"= {' + '.join(terms)} = {_short(node.grad)}")
    return Step("backward", i, out, title, lines)


def _formula(op: str, operands: list[str]) -> str:
    if op == "neg":
        return f"−{operands[0]}"
    if op.startswith("^"):
        return f"{operands[0]}{op}"
    if len(operands) == 2:
        return f"{operands[0]} {op.replace('-', '−')} {operands[1]}"
    return f"{op}({operands[0]})"


def _rule(user: Node, operands: list[Node], which: int) -> str:
    """The derivative of an operation by one of its operands, as a formula with names."""
    name = operands[which].name
    match user.op:
        case "+":
            return "1"
        case "-":
            return "1" if which == 0 else "−1"
        case "×":
            return operands[1 - which].name
        case "÷":
            return f"1 ÷ {operands[1].name}" if which == 0 else f"−{operands[0].name} ÷ {name}²"
        case "neg":
            return "−1"
        case "tanh":
            return f"1 − {user.name}²"
        case "relu":
            return f"1 if {name} > 0, else 0"
        case "exp":
            return user.name
        case "log":
            return f"1 ÷ {name}"
    exponent = float(user.op.removeprefix("^"))
    return f"{exponent:g}·{name}^{exponent - 1:g}"


def _short(number: float) -> str:
    shown = f"{number:.4g}"
    return "0" if float(shown) == 0 else shown.replace("-", "−")


def _bracketed(number: float) -> str:
    return f"({_short(number)})" if number < 0 else _short(number)
