"""An app for tests: two runs that grow by five points each time the fragment runs, and switches."""

import numpy as np
import streamlit as st

from pages.ui.components.charts.curves import Curve, Landmark, Mark, curves

FIRST, EACH = 40, 5
GROUPS = ("first", "second")


def run(group: str, n: int, broken: bool) -> list[Curve]:
    """The training and the validation curve of one run with `n` steps."""
    step = np.arange(n, dtype=float)
    value = 1.5 + 2.6 * np.exp(-step / 60) + 0.1 * np.sin(step * 7)
    if broken:
        value[[0, 7, 8, 20]] = [np.nan, np.inf, -np.inf, np.nan]
    val = slice(0, None, 10)
    train = Curve(f"{group}:train", group, "train", group, step, step / 10, step * 512, value)
    return [train, Curve(f"{group}:val", group, "val", group, step[val], step[val] / 10, step[val] * 512, value[val])]


@st.fragment
def chart() -> None:
    """Everything is inside the fragment, as on the real page."""
    live = st.checkbox("live", True)
    second = st.checkbox("second", True)
    broken = st.checkbox("broken")
    empty = st.checkbox("empty", st.query_params.get("empty") == "1")
    if st.button("lose a message"):  # the server believes that the browser has everything
        st.session_state["chart:have"] = {f"{group}:{kind}": 10**6 for group in GROUPS for kind in ("train", "val")}
    st.session_state.runs = st.session_state.get("runs", -1) + 1
    st.caption(f"runs {st.session_state.runs}")
    n = 0 if empty else FIRST + EACH * st.session_state.runs
    shown = run("first", n, broken) + (run("second", n, False) if second else [])
    curves(
        shown,
        [Landmark("uniform: ln 65 = 4.174", 4.174, "Every character equally likely."), Landmark("bigram", 2.45, "")],
        [Mark("first", 30, "learning rate halved")],
        live=live,
        key="chart",
        interval=float(st.query_params.get("interval", "0.2")),
    )


st.button("rerun the page")
chart()
