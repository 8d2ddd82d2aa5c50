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


def test_the_first_step_is_spelled_out_in_numbers_and_the_race_is_in_the_address():
    """On the bowl, x² + y², at (-2.5, 2): the gradient is (-5, 4), and 0.1 of it is taken off."""
    app = draw(PAGE, surface="Bowl", rate="0.1", optimizers="Adam")
    step = next(m.value for m in app.latex if "nabla" in m.value)

    assert app.multiselect(key="optimizers").value == ["Adam"]
    assert all(part in step for part in (r"-2.5 \\ 2", "0.1", r"-5 \\ 4", r"-2 \\ 1.6"))


def test_another_landscape_forgets_a_start_that_was_clicked():
    app = draw(PAGE)
    app.session_state["start"] = (1.0, 1.0)
    app.selectbox(key="surface").set_value("saddle").run()

    assert "start" not in app.session_state
