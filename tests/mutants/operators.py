"""The small faults that are put into a module, each a piece of its text and what is to stand there instead."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
PAIRS = [("max", "min"), ("amax", "amin"), ("argmax", "argmin"), ("any", "all"), ("sum", "mean"), ("triu", "tril")]
PAIRS += [("tanh", "sigmoid"), ("exp", "log"), ("floor", "ceil"), ("sin", "cos"), ("ones", "zeros"), ("ge", "le")]
OTHER = {a: b for one, two in PAIRS for a, b in ((one, two), (two, one))}
"""Functions and methods that take the same arguments."""
KEPT_KEYWORDS = {"strict", "encoding"}
"""Keywords whose loss changes nothing as long as the program is right."""


@dataclass(frozen=True)
class Mutant:
    """One fault: the bytes from `start` to `end` of a module's text become `new`."""

    line: int
    statement: int
    """The line on which the statement begins that it is in: the one that is said to be run."""
    start: int
    end: int
    code: str
    """The line's text."""
    old: str
    new: str

    def apply(self, text: str) -> str:
        """Return the module's text with the fault in it."""
        data = text.encode()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()


class Finder(ast.NodeVisitor):
    """Collects the mutants of a module. Annotations, decorators, docstrings and what an error says are left alone."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Mutant] = []
        self.modules: set[str] = set()
        self.statement = 1

    def visit(self, node: ast.AST) -> None:
        """Visit a node, keeping in mind the statement that it is in."""
        outer = self.statement
        if isinstance(node, ast.stmt):
            self.statement = node.lineno
        super().visit(node)
        self.statement = outer

    def put(self, node: ast.expr | ast.stmt, new: str) -> None:
        """Note that this text may stand in a node's place."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[node.end_lineno - 1] + node.end_col_offset
        old = self.data[start:end].decode()
        code = self.data.splitlines()[node.lineno - 1].decode().strip()
        self.found.append(Mutant(node.lineno, self.statement, start, end, code, old, new))

    def expression(self, node: ast.expr, new: ast.expr) -> None:
        """Note that another expression may stand in a node's place."""
        self.put(node, f"({ast.unparse(new)})")

    # --- what is passed over ---

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Remember the names of modules: a call of `torch.flip(x)` has no receiver to fall back on."""
        self.modules |= {(name.asname or name.name).split(".")[0] for name in node.names}

    visit_ImportFrom = visit_Import  # type: ignore[assignment]

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave formatted strings, of whose parts Python 3.11 does not know the places."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Look at the defaults and the body."""
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Look at the body."""
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Look at the value."""
        if node.value is not None:
            self.visit(node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave assertions."""

    # --- statements ---

    def visit_Raise(self, node: ast.Raise) -> None:
        """Let a check pass."""
        self.put(node, "pass")

    def visit_Expr(self, node: ast.Expr) -> None:
        """Leave out a call that is made for what it does."""
        if isinstance(node.value, ast.Call):
            self.put(node, "pass")
            for argument in [*node.value.args, *node.value.keywords]:
                self.visit(argument)
        elif isinstance(node.value, ast.Yield | ast.YieldFrom):
            self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Turn `+=` into `-=`, and leave it out."""
        self.put(node, "pass")
        if other := ARITHMETIC.get(type(node.op)):
            self.put(node, ast.unparse(ast.AugAssign(node.target, other(), node.value)))
        self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        """Go on instead."""
        self.put(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        """Stop instead."""
        self.put(node, "break")

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> None:
        """Turn a condition around; comparisons, `and`, `or` and `not` have ways of their own."""
        self.condition(node.test)
        self.generic_visit(node)

    visit_While = visit_IfExp = visit_If  # type: ignore[assignment]

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """Turn a filter around."""
        for test in node.ifs:
            self.condition(test)
        self.generic_visit(node)

    def condition(self, test: ast.expr) -> None:
        """Turn a condition around."""
        if isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.NamedExpr):
            self.expression(test, ast.UnaryOp(ast.Not(), test))

    # --- expressions ---

    def visit_Compare(self, node: ast.Compare) -> None:
        """Move a bound by one, and turn a comparison around."""
        for i, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                self.expression(node, ast.Compare(node.left, ops, node.comparators))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Swap an operation for its opposite; a matrix product gets the other sign."""
        if isinstance(node.op, ast.MatMult):
            self.expression(node, ast.UnaryOp(ast.USub(), node))
        elif other := ARITHMETIC.get(type(node.op)):
            self.expression(node, ast.BinOp(node.left, other(), node.right))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Swap `and` and `or`."""
        self.expression(node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Leave out a sign or a `not`."""
        self.expression(node, node.operand)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Change a number or a truth value."""
        if isinstance(node.value, bool):
            self.put(node, str(not node.value))
        elif isinstance(node.value, int):
            self.put(node, str(node.value + 1))
        elif isinstance(node.value, float):
            self.put(node, str(node.value * 2 or 1.0))

    def visit_Call(self, node: ast.Call) -> None:
        """Take a related function, leave out the call and give its first argument, or leave out a keyword."""
        function = node.func
        method = isinstance(function, ast.Attribute)
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in OTHER:
            new: ast.expr = ast.Name(OTHER[name])
            if isinstance(function, ast.Attribute):
                new = ast.Attribute(function.value, OTHER[name])
            if method or name not in ("sum", "exp", "log"):
                self.expression(node, ast.Call(new, node.args, node.keywords))
        if isinstance(function, ast.Attribute) and getattr(function.value, "id", "") not in self.modules:
            self.expression(node, function.value)
        elif node.args and not isinstance(node.args[0], ast.Starred) and not name[:1].isupper():
            self.expression(node, node.args[0])
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in KEPT_KEYWORDS:
                self.expression(node, ast.Call(function, node.args, [k for k in node.keywords if k is not keyword]))
        if isinstance(function, ast.Attribute):
            self.visit(function.value)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg not in KEPT_KEYWORDS:
                self.visit(keyword.value)


def mutants(text: str) -> Iterator[Mutant]:
    """Return all faults that can be put into a module."""
    finder = Finder(text)
    finder.visit(ast.parse(text))
    yield from sorted(finder.found, key=lambda mutant: (mutant.start, mutant.end, mutant.new))


def sample(text: str, count: int | None, seed: str) -> list[Mutant]:
    """Return some of a module's faults, the same for the same text, or all if `count` is None."""
    found = list(mutants(text))
    if count is None or count >= len(found):
        return found
    return sorted(random.Random(seed).sample(found, count), key=lambda mutant: mutant.start)
