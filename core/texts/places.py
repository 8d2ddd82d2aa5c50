"""Where in a text something stands, in words: the play, who speaks, the line."""

import re
from bisect import bisect_right
from dataclasses import dataclass

from core.texts.corpus import Corpus
from core.texts.shakespeare import BEGINNINGS, SHA256

SPEECH = 20_000
"""Characters back in which the name of a speaker is looked for."""


@dataclass(frozen=True)
class Place:
    """Where something stands."""

    work: str
    """The play; empty in a text of which nothing is known."""
    speaker: str
    """Whose speech it is in, if the text has speeches."""
    line: int
    """The line of the text as a whole, from 1."""

    @property
    def words(self) -> str:
        """The place in a few words."""
        return ", ".join(word for word in (self.work, self.speaker, f"line {self.line:,}") if word)


def place(corpus: Corpus, at: int) -> Place:
    """Say where a character of a text stands.

    A speech is a line that ends with a colon at the text's start or after an empty line, and what follows up to the
    next empty line.
    """
    text = corpus.text
    work = ""
    if corpus.sha256 == SHA256:
        work = list(BEGINNINGS)[bisect_right(list(BEGINNINGS.values()), at) - 1]
    begin = text.rfind("\n\n", max(0, at - SPEECH), at)
    begin = begin + 2 if begin >= 0 else 0
    head = re.match(r"([^\n]{1,60}):(?=\n)", text[begin : begin + 62])
    return Place(work, head[1] if head else "", 1 + text.count("\n", 0, at))
