"""Views of a counted n-gram: one prediction taken apart by its orders, and the map after some text."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.inspect.counting import Level, Reading, reading, table_after
from core.runs.openings import openings
from core.runs.state import Run
from core.texts.labels import listed, spelled, visible
from core.texts.tokenizer import CharTokenizer
from pages.ui.choosers import in_view
from pages.ui.plots.colours import graded_colours
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import character_bars, table_heatmaps
from pages.ui.wording import inline

SHOWN = 20
LONGEST = 200
AFTER = "after"
"""Name of the URL's parameter for the text that comes before."""


def backing_off(run: Run, model: Any, tokenizer: CharTokenizer) -> None:
    """What comes after the text typed, and which order supplied how much of it."""
    order = model.config.order
    st.header("After these characters comes ...")
    usual = openings(run).start
    typed = in_view.text(
        st.text_input,
        "After",
        name=AFTER,
        default=usual,
        longest=LONGEST,
        live=True,
        help=f"Any text; this model looks at its last {order - 1:d} characters.",
    )
    typed = tokenizer.meant(typed)
    if lacking := tokenizer.unknown(typed):
        st.error(f"The text has never had {inline(listed(lacking))}; leave it out.", icon=":material/error:")
        return
    found = reading(model, tokenizer.encode(typed)[-(order - 1) :])
    st.markdown(_in_words(found, tokenizer))
    best = np.argsort(-found.probs)[:SHOWN]
    series = {_name(level, tokenizer): level.part[best] for level in found.levels if level.weight > 0}
    plot(
        character_bars(
            "".join(tokenizer.chars[i] for i in best),
            series,
            f"the {SHOWN} likeliest characters after “{spelled(typed) or 'nothing'}”",
            "probability",
            stacked=True,
            palette=graded_colours(len(series)),
        ),
        "backoff",
    )
    st.dataframe(
        pd.DataFrame([_row(level, tokenizer) for level in found.levels]),
        hide_index=True,
        column_config={
            "order": st.column_config.NumberColumn("Order", help="Characters in the piece: its context and the next."),
            "context": st.column_config.TextColumn("Context looked up"),
            "followers": st.column_config.NumberColumn(
                "Different followers", help="How many different characters the training text has after it; 0: none."
            ),
            "handed": st.column_config.NumberColumn(
                "Handed on, λ(h)",
                format="percent",
                help="Of the probability that reaches this order, the share that its discounts leave for shorter ones.",
            ),
            "supplied": st.column_config.ProgressColumn(
                "Supplied", format="percent", min_value=0, max_value=1, help="Share of the whole probability."
            ),
        },
    )


def _in_words(found: Reading, tokenizer: CharTokenizer) -> str:
    first, *shorter = found.levels
    top = tokenizer.chars[int(np.argmax(found.probs))]
    where = inline(spelled(tokenizer.decode(first.context))) if first.context else "nothing"
    words = f"After {where} comes {inline(visible(top))} with probability {found.probs.max():.3f}. "
    if not first.followers:
        return words + "The training text never has this context: the shorter orders answer in its place."
    if not shorter:
        return words + "Only the frequencies of single characters are left to go by."
    return words + (
        f"Order {first.order:d} supplies {first.weight:.1%} of all probability, from {first.followers:,} different "
        f"followers; {first.left_over:.1%} goes on to order {shorter[0].order:d}, and so forth."
    )


def _name(level: Level, tokenizer: CharTokenizer) -> str:
    if level.order == 1:
        return "single characters"
    return f"order {level.order}: {spelled(tokenizer.decode(level.context))}"


def _row(level: Level, tokenizer: CharTokenizer) -> dict[str, object]:
    context = spelled(tokenizer.decode(level.context)) or "none"
    return {
        "order": level.order,
        "context": context,
        "followers": level.followers,
        "handed": level.left_over,
        "supplied": level.weight,
    }


def map_after(model: Any, tokenizer: CharTokenizer) -> None:
    """The V × V map of what follows each character, given the characters before it."""
    order = model.config.order
    typed = tokenizer.meant(st.session_state.get(AFTER) or "")
    if tokenizer.unknown(typed):
        return
    prefix = typed[: len(typed) - 1][-(order - 2) :]
    st.markdown(
        f"**The same map as the bigram's, but behind {inline(spelled(prefix))}**: each row is that and one "
        "more character. Take characters away above, and it turns back into the bigram's."
    )
    probs = table_after(model, tokenizer.encode(prefix))
    shown = in_view.choice(
        st.segmented_control,
        "Values",
        ["probabilities", "log-probabilities"],
        name="values",
        default="log-probabilities",
        required=True,
        key="ngram.map",
        help="The logarithm shows the rare followers too.",
    )
    if shown == "log-probabilities":
        figure = table_heatmaps({"This run": np.log(np.clip(probs, np.exp(-12), None))}, tokenizer.chars, "nats")
    else:
        figure = table_heatmaps({"This run": probs}, tokenizer.chars, "")
    plot(figure, "ngram-map")
