"""What of a written text is copied from the training text, in words and as ranges to underline."""

import streamlit as st

from core.texts.copied import Meter, Passage, training_text
from core.texts.corpus import Corpus
from core.texts.labels import spelled
from core.texts.places import place
from pages.ui.components.texts.marked_text import marked_text
from pages.ui.wording import plain

LEAST = 16
"""A passage of so many characters is worth underlining: of Shakespeare's own, one in fifty is that long or longer."""
QUOTED = 80
"""Characters of a passage that are quoted."""


def meter_of(corpus: Corpus, text: str = "") -> Meter:
    """Return a meter against the training text of a corpus, having read `text`. It may be fed with what comes."""
    meter = Meter(training_text(corpus))
    meter.feed(text)
    return meter


def quoted(passage: str) -> str:
    """A passage on one line, cut short if it is long."""
    return spelled(passage[:QUOTED]) + (" …" if len(passage) > QUOTED else "")


def source(meter: Meter, corpus: Corpus, passage: Passage) -> str:
    """Where a passage was copied from, in plain text."""
    times = meter.source.count(meter.text[passage.start : passage.start + passage.length])
    return f"{place(corpus, passage.place).words}{f', and {times - 1:,} places more' if times > 1 else ''}"


def ranges(meter: Meter, corpus: Corpus, least: int = LEAST) -> list[dict[str, object]]:
    """List what to underline, {start, length, title}, in the order of the text; none overlaps another."""
    return [
        {"start": start, "length": length, "title": f"{found.length:,} characters, from {source(meter, corpus, found)}"}
        for start, length, found in meter.spans(least)
    ]


def told(meter: Meter, corpus: Corpus) -> str:
    """The longest passage in one line of plain text."""
    best = meter.longest()
    if best is None:
        return "Nothing copied."
    passage = quoted(meter.text[best.start : best.start + best.length])
    return f"Longest passage copied: {best.length:,} characters, “{passage}”, from {source(meter, corpus, best)}."


def marked(corpus: Corpus, text: str, *, label: str, key: str, least: int = LEAST) -> None:
    """Show a finished text with what is copied marked, and the longest passage in one line."""
    meter = meter_of(corpus, text)
    marks = [False] * len(text)
    for start, length, _ in meter.spans(least):
        marks[start : start + length] = [True] * length
    st.markdown(plain(told(meter, corpus)))
    marked_text(text, marks, label=label, key=key)
