"""The faults that `make mutants` puts into a module: what they are, that each is Python, and that a sample stays."""

import ast
import tomllib

import pytest

from core import paths
from tests.mutants.__main__ import EQUIVALENTS, equivalents, named
from tests.mutants.operators import mutants, sample
from tests.mutants.table import TESTS


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = a < b", {"(a <= b)", "(a >= b)"}),
        ("x = a @ b", {"(-(a @ b))"}),
        ("x = -(a + b)", {"(a + b)", "(a - b)"}),
        ("x = 0.97", {"1.94"}),
        ("x = [1, True]", {"2", "False"}),
        ("x += y", {"pass", "x -= y"}),
        ("if ready and not late:\n    stop()", {"(ready or not late)", "(late)", "pass"}),
        ("if ready:\n    raise ValueError(3)", {"(not ready)", "pass"}),
        ("import torch\ntorch.flip(x, dims=y)", {"pass"}),
        ("import torch\nz = torch.flip(x, dims=y)", {"(x)", "(torch.flip(x))"}),
        ("z = x.max(dim=k)", {"(x)", "(x.max())", "(x.min(dim=k))"}),
        ("def f(x: int = 0) -> int:\n    'Say 3.'\n    return sorted(x)", {"1", "(x)"}),
        ("for x in y:\n    break", {"continue"}),
        ("z = zip(a, b, strict=True)", {"(a)"}),
        ("z = [a for a in b if a.c]", {"(not a.c)"}),
        ("f(f'{3}')", {"pass"}),
    ],
)
def test_what_is_put_in(code: str, expected: set[str]):
    assert {mutant.new for mutant in mutants(code)} == expected


def test_every_fault_is_python_and_differs():
    """In text with letters of two bytes too, and over several lines."""
    code = 'a = "é" + f(  # ü\n    b,\n    c < 2,\n)\n'
    changed = [mutant.apply(code) for mutant in mutants(code)]

    assert 'a = "é" + f(  # ü\n    b,\n    (c <= 2),\n)\n' in changed
    assert len({ast.dump(ast.parse(text)) for text in [code, *changed]}) == len(changed) + 1


def test_a_sample_is_of_what_there_is_and_stays():
    code = "\n".join(f"x{i} = {i}" for i in range(100))

    assert sample(code, 5, "0") == sample(code, 5, "0") != sample(code, 5, "1")
    assert set(sample(code, 5, "0")) < set(mutants(code)) == set(sample(code, None, "0"))


def test_the_table_and_the_named_faults_are_of_today():
    """Files exist, and what is said to change nothing can still be put in."""
    for module, tests in TESTS.items():
        assert all((paths.ROOT / "tests" / "core" / test).exists() for test in tests)
        text = (paths.ROOT / "core" / module).read_text(encoding="utf-8")
        assert equivalents(module) <= {named(mutant) for mutant in mutants(text)}
    told = tomllib.loads(EQUIVALENTS.read_text(encoding="utf-8"))
    assert set(told) <= set(TESTS) and all(fault["why"] for faults in told.values() for fault in faults)
