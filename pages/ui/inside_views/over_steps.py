"""One place of a text over a run's snapshots: the probability of each character there, as a heat map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from core.inspect.history import Answer, Portrait
from core.runs.state import Run
from core.texts.labels import spelled, visible
from pages.ui import loaders
from pages.ui.choosers import in_view
from pages.ui.choosers.prompt import Prompt
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import chances_over_steps
from pages.ui.wording import inline

ROWS = 16
"""Characters with a row: the likeliest at any snapshot, and the one that the text has there."""


def character_by_step(
    run: Run, tokenizer: Any, prompt: Prompt, portraits: Sequence[Portrait], answers: Sequence[Answer]
) -> None:
    """Choose a place of the prompt; draw what each snapshot expects there. `answers` are those for the prompt's end."""
    st.header("Character × step")
    length = len(prompt.ids)
    place = length
    if length > 1:
        place -= in_view.number(
            st.slider,
            "Characters before the end of the prompt",
            0,
            length - 1,
            name="back",
            default=0,
            help="0: the character after the whole prompt. Otherwise one that the prompt has there.",
        )
    if place < length:
        answers = [loaders.answer(run, portrait.step, prompt.ids[:place], 0) for portrait in portraits]
    chances = np.stack([answer.probabilities for answer in answers])  # (S, V)
    likely = np.argsort(-chances.max(axis=0), kind="stable")[:ROWS].tolist()
    actual = prompt.ids[place] if place < length else None
    if actual is not None and actual not in likely:
        likely[-1] = actual
    rows = sorted(likely, key=lambda i: (i != actual, -chances[-1, i]))
    names = [tokenizer.chars[i] for i in rows]
    steps = [portrait.step for portrait in portraits]
    plot(chances_over_steps(chances[:, rows].T, steps, names), "time.over-steps", f"character-by-step-{run.path.name}")
    here = inline("…" * (place > 24) + spelled(prompt.text[max(0, place - 24) : place]))
    ends = f"from {chances[0, rows[0]]:.4f} at step {steps[0]:,} to {chances[-1, rows[0]]:.4f} at step {steps[-1]:,}"
    if actual is not None:
        st.caption(f"After {here} the prompt has {inline(visible(names[0]))}, the top row: {ends}.")
    else:
        st.caption(f"After {here}: the likeliest at the last snapshot, {inline(visible(names[0]))}, goes {ends}.")
