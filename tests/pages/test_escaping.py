"""Nothing that somebody else wrote is read as Markdown: names of runs, messages in files, what stands in an address.

Streamlit reads its labels and messages as Markdown. The pages' sources are followed from each such argument back to
what it is put together from: literals, numbers that are formatted as numbers, the product's own texts (what a rung, a
setting or a preset says of itself), and what went through `plain` or `inline`. Everything else is reported.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from pages.ui.wording import JOINER, plain

PAGES = Path(__file__).parents[2] / "pages"
SHOWS = frozenset(
    {"error", "info", "warning", "success", "caption", "markdown", "page_link", "toast", "expander", "popover"}
    | {"title", "header", "subheader", "checkbox", "toggle", "button", "download_button", "form_submit_button"}
    | {"metric", "text_input", "text_area", "number_input", "slider", "select_slider", "selectbox", "multiselect"}
    | {"radio", "segmented_control", "pills", "progress", "spinner", "tabs", "file_uploader", "write", "status"}
    | {"badge", "line", "area"}
)
LABELS = frozenset({"label", "body", "help", "text", "caption", "title"})
PLACE = {"page_link": None, "progress": 1}
"""Where the text is among the positional arguments, if not first; a page link's is a keyword."""
DRAWS = "in_view"
ESCAPES = frozenset({"plain", "inline"})
NUMBERS = frozenset(
    {"len", "counted", "duration", "roughly", "size", "loss", "rate", "device", "_signed", "_measured", "label_of"}
)
"""Functions whose text is made of figures and the product's own words, whatever they are given."""
OWN = frozenset(
    {
        "RUNGS",
        "SURFACES",
        "claim",
        "rung",
        "rungs",
        "declared",
        "experiment",
        "preset",
        "field",
        "fields",
        "site",
        "point",
        "page",
    }
    | {"temperature", "seed", "mark"}
    | {"exercise", "station", "fault", "faults", "hinted", "check", "kind"}
)
"""Names that stand for what the product says of itself."""
NUMERIC = re.compile(r"[-+<>^=]?[0-9]*,?(\.[0-9]+)?[,dfgeEn%]|[-+]?,?(\.[0-9]+)?[dfgen%]?,?")


class Source:
    """All pages, and how their texts hang together."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.trees = {name: ast.parse(text) for name, text in sources.items()}
        self.calls: dict[str, list[tuple[str, ast.Call]]] = defaultdict(list)
        self.parents: dict[ast.AST, ast.AST] = {}
        for name, tree in self.trees.items():
            for node in ast.walk(tree):
                for child in ast.iter_child_nodes(node):
                    self.parents[child] = node
                if isinstance(node, ast.Call):
                    self.calls[called(node)].append((name, node))

    def unsafe(self) -> list[str]:
        """Every text that may hold something foreign, with its place."""
        found = []
        for name, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and shows(node.func):
                    for argument in shown(node):
                        if not self.safe(argument, name, frozenset()):
                            found.append(f"{name}:{argument.lineno} {ast.unparse(argument)[:120]}")
        return found

    def safe(self, node: ast.expr, file: str, seen: frozenset[ast.AST]) -> bool:
        """Whether a text is made of nothing foreign."""
        if node in seen:
            return True
        seen = seen | {node}
        match node:
            case ast.Constant():
                return True
            case ast.JoinedStr(values=values):
                return all(self.safe(value, file, seen) for value in values)
            case ast.FormattedValue(value=value, format_spec=spec):
                return numeric(spec) or self.safe(value, file, seen)
            case ast.IfExp(body=body, orelse=orelse):
                return self.safe(body, file, seen) and self.safe(orelse, file, seen)
            case ast.BinOp(op=ast.Sub() | ast.Div() | ast.FloorDiv() | ast.Pow()):
                return True  # no text survives it
            case ast.BinOp(left=left, right=right):
                return self.safe(left, file, seen) and self.safe(right, file, seen)
            case ast.BoolOp(values=values) | ast.Tuple(elts=values) | ast.List(elts=values):
                return all(self.safe(value, file, seen) for value in values)
            case ast.Dict(keys=keys, values=values):
                return all(self.safe(value, file, seen) for value in [*values, *filter(None, keys)])
            case ast.GeneratorExp(elt=elt) | ast.ListComp(elt=elt):
                return self.safe(elt, file, seen)
            case ast.Starred(value=value) | ast.NamedExpr(value=value):
                return self.safe(value, file, seen)
            case ast.Call():
                return self.safe_call(node, file, seen)
            case ast.Attribute(value=value) | ast.Subscript(value=value):
                return root(value) in OWN or (isinstance(node, ast.Subscript) and self.safe(value, file, seen))
            case ast.Name():
                return node.id in OWN or self.safe_name(node, file, seen)
        return False

    def safe_call(self, node: ast.Call, file: str, seen: frozenset[ast.AST]) -> bool:
        """Whether what a call returns is made of nothing foreign."""
        name = called(node)
        if name in ESCAPES | NUMBERS:
            return True
        if root(node.func) in OWN:
            return True
        if isinstance(node.func, ast.Attribute) and name in ("join", "upper", "replace", "get"):
            return all(self.safe(part, file, seen) for part in (node.func.value, *node.args))
        for tree in self.trees.values():
            for one in ast.walk(tree):
                if isinstance(one, ast.FunctionDef) and one.name == name:
                    given = [n.value for n in ast.walk(one) if isinstance(n, ast.Return) and n.value]
                    return bool(given) and all(self.safe(each, file, seen) for each in given)
        return False

    def safe_name(self, node: ast.Name, file: str, seen: frozenset[ast.AST]) -> bool:
        """Whether everything that is bound to a name is made of nothing foreign; parameters: at every call."""
        if node.id.isupper():
            return True  # a constant
        scope: ast.AST = node
        while scope in self.parents:
            scope = self.parents[scope]
            if not isinstance(scope, ast.FunctionDef | ast.Module | ast.GeneratorExp | ast.ListComp):
                continue
            if isinstance(scope, ast.FunctionDef):
                names = [a.arg for a in (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)]
                if node.id in names:
                    return self.safe_parameter(scope, names.index(node.id), node.id, seen)
            if bound := list(bindings(scope, node.id)):
                return all(each is not None and self.safe(each, file, seen) for each in bound)
        return False

    def safe_parameter(self, function: ast.FunctionDef, place: int, name: str, seen: frozenset[ast.AST]) -> bool:
        """Whether a parameter is given nothing foreign, wherever the function is called."""
        defaults = dict(zip([a.arg for a in function.args.args][::-1], function.args.defaults[::-1], strict=False))
        given: list[tuple[str, ast.expr]] = [("", defaults[name])] if name in defaults else []
        for file, call in self.calls[function.name]:
            given += [(file, keyword.value) for keyword in call.keywords if keyword.arg == name]
            given += [(file, call.args[place])] if place < len(call.args) else []
        return bool(given) and all(self.safe(value, file, seen) for file, value in given)


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return getattr(node, "id", "")


def numeric(spec: ast.expr | None) -> bool:
    """Whether a format makes a number of what it is given, or fails."""
    if not isinstance(spec, ast.JoinedStr) or not spec.values:
        return False
    text = "".join(part.value for part in spec.values if isinstance(part, ast.Constant))
    return bool(NUMERIC.fullmatch(text)) and text[-1] in ",dfgeEn%"


def shows(function: ast.Attribute) -> bool:
    """Whether what is called shows a text: a widget, or what draws the widget that it is given."""
    return function.attr in SHOWS or (root(function.value) == DRAWS and function.attr in ("choice", "number", "text"))


def shown(node: ast.Call) -> list[ast.expr]:
    """The arguments of a call that Streamlit reads as Markdown."""
    if isinstance(node.func, ast.Attribute) and root(node.func.value) in ("tell", "d", "pen", "self"):
        return [k.value for k in node.keywords if k.arg == "help"]  # `tell` escapes; the others draw
    given = isinstance(node.func, ast.Attribute) and root(node.func.value) == DRAWS  # the widget comes first
    place = 1 if given else PLACE.get(called(node), 0)
    found = [node.args[place]] if place is not None and place < len(node.args) else []
    return found + [keyword.value for keyword in node.keywords if keyword.arg in LABELS]


def bindings(scope: ast.AST, name: str) -> list[ast.expr | None]:
    """What is bound to a name in a scope; None for what cannot be followed."""
    found: list[ast.expr | None] = []
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[target], value=value):
                found += matched(target, value, name)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                found += matched(target, value, name)
            case ast.NamedExpr(target=target, value=value):
                found += matched(target, value, name)
            case ast.For(target=target, iter=each) | ast.comprehension(target=target, iter=each):
                if isinstance(each, ast.Tuple | ast.List):
                    for value in each.elts:
                        found += matched(target, value, name)
                elif isinstance(target, ast.Name) and target.id == name and isinstance(each, ast.Name):
                    found.append(each)
                elif any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(target)):
                    known = root(each.func if isinstance(each, ast.Call) else each) in OWN
                    found.append(each if known else None)
            case ast.ExceptHandler(name=caught) if caught == name:
                found.append(None)
    return found


def matched(target: ast.expr, value: ast.expr, name: str) -> list[ast.expr | None]:
    if isinstance(target, ast.Name):
        return [value] if target.id == name else []
    if isinstance(target, ast.Tuple | ast.List):
        if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
            return [m for t, v in zip(target.elts, value.elts, strict=True) for m in matched(t, v, name)]
        if any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(target)):
            return [None]
    return []


def test_no_foreign_text_is_read_as_markdown():
    sources = {str(path.relative_to(PAGES)): path.read_text() for path in sorted(PAGES.rglob("*.py"))}
    assert not (found := Source(sources).unsafe()), "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "st.warning(text)",
        "def f(run):\n    st.info(f'{run.name} is here')",
        "st.info(f'{run.name:>10}')",
        "st.caption('a' + run.name)",
        "st.page_link(page, label=run.name)",
        "left.button('a', help=f'{run.note}')",
        "try:\n    pass\nexcept ValueError as error:\n    st.error(str(error))",
        "text = 'a'\ntext = run.name\nst.caption(text)",
        "text = plain(run.name)\ntext += run.note\nst.caption(text)",
        "def f(text):\n    st.caption(text)\nf('a')\nf(run.name)",
        "def f(run):\n    return run.name\nst.caption(f(run))",
        "for name in names():\n    st.caption(name)",
        "st.caption(', '.join(run.name for run in found))",
        "st.progress(0.5, run.name)",
        "in_view.choice(st.selectbox, run.name, names, name='of')",
    ],
)
def test_what_is_foreign_is_found(source: str):
    assert Source({"page.py": source}).unsafe()


@pytest.mark.parametrize(
    "source",
    [
        "st.warning('text')",
        "st.info(f'{plain(run.name)} has {len(found)} and {run.step:,}, {run.loss:.3f}')",
        "text = 'a' if found else f'b {run.step:,}'\nst.caption(text)",
        "def f(text):\n    st.caption(text)\nf('a')\nf(plain(run.name))",
        "tell.warning(run.name)",
    ],
)
def test_what_is_not_is_not(source: str):
    assert not Source({"page.py": source}).unsafe()


@pytest.mark.parametrize(
    "address",
    ["www.evil.example", "WWW.evil.example", "http://evil.example", "https://evil.example/x", "a@evil.example"],
)
def test_an_address_in_a_message_is_no_link(address: str):
    """A browser's reader of Markdown makes links of such words by themselves; a joiner in them keeps it from that."""
    told = plain(f"Log in again: {address}")
    bare = re.sub(r"\\(.)", r"\1", told)  # as it is shown
    assert bare.replace(JOINER, "") == f"Log in again: {address}"
    assert not re.search(r"https?://|www\.|[\w.+-]+@[\w-]+\.", bare, re.IGNORECASE)
