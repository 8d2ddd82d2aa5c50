"""The page Gradient descent: the graph of a typed expression, the race, the small net."""

import pytest

from tests.pages.test_pages import draw

PAGE = "ladder/gradient_descent.py"


def test_it_draws_and_says_its_own_code():
    app = draw(PAGE)

    assert not app.exception and not app.error
    assert any("def backward" in code.value for code in app.code)
    assert {"w1", "x1", "b"} <= {box.label for box in app.number_input}


@pytest.mark.parametrize(
    ("typed", "reason"),
    [("__import__('os')", "not a name"), ("1/(x-x)", "divides by zero"), ("", "write an expression"), ("a b", "read")],
)
def test_bad_expressions_are_one_line(typed: str, reason: str):
    app = draw(PAGE)
    app.text_input(key="expression").set_value(typed).run()

    assert not app.exception
    assert reason in app.error[0].value and "\n" not in app.error[0].value


def test_an_experiment_sets_the_race_and_its_consequence_is_told():
    """On the ravine 0.3 is beyond what plain steps can bear (2 over the curvature of 10), Adam stays."""
    app = draw(PAGE)
    app.button(key="try.0").click().run()

    assert app.selectbox(key="surface").value == "ravine"
    told = next(m.value for m in app.markdown if "left the map" in m.value)
    assert "SGD" in told and "Adam" not in told
