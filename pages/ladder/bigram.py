"""The bigram's page."""

import numpy as np
import streamlit as st

from core import landmarks
from core.inspect.bigram import tables
from core.runs import Run
from pages.ui import cached
from pages.ui.charts import bars, table_heatmaps, visible
from pages.ui.components.curves import Curve, curves
from pages.ui.rung import rung


def views(run: Run) -> None:
    """Counted against learned."""
    corpus = cached.text_of(run)
    if corpus is None:
        return
    pairs, distinct = landmarks.unseen_pairs(corpus)
    st.subheader("Counted and learned, side by side")
    st.caption(
        f"{pairs} neighbours in the validation text ({distinct} different pairs) never occur in the training text. "
        "Counting without smoothing gives them no probability, and the validation loss becomes infinite; adding one to "
        "every count keeps it finite. Gradient descent never quite reaches zero, so its loss is finite too."
    )
    _distance(run.slug)
    if not run.usable:
        st.info("The tables appear here when the first weights are saved.", icon=":material/table_chart:")
        return
    model, _ = cached.model(run)
    found = tables(model, corpus)
    st.metric(
        "Distance now", f"{found.kl:.4f} nats", help="KL(counted ‖ learned), each row weighted by how often it is used."
    )
    shown = st.segmented_control(
        "Values",
        ["probability", "log-probability"],
        default="log-probability",
        required=True,
        key="bigram.values",
        help="The logarithm shows the rare pairs too; both panels use the same scale.",
    )
    both = {"Counted": found.counted, "This run": found.model}
    if shown == "log-probability":
        both = {name: np.log(np.clip(table, np.exp(-12), None)) for name, table in both.items()}
    unit = "" if shown == "probability" else "nats"
    st.plotly_chart(table_heatmaps(both, corpus.tokenizer.chars, unit), key="tables")
    characters = corpus.tokenizer.chars
    row = st.selectbox(
        "After",
        list(characters),
        index=characters.index("q") if "q" in characters else 0,
        format_func=visible,
        key="bigram.row",
        help="Reads one row of both tables: what comes after this character?",
    )
    at = characters.index(row)
    order = np.argsort(-found.counted[at])[:20]
    labels = [visible(characters[i]) for i in order]
    series = {"counted": found.counted[at][order], "this run": found.model[at][order]}
    st.plotly_chart(
        bars(labels, series, f"the 20 commonest characters after “{visible(row)}”", "probability"), key="row"
    )


@st.fragment
def _distance(slug: str) -> None:
    from core import runs

    run = runs.find(slug)
    read = cached.reader(run)
    step, value = read.curve("kl/counted")
    if not run.state.active and len(step) < 2:
        return
    st.markdown("**KL(counted ‖ learned)** shrinks as the table is learned")
    name = f"{run.slug}:kl:{read.generation}"
    seconds, characters = read.at("time/seconds", step), read.at("time/characters", step)
    curve = Curve(name, run.name, "val", run.slug, step, seconds, characters, value)
    curves([curve], live=run.state.active, key="kl-curve", y_label="KL (nats per character)", height=240)


rung("bigram", views)
