"""What the gradient descent page shows: typed expressions, the two passes step by step, and where nodes stand."""

import itertools
import math

import pytest

from core.errors import BardlabError
from core.scalars.autograd import Value, graph
from core.scalars.expression import evaluate, names
from core.scalars.graph import trace

NEURON = "tanh(w1*x1 + w2*x2 + b)"
AT = {"w1": 0.8, "x1": 0.5, "w2": -0.4, "x2": 1.5, "b": 0.3}


def test_an_expression_becomes_the_graph_that_python_would_compute():
    result = evaluate("(a + 2)**2 / exp(-b) - relu(a*b) + log(3)", {"a": 1.5, "b": 0.5})
    expected = (1.5 + 2) ** 2 / math.exp(-0.5) - max(1.5 * 0.5, 0) + math.log(3)

    assert names("b*a + tanh(b)") == ["b", "a"]
    assert result.data == pytest.approx(expected)
    assert sum(node.name == "a" for node in graph(result)[0]) == 1  # one node, however often it is used


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "write an expression"),
        ("tanh(", "cannot be read"),
        ("x = 1", "cannot be read"),
        ("__import__('os').system('ls')", "is not a name for a number"),
        ("open('a')", "not understood"),
        ("x.real", "not understood"),
        ("[x for x in y]", "not understood"),
        ("x if y else z", "not understood"),
        ("'a' * 9", "not understood"),
        ("True + x", "not understood"),
        ("x // 2", "not understood"),
        ("x ** y", "an exponent must be a plain number"),
        ("tanh(x, y)", "takes one number"),
        ("1 / (x - x)", "divides by zero"),
        ("log(x - 5)", "has no value here"),
        ("(x - 5) ** 0.5", "has no value here"),
        ("exp(exp(exp(9)))", "beyond what a number can hold"),
        ("9**999", "beyond what a number can hold"),
        ("1e999 * x", "too large"),
        ("x", "nothing to compute"),
        ("+".join(["x"] * 60), "more than 40 parts"),
        ("x" * 201, "at most 200"),
        ("(" * 100 + "x" + ")" * 99, "cannot be read"),
    ],
)
def test_anything_else_is_refused_in_one_line(typed: str, says: str):
    with pytest.raises(BardlabError, match=says) as error:
        evaluate(typed, dict.fromkeys(names(typed), 1.0))
    assert "\n" not in str(error.value)


def test_the_steps_fill_in_every_value_and_then_every_gradient():
    """Forward each operation after its operands, backward each node after all that used it; constants get none."""
    found = trace(evaluate("2*w + w*x", {"w": 3.0, "x": -1.0}))
    forward = [step.node for step in found.steps if step.phase == "forward"]
    backward = [step.node for step in found.steps if step.phase == "backward"]
    kinds = [node.kind for node in found.nodes]

    assert [found.steps[i].phase for i in range(len(found.steps))] == ["forward"] * 3 + ["backward"] * 5
    assert forward == [i for i, kind in enumerate(kinds) if kind == "operation"]
    assert sorted(backward) == [i for i, kind in enumerate(kinds) if kind != "constant"]
    for edge in found.edges:
        if edge.source in backward:
            assert backward.index(edge.target) < backward.index(edge.source)


def test_the_words_say_what_the_engine_computed():
    """w is used twice: two local derivatives, and their sum is its gradient."""
    found = trace(evaluate("2*w + w*x", {"w": 3.0, "x": -1.0}))
    w = next(i for i, node in enumerate(found.nodes) if node.name == "w")
    step = next(s for s in found.steps if s.phase == "backward" and s.node == w)

    assert found.nodes[w].grad == 1.0
    assert step.lines[-1] == "= 2 × 1 + (−1) × 1 = 1"
    assert sum("local derivative" in line for line in step.lines) == 2


def test_every_rule_of_differentiation_in_words_equals_its_slope():
    """The formula that is shown, computed with the numbers shown, gives the slope that the engine used."""
    found = trace(
        evaluate("tanh(a*b - c/d) + exp(-a) * log(d) + relu(b)**3", {"a": 0.3, "b": 0.9, "c": -0.5, "d": 1.7})
    )
    values = {node.name: node.data for node in found.nodes}
    checked = 0
    for step in found.steps:
        for line in step.lines if step.phase == "backward" else ():
            if not line.startswith("local derivative"):
                continue
            _, rule, number = line.rsplit(" = ", 2)
            python = rule.replace("−", "-").replace("÷", "/").replace("²", "**2").replace("^", "**").replace("·", "*")
            python = python.replace("1 if b > 0, else 0", "float(b > 0)")
            assert eval(python, {}, values) == pytest.approx(float(number.replace("−", "-")), rel=1e-3)
            checked += 1

    assert checked == len([e for e in found.edges if found.nodes[e.source].kind != "constant"])


def test_nodes_stand_behind_their_operands_and_never_on_one_another():
    for typed in (NEURON, "x*x*x + x", "a/b + b/a - a*b", "((a+b)+(a+c))+((b+c)+(a+b))"):
        found = trace(evaluate(typed, {**AT, "x": 1.0, "a": 2.0, "c": 1.0}))
        places = [(node.x, node.y) for node in found.nodes]

        assert len(set(places)) == len(places)
        assert min(y for _, y in places) >= 0 and min(x for x, _ in places) == 0
        for edge in found.edges:
            assert found.nodes[edge.source].x < found.nodes[edge.target].x
        for x in {x for x, _ in places}:
            heights = sorted(y for other, y in places if other == x)
            assert all(b - a >= 1 for a, b in itertools.pairwise(heights))


def test_a_name_of_the_learners_is_not_given_to_another_node():
    found = trace(Value(1.0, name="f") * Value(2.0, name="n1") + 1)

    assert len({node.name for node in found.nodes}) == len(found.nodes)
