"""What a run wrote untrained and what it writes now, side by side, with a slider over the evaluations between."""

from collections.abc import Sequence

import streamlit as st

from core.runs.state import Sample
from pages.ui import tell

HEIGHT = 88
"""Of each text, px: four whole lines."""


def two_texts(samples: Sequence[Sample], slug: str) -> None:
    """Draw the first sample and one chosen by its step: the newest, until the learner chooses an earlier one."""
    steps = sorted({sample.step for sample in samples})
    by_step = {sample.step: sample for sample in samples}
    left, right = st.columns(2, gap="small")
    with left, st.container(key="text-first"):
        st.caption("Untrained" if not steps or steps[0] == 0 else f"Step {steps[0]:,}")
        _text(by_step[steps[0]] if steps else None, "first")
    with right, st.container(key="text-now"):
        step = _step(steps, slug)
        _text(by_step.get(step), "now")


def _step(steps: list[int], slug: str) -> int:
    """Draw the slider; one that has nothing to choose from keeps its place."""
    last = steps[-1] if steps else 0
    options = steps if len(steps) > 1 else [last, last + 1]
    key, newest = f"text.{slug}", f"text.{slug}.newest"
    if st.session_state.get(key) in (None, st.session_state.get(newest)) or st.session_state[key] not in options:
        st.session_state[key] = last  # goes along with the newest
    st.session_state[newest] = last
    return st.select_slider(
        "Text after step",
        options,
        key=key,
        format_func=lambda step: f"after step {step:,}",
        label_visibility="collapsed",
        disabled=len(steps) < 2,
        help="What it wrote at each evaluation, from the same prompt and seed.",
    )


def _text(sample: Sample | None, key: str) -> None:
    tell.paper(sample.prompt + sample.text if sample else "", key, HEIGHT)
