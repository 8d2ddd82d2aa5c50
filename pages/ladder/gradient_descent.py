"""Gradient descent: how anything on this ladder learns, on three things small enough to see whole."""

import inspect

import streamlit as st

from core.errors import BardlabError
from core.scalars.autograd import backward_steps
from core.scalars.expression import LONGEST, evaluate, names
from core.scalars.graph import trace
from core.scalars.landscapes import SURFACES
from core.scalars.net import TASKS
from core.scalars.optimizers import OPTIMIZERS
from core.scalars.pictures import Fit, fitted, heights, lowest, walk
from pages.ui import state, teaching, wording
from pages.ui.choosers import in_view
from pages.ui.components.charts.descent import Dot, Walker, descent
from pages.ui.components.pictures.graph_steps import graph_steps
from pages.ui.plots.colours import colours, diverging_stops

EXPRESSION = "tanh(w1*x1 + w2*x2 + b)"
VALUES = {"w1": -3.0, "x1": 2.0, "w2": 1.0, "x2": 0.5, "b": 6.5}
RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
REACH = 2.5
EXPERIMENTS = (
    ("A rate far too high", "Plain steps leap across the ravine and off the map.", "ravine", 0.3, ["SGD", "Adam"]),
    ("Memory in a bent valley", "Momentum overshoots, then outruns plain steps along the floor.", "rosenbrock", 0.003,
     ["SGD", "Momentum"]),
    ("Off the saddle", "Nearly level ground: who finds the way down first?", "saddle", 0.03, list(OPTIMIZERS)),
)  # fmt: skip


def own_start() -> None:
    """Forget the starting point that was clicked: it belonged to another landscape."""
    st.session_state.pop("start", None)


def set_race(surface: str, rate: float, chosen: list[str]) -> None:
    """Move the controls of the race."""
    own_start()
    st.session_state.update({"surface": surface, "rate": rate, "optimizers": chosen})
    state.say_next("The controls of the race are set", ":material/tune:")


@teaching.part("graph")
@st.fragment
def graph() -> None:
    """One expression, value by value and gradient by gradient."""
    st.header("Forward, then backward")
    st.caption(
        "Forward, every node computes its value from its operands. Backward, every node learns how much the result "
        "would move if it moved: its gradient, the sum over all ways to the result of the local derivatives along "
        "them. Step through both."
    )
    typed = st.text_input(
        "Expression",
        EXPRESSION,
        key="expression",
        max_chars=LONGEST,
        bind="query-params",
        help="Arithmetic with numbers and names, and tanh, relu, exp, log. Each name gets a value below.",
    )
    try:
        found = names(typed)
        with st.container(horizontal=True):
            values = {
                name: st.number_input(
                    wording.plain(name),
                    value=VALUES.get(name, 1.0),
                    step=0.5,
                    key=f"value.{name}",
                    width=110,
                    help="Its value.",
                )
                for name in found[:8]
            }
        if len(found) > 8:
            raise BardlabError(f"the expression has {len(found)} names; use at most 8")
        result = evaluate(typed, values)
        result.backward()
        graph_steps(trace(result), key="graph")
    except BardlabError as error:
        st.error(wording.plain(str(error)), icon=":material/error:")


@teaching.part("race")
@st.fragment
def race() -> None:
    """Optimisers on one landscape."""
    st.header("A race downhill")
    st.caption(
        "All start at the same place and get the same kind of gradient; they differ in what they remember of earlier "
        "ones. The fainter, the lower; crosses mark the lowest points. Click the map to start elsewhere. Who steps too "
        "far leaves the map and is out."
    )
    left, middle, right = st.columns(3)
    surface_key = left.selectbox(
        "Landscape",
        list(SURFACES),
        format_func=lambda key: SURFACES[key].title,
        key="surface",
        bind="query-params",
        on_change=own_start,
        help="The height is the loss; x and y are the two parameters.",
    )
    rate = middle.select_slider(
        "Learning rate", RATES, 0.01, key="rate", bind="query-params", help="How far a step goes along the gradient."
    )
    chosen = right.multiselect(
        "Optimisers",
        list(OPTIMIZERS),
        list(OPTIMIZERS),
        key="optimizers",
        bind="query-params",
        help="Who takes part. Same rate for all.",
    )
    if not chosen:
        st.info("Choose at least one optimiser.", icon=":material/directions_run:")
        return
    surface, steps = SURFACES[surface_key], 200
    floor, start = lowest(surface), st.session_state.get("start", surface.start)
    walkers = []
    for name, colour in zip(OPTIMIZERS, colours(), strict=False):
        if name in chosen:
            path = walk(surface_key, name, rate, steps, start)
            inside = [step for step in path if step.height < 1e12]
            gone = f"left the map after {len(path) - 1} steps" if len(path) <= steps else ""
            losses = [max(step.height - floor, 1e-12) for step in inside]
            walkers.append(Walker(name, colour, losses, [(s.x, s.y) for s in inside], gone))
    first = walk(surface_key, "SGD", rate, 1, start)
    st.latex(
        rf"\begin{{pmatrix}} x_1 \\ y_1 \end{{pmatrix}} = \begin{{pmatrix}} x_0 \\ y_0 \end{{pmatrix}} - \eta\,\nabla f"
        rf"= \begin{{pmatrix}} {first[0].x:.3g} \\ {first[0].y:.3g} \end{{pmatrix}} - {rate:g} \begin{{pmatrix}} "
        rf"{first[0].grad_x:.3g} \\ {first[0].grad_y:.3g} \end{{pmatrix}} = \begin{{pmatrix}} {first[1].x:.3g} \\ "
        rf"{first[1].y:.3g} \end{{pmatrix}}",
        help="The first step of SGD on this landscape, at this rate, in numbers.",
    )
    place = descent(
        walkers,
        surface.x_range,
        surface.y_range,
        key="race",
        steps=steps,
        loss_label="height above the lowest point",
        dots=[Dot(start[0], start[1], "start"), *(Dot(x, y, "minimum") for x, y in surface.minima)],
        fields=heights(surface)[None],
        clickable=True,
    )
    if place and place != start:
        st.session_state["start"] = place
        st.rerun(scope="fragment")
    if lost := [walker.label for walker in walkers if walker.end]:
        st.markdown(
            f"**{wording.plain(', '.join(lost))}** left the map: at a rate of {rate:g} each step overshoots by more "
            "than it gains."
        )


@st.cache_data(max_entries=64, show_spinner="Fitting a small net, one scalar at a time")
def fit_of(task: str, hidden: int, optimizer: str, rate: float) -> Fit:
    """A whole fit, kept for the next visit."""
    return fitted(task, hidden, optimizer, rate, 120, 1337, REACH)


@teaching.part("net")
@st.fragment
def net() -> None:
    """A net of scalars, fitted to points."""
    st.header("A net made of such values")
    left, middle, right, last = st.columns(4)
    task = left.selectbox("Points", list(TASKS), key="task", bind="query-params", help="What the net shall answer.")
    hidden = in_view.number(
        middle.slider,
        "Hidden units",
        2,
        12,
        name="units",
        default=6,
        help="tanh units between the inputs and the answer.",
    )
    optimizer = in_view.choice(
        right.selectbox,
        "Optimiser",
        list(OPTIMIZERS),
        name="net.optimizer",
        default=list(OPTIMIZERS)[3],
        help="How it takes its steps.",
    )
    rate = in_view.choice(last.select_slider, "Rate", RATES, name="net.rate", default=0.1, help="Try the largest one.")
    found = fit_of(task, hidden, optimizer, rate)
    points = TASKS[task]
    flat = len(points[0][0]) == 1
    answers = None if flat else (found.frames.clip(-1, 1) + 1) / 2
    finite = [max(loss, 1e-12) for loss in found.losses if loss < 1e12]
    end = f"diverged after {len(finite)} steps" if found.diverged or len(finite) < len(found.losses) else ""
    descent(
        [Walker(optimizer, colours()[0], finite, end=end)],
        (-REACH, REACH),
        (-1.5, 1.5) if flat else (-REACH, REACH),
        key="net",
        steps=len(found.losses) - 1,
        loss_label="mean squared error",
        dots=[
            Dot(inputs[0], target if flat else inputs[1], "high" if target > 0 else "low") for inputs, target in points
        ],
        fields=answers,
        colours=diverging_stops(32),
        lines=found.frames if flat else None,
        frame_steps=found.frame_steps,
        labels=("input", "answer") if flat else ("first input", "second input"),
    )
    st.caption(
        f"{found.parameters:,} parameters, each a value like those above; every step runs the whole graph forward and "
        "backward, and the optimiser moves them all at once. The big models do just this, with tensors for scalars."
    )


state.notices()
st.markdown("*A model learns by moving every number in it a little, in the direction that lowers the loss.*")
st.markdown(
    "Whatever computes a loss from numbers is a graph of small operations, and each of them knows its own derivative. "
    "The chain rule multiplies these along the way back and so finds, in one pass, how the loss would answer to a "
    "nudge of any number. Learning is: compute, go back, take a small step against the gradient, repeat."
)
st.latex(r"\theta \leftarrow \theta - \eta\,\frac{\partial L}{\partial \theta}, \qquad \frac{\partial L}{\partial a} ="
         r"\sum_{b\ \text{uses}\ a} \frac{\partial L}{\partial b}\,\frac{\partial b}{\partial a}")  # fmt: skip
graph()
race()
st.header("Try this")
for number, (column, (title, look_for, surface, rate, chosen)) in enumerate(
    zip(st.columns(3), EXPERIMENTS, strict=True)
):
    with column.container(border=True, height="stretch"):
        st.markdown(f"**{wording.plain(title)}**")
        st.caption(wording.plain(look_for))
        st.button(
            "Set the controls",
            key=f"try.{number}",
            on_click=set_race,
            args=(surface, rate, chosen),
            help="Moves the controls of the race above.",
        )
net()
st.header("The new lines")
st.caption("From `core/scalars/autograd.py`, as they run here.")
st.code(inspect.getsource(backward_steps), language="python", wrap_lines=True)
