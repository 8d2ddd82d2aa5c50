"""An expression that somebody has typed, as a graph of numbers; read with a short list of what is allowed."""

import ast
import math
from collections.abc import Mapping

from core.errors import BardlabError
from core.scalars.autograd import Value

LONGEST = 200
"""Characters that an expression may have."""
MOST_NODES = 40
"""Numbers that its graph may have, so that it can be drawn."""
FUNCTIONS = ("tanh", "relu", "exp", "log")
ALLOWED = f"use numbers, names, + - * / **, brackets, {', '.join(FUNCTIONS)}"


def names(expression: str) -> list[str]:
    """List the variables of an expression in order of appearance. Raises BardlabError if it cannot be read."""
    found = [node for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name) and node.id not in FUNCTIONS]
    return list(dict.fromkeys(node.id for node in sorted(found, key=lambda node: node.col_offset)))


def evaluate(expression: str, values: Mapping[str, float]) -> Value:
    """Compute an expression; each variable is one Value, named, however often it occurs.

    Raises BardlabError, in one line, on anything but arithmetic, and where the result is no finite number.
    """
    variables = {name: Value(float(values[name]), name=name) for name in names(expression)}
    nodes = 0

    def made(node: ast.expr) -> Value:
        nonlocal nodes
        nodes += 1
        if nodes > MOST_NODES:
            raise BardlabError(f"the expression has more than {MOST_NODES} parts; take a shorter one")
        if isinstance(node, ast.Name) and node.id in variables:
            return variables[node.id]
        if isinstance(node, ast.Constant) or _number(node) is not None:
            number = _number(node)
            if number is not None:
                return Value(number, name=f"{number:g}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return -made(node.operand) if isinstance(node.op, ast.USub) else made(node.operand)
        if isinstance(node, ast.BinOp):
            return _binary(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            if len(node.args) != 1 or node.keywords:
                raise BardlabError(f"{node.func.id} takes one number, as in {node.func.id}(x)")
            result: Value = getattr(made(node.args[0]), node.func.id)()
            return result
        raise BardlabError(f"“{ast.unparse(node)[:40]}” is not understood; {ALLOWED}")

    def _binary(node: ast.BinOp) -> Value:
        left = made(node.left)
        if isinstance(node.op, ast.Pow):
            exponent = _number(node.right)
            if exponent is None:
                raise BardlabError("an exponent must be a plain number, as in x**2")
            return left**exponent
        right = made(node.right)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
        raise BardlabError(f"“{ast.unparse(node)[:40]}” is not understood; {ALLOWED}")

    try:
        result = made(_parse(expression).body)
    except ZeroDivisionError:
        raise BardlabError("somewhere the expression divides by zero; change a number") from None
    except OverflowError:
        raise BardlabError("somewhere the expression grows beyond what a number can hold; change a number") from None
    except ValueError as error:
        raise BardlabError(f"the expression has no value here ({error}); change a number") from None
    if not math.isfinite(result.data):
        raise BardlabError("the expression grows beyond what a number can hold; change a number")
    if not result.operands:
        raise BardlabError("there is nothing to compute; write an operation, such as a*b + c")
    return result


def _parse(expression: str) -> ast.Expression:
    if not expression.strip():
        raise BardlabError("write an expression, such as tanh(w1*x1 + w2*x2 + b)")
    if len(expression) > LONGEST:
        raise BardlabError(f"the expression has {len(expression)} characters; give at most {LONGEST}")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        at = getattr(error, "offset", None)
        where = f" (near character {at})" if at else ""
        raise BardlabError(f"the expression cannot be read{where}; {ALLOWED}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (node.id.startswith("_") or len(node.id) > 12):
            raise BardlabError(
                f"“{node.id[:20]}” is not a name for a number; use a short one that starts with a letter"
            )
    return tree


def _number(node: ast.expr) -> float | None:
    """The value of a plain number, with or without a minus, or None. Raises BardlabError if it is not finite."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, float):
        return None
    try:
        number = float(node.value)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BardlabError("a number is too large; change it")
    return number
