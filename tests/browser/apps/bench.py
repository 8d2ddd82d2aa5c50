"""The app of bench_curves.py: 10 curves × 10,000 points, ten more each an update. `?full=1` resends everything."""

import numpy as np
import streamlit as st

from pages.ui.components.charts.curves import Curve, Landmark, curves

CURVES, POINTS, MORE = 10, 10_000, 10


@st.cache_data
def columns(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """More steps and values than any bench needs."""
    step = np.arange(POINTS * 2, dtype=float)
    noise = np.random.default_rng(seed).normal(0, 0.05, len(step))
    return step, 1.4 + 0.05 * seed + 2.5 * np.exp(-step / 1500) + noise


@st.fragment
def chart() -> None:
    st.session_state.runs = st.session_state.get("runs", -1) + 1
    if st.query_params.get("full"):
        st.session_state.pop("bench:have", None)
    n = POINTS + MORE * st.session_state.runs
    shown = []
    for seed in range(CURVES):
        step, value = columns(seed)
        shown.append(Curve(f"run{seed}", f"run {seed}", "train", f"run{seed}", step[:n], step[:n], step[:n], value[:n]))
    curves(shown, [Landmark("uniform: ln 65 = 4.174", 4.174, "")], live=True, key="bench")


chart()
