"""What of a written text is copied from the training text, in words and as ranges to underline."""

from collections.abc import Sequence

import streamlit as st

from core.studies.writing import Writing
from core.texts.copied import Meter, Passage, training_text
from core.texts.corpus import Corpus
from core.texts.labels import spelled
from core.texts.places import place
from pages.ui.components.texts.marked_text import marked_text
from pages.ui.wording import plain

LEAST = 16
"""A passage of so many characters is worth underlining: in Shakespeare's own plays one in sixty-seven is copied."""
QUOTED = 80
"""Characters of a passage that are quoted."""
READERS = "copied.readers"
"""What reads the texts that are written in this session."""


def quoted(passage: str) -> str:
    """A passage on one line, cut short if it is long."""
    return spelled(passage[:QUOTED]) + (" …" if len(passage) > QUOTED else "")


class Followed:
    """A text that is written by a model of a corpus, and what of it stands in the training text."""

    def __init__(self, corpus: Corpus, text: str = "") -> None:
        self.corpus = corpus
        self.meter = Meter(training_text(corpus))
        self._sources: dict[str, str] = {}
        self.read(text)

    def read(self, text: str) -> None:
        """Read the text as it is by now: what was read before, and more."""
        self.meter.feed(text[len(self.meter.text) :])

    def source(self, passage: Passage) -> str:
        """Where a passage was copied from, in plain text."""
        words = self.meter.text[passage.start : passage.start + passage.length]
        if words not in self._sources:
            more = self.meter.source.count(words) - 1
            also = f", and {more:,} {'place' if more == 1 else 'places'} more" if more else ""
            self._sources[words] = f"{place(self.corpus, passage.place).words}{also}"
        return self._sources[words]

    def ranges(self, least: int = LEAST) -> list[tuple[int, int, str]]:
        """List what to underline, (start, length, title), in the order of the text; none overlaps another."""
        return [
            (start, length, f"{found.length:,} characters, copied from {self.source(found)}")
            for start, length, found in self.meter.spans(least)
        ]

    def told(self) -> str:
        """The longest passage in one line of plain text."""
        best = self.meter.longest()
        if best is None:
            return "Nothing copied."
        words = quoted(self.meter.text[best.start : best.start + best.length])
        return f"Longest passage copied: {best.length:,} characters, “{words}”, from {self.source(best)}."


def followed(texts: Writing, corpus: Corpus | None) -> list[Followed]:
    """Read what a session writes as far as it came: one reader a text, none if there is no text to look it up in."""
    name, readers = st.session_state.get(READERS, ("", []))
    if name != texts.name:
        readers = [Followed(corpus) for _ in texts.texts] if corpus else []
        st.session_state[READERS] = (texts.name, readers)
    for reader, text in zip(readers, texts.texts, strict=False):
        reader.read(text.text)
    return list(readers)


def longest(readers: Sequence[Followed]) -> str:
    """The longest passage copied in any of some texts, in one line of plain text; empty if nobody reads them."""
    best = max(readers, key=lambda reader: max(reader.meter.lengths, default=0), default=None)
    return best.told() if best else ""


def marked(corpus: Corpus, text: str, *, label: str, key: str, least: int = LEAST) -> None:
    """Show a finished text with what is copied marked, and the longest passage in one line."""
    followed = Followed(corpus, text)
    marks = [False] * len(text)
    for start, length, _ in followed.ranges(least):
        marks[start : start + length] = [True] * length
    st.markdown(plain(followed.told()))
    marked_text(text, marks, label=label, key=key)
