"""Views of the bigram: counted against learned, and what counting longer pieces makes of it."""

import numpy as np
import streamlit as st

from core.inspect.counting import Tables, learned, tables
from core.runs.state import Run
from core.studies import landmarks
from core.texts.corpus import Corpus
from core.texts.labels import visible
from pages.ui import loaders
from pages.ui.choosers import in_view
from pages.ui.components.charts.curves import Curve, curves
from pages.ui.plots.colours import place_of
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import character_bars, table_heatmaps
from pages.ui.rung_views.absent import weightless
from pages.ui.rung_views.counting import how_far_counting_goes
from pages.ui.rung_views.followed import followed
from pages.ui.rung_views.ngram import backing_off, map_after
from pages.ui.wording import GONE

LOWEST = np.exp(-12)  # probabilities below it look alike on the logarithmic map


def pairs(run: Run) -> None:
    """Counted against learned; or, of longer pieces, which order says what."""
    config = run.need()
    corpus = loaders.text_of(run)
    longer = config.rung.variant_of(config.model_config_) is not None
    if longer and run.usable:
        model, tokenizer = loaders.model(run)
        backing_off(run, model, tokenizer)
        map_after(model, tokenizer)
    elif not longer and corpus is not None:
        _counted_and_learned(run, corpus)
    elif not longer and run.usable:
        _learned(run)
    if corpus is not None:
        how_far_counting_goes(corpus)


def _learned(run: Run) -> None:
    """The table alone, of a run whose text is gone."""
    st.header("What was learned")
    st.caption(f"What it would be held against is counted in the run’s text: {GONE}")
    model, tokenizer = loaders.model(run)
    table = np.log(np.clip(learned(model), LOWEST, None))
    plot(table_heatmaps({"This run": table}, tokenizer.chars, "nats"), "tables")


def _counted_and_learned(run: Run, corpus: Corpus) -> None:
    pairs, distinct = landmarks.unseen_pairs(corpus)
    st.header("Counted and learned, side by side")
    st.caption(
        f"{pairs:,} neighbours in the validation text ({distinct:,} different pairs) never occur in the training text. "
        "Counting without smoothing gives them no probability, and the validation loss becomes infinite; adding one to "
        "every count keeps it finite. Gradient descent never quite reaches zero, so its loss is finite too."
    )
    followed(_distance)(run.slug)
    if not run.usable:
        weightless(run)
        return
    model, _ = loaders.model(run)
    found = tables(model, corpus)
    st.metric(
        "Distance now", f"{found.kl:.4f} nats", help="KL(counted ‖ learned), each row weighted by how often it is used."
    )
    _maps(found, corpus.tokenizer.chars)
    _row(found, corpus.tokenizer.chars)


def _maps(found: Tables, characters: str) -> None:
    shown = st.segmented_control(
        "Values",
        ["counts", "probabilities", "log-probabilities", "logits"],
        default="log-probabilities",
        required=True,
        key="map",
        bind="query-params",
        help="Counts: pairs in the training text, and how many this run would expect. Logits: the numbers that the run "
        "holds, from which softmax makes probabilities. All but the probabilities are drawn so that rare pairs show.",
    )
    often = found.counts.sum(axis=1, keepdims=True)
    if shown == "counts":
        both = {"Counted": found.counts, "Expected by this run": found.model * often}
        drawn = {name: np.log10(1 + table) for name, table in both.items()}
        figure = table_heatmaps(drawn, characters, "log₁₀(1 + count)", values=both, digits=0, often=often[:, 0])
    elif shown == "logits":
        figure = table_heatmaps(
            {"Logits of this run": found.logits}, characters, "logit", diverging=True, often=often[:, 0]
        )
    else:
        both = {"Counted": found.counted, "This run": found.model}
        if shown == "log-probabilities":
            both = {name: np.log(np.clip(table, LOWEST, None)) for name, table in both.items()}
        figure = table_heatmaps(both, characters, "" if shown == "probabilities" else "nats", often=often[:, 0])
    plot(figure, "tables")


def _row(found: Tables, characters: str) -> None:
    row = in_view.choice(
        st.selectbox,
        "After",
        list(characters),
        name="row",
        default="q" if "q" in characters else characters[0],
        format_func=visible,
        key="bigram.row",
        help="Reads one row of both tables: what comes after this character?",
    )
    at = characters.index(row)
    order = np.argsort(-found.counted[at])[:20]
    series = {"counted": found.counted[at][order], "this run": found.model[at][order]}
    plot(
        character_bars(
            "".join(characters[i] for i in order),
            series,
            f"the 20 commonest characters after “{visible(row)}”",
            "probability",
        ),
        "row",
    )


def _distance(run: Run) -> None:
    read = loaders.reader(run)
    step, value = read.curve("kl/counted")
    if not run.state.active and len(step) < 2:
        return
    st.markdown(
        "**How far the learned table is from the counted one** :small[:gray[KL(counted ‖ learned)]]",
        help="The Kullback-Leibler divergence, in nats a character: what predicting by the learned table costs more "
        "than by the counted one. It shrinks as the table is learned.",
    )
    name = f"{run.slug}:kl:{read.generation}"
    seconds, characters = read.at("time/seconds", step), read.at("time/characters", step)
    curve = Curve(name, run.label, "val", run.slug, step, seconds, characters, value, hue=place_of(run))
    curves([curve], live=run.state.active, key="kl-curve", y_label="KL (nats per character)", height=240)
