"""Which characters of the prompt the next one rests on: the prompt, coloured."""

from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from core.inspect.lens import next_logits
from core.inspect.salience import Baseline, Salience, has_salience
from core.runs.state import Run
from core.texts.labels import visible
from pages.ui import loaders
from pages.ui.choosers import in_view
from pages.ui.inside_views import predictions
from pages.ui.plots.colours import tint
from pages.ui.wording import inline

MOST = 128
"""Characters of the prompt, its last ones, that are read."""
STEPS = (8, 16, 32, 64, 128, 256)
METHODS = {"integrated": "Integrated gradients", "gradient": "Gradient × input"}
BASELINES = {"mean": "Mean", "zero": "Zero"}


def salience_view(run: Run, step: int | None, text: str) -> None:
    """Choose a next character and a method; draw what each character of the prompt adds to its log-probability."""
    model, tokenizer = loaders.model(run, step)
    if not has_salience(model):
        st.info(
            "This rung reads a character without a vector: what comes next rests on the table's row of the last "
            "characters alone. Choose a run of another rung.",
            icon=":material/visibility_off:",
        )
        return
    text = text[-min(MOST, model.readable(len(text))) :]
    logits = next_logits(model, tokenizer.encode(text)).numpy()
    order = np.argsort(-logits, kind="stable").tolist()
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        target = in_view.choice(
            st.selectbox,
            "Next character",
            order,
            name="next",
            said=tokenizer.chars.__getitem__,
            format_func=lambda i: visible(tokenizer.chars[i]),
            key=f"salience.target.{run.slug}",
            width=160,
            help="Whose probability is explained; likeliest first.",
        )
        method = in_view.choice(
            st.segmented_control,
            "Method",
            list(METHODS),
            name="salience",
            format_func=METHODS.__getitem__,
            required=True,
            key="salience.method",
            help="Gradient × input takes the slope where the prompt is. Integrated gradients take its mean on the way "
            "from the baseline to the prompt, and add up to what the prompt changes.",
        )
        baseline = in_view.choice(
            st.segmented_control,
            "Baseline",
            list(BASELINES),
            name="baseline",
            format_func=BASELINES.__getitem__,
            required=True,
            key="salience.baseline",
            help="What stands for a character that says nothing: the mean of all characters' vectors, or zero.",
        )
        steps = in_view.choice(
            st.select_slider,
            "Steps",
            STEPS,
            name="steps",
            default=32,
            key="salience.steps",
            width=160,
            help="Points on the way; more make the gap smaller.",
        )
    way: Baseline = "zero" if baseline == "zero" else "mean"
    found = predictions.salience_of(run, step, text, target, steps, way)
    values = found.integrated if method == "integrated" else found.gradient
    _characters(text, values, visible(tokenizer.chars[target]))
    _sum(found, values, visible(tokenizer.chars[target]))
    with st.expander("In numbers"):
        st.dataframe(
            pd.DataFrame(
                {
                    "place": range(-len(text) + 1, 1),
                    "character": [visible(c) for c in text],
                    "integrated": found.integrated,
                    "gradient": found.gradient,
                }
            ),
            hide_index=True,
            column_config={
                "place": st.column_config.NumberColumn("Place", help="0 is the last character of the prompt."),
                "character": st.column_config.TextColumn("Character"),
                "integrated": st.column_config.NumberColumn("Integrated gradients", format="%+.4f", help="In nats."),
                "gradient": st.column_config.NumberColumn("Gradient × input", format="%+.4f", help="In nats."),
            },
        )


def _characters(text: str, values: np.ndarray, target: str) -> None:
    """Draw the prompt with each character tinted by its value, which it says under the pointer; and what comes next."""
    limit = float(np.abs(values).max()) if len(values) else 0.0
    parts = []
    for place, (character, value) in enumerate(zip(text, values, strict=True), start=1 - len(text)):
        fill, ink = tint(float(value), limit)
        style = f"background: {fill};" + (f" color: {ink};" if ink else "")
        shown = visible(character) + ("\n" if character == "\n" else "")
        told = f"{visible(character)} {value:+.4f} nats, place {place}"
        parts.append(f'<span style="{style}" title="{escape(told, quote=True)}">{escape(shown)}</span>')
    parts.append(f'<span style="border: 1px dashed; opacity: 0.7">{escape(target)}</span>')
    box = "font: 1.1rem/1.9 var(--st-code-font, monospace); white-space: pre-wrap; overflow-wrap: anywhere;"
    st.html(f'<div dir="auto" style="{box}">{"".join(parts)}</div>')


def _sum(found: Salience, values: np.ndarray, target: str) -> None:
    """Say what the values add up to, and how far that is from what it should be."""
    change = found.score - found.base
    share = f" ({abs(found.gap / change):.1%} of it)" if change else ""
    st.markdown(
        f"The log-probability of {inline(target)} goes from {found.base:.3f} with nothing read to {found.score:.3f} "
        f"with this prompt: {change:+.3f} nats. The characters' values add up to **{values.sum():+.3f}**."
    )
    st.caption(
        f"Completeness of the integrated gradients with {found.steps:,} steps: they miss the change by "
        f"{found.gap:+.4f} nats{share}. Orange raises the log-probability, purple lowers it; point at a character "
        "for its value."
    )
