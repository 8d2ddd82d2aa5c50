"""How far counting alone goes: the n-gram's loss by order, counted while the learner reads."""

import streamlit as st

from core.studies import landmarks
from core.studies.landmarks import ORDERS, Counted
from core.texts.corpus import Corpus
from pages.ui import loaders
from pages.ui.components.charts.curves import Landmark, curves, plain_curve


def count_more(corpus: Corpus) -> dict[int, Counted]:
    """Return what is known of every order, after counting one more if any is missing, or packing (a second of work)."""
    known = landmarks.counted_ngrams(corpus)
    missing = [order for order in ORDERS if order not in known]
    if missing:
        known[missing[0]] = landmarks.count_ngram(corpus, missing[0])
    elif landmarks.packed(corpus) is None:
        landmarks.pack(corpus)
    return known


def complete(corpus: Corpus) -> bool:
    """True once every order has been counted, and the text packed to compare with."""
    return set(landmarks.counted_ngrams(corpus)) == set(ORDERS) and landmarks.packed(corpus) is not None


def how_far_counting_goes(corpus: Corpus) -> None:
    """The loss by order, with what no order can fall below or needs not exceed."""
    st.header("How far counting alone goes")
    st.fragment(_by_order, run_every=None if complete(corpus) else 0.2)(corpus.name)


def _by_order(name: str) -> None:
    corpus = loaders.corpus(name)
    already = complete(corpus)
    known = count_more(corpus)
    if not already and complete(corpus):
        st.rerun()  # draw the page once more, now without the clock
    best = min(known.values(), key=lambda each: each.loss)
    if len(known) < len(ORDERS):
        st.caption(f"Counting order {max(known) + 1:d} of {ORDERS[-1]} ...")
    else:
        st.caption(
            f"Every order counted here on the whole training text and measured on the whole validation text. Longer "
            f"pieces help until order {best.order:d} ({best.loss:.3f} nats); beyond it most contexts of the validation "
            f"text were never seen, and the shorter orders must answer anyway. Meanwhile the table grows: order "
            f"{ORDERS[-1]} holds {known[ORDERS[-1]].numbers:,} numbers."
        )
    marks = [Landmark(m.label, m.value, m.help) for m in loaders.corpus_landmarks(corpus.sha256, corpus.name)]
    told = [
        f"order {order:d}: {each.numbers:,} numbers, counted in {1000 * each.seconds:.0f} ms"
        for order, each in known.items()
    ]
    line = plain_curve("counted", "val", list(known), [each.loss for each in known.values()], names=told)
    curves(
        [line],
        marks,
        live=False,
        key="loss-by-order",
        palette="loss-by-order",
        x_label="order (characters in one counted piece)",
        y_label="validation loss (nats per character)",
        height=340,
    )
