"""What of a text stands word for word in another: the longest copied passage that ends at each of its characters.

A `Source` holds the other text backwards, with its suffix array (Manber and Myers 1990), built by libdivsufsort. A
passage that ends at some character is, read backwards, the beginning of a backward suffix, so one binary search finds
the longest. The next character's is at most one longer, so a `Meter` follows a text while it is written.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import divsufsort

from core.texts.corpus import Corpus

KEPT = 2
"""Training texts whose suffix arrays stay in memory: five bytes a character each, or more."""


@dataclass(frozen=True)
class Passage:
    """A piece of a text that stands in the source, and could not be longer."""

    start: int
    """Where it begins in the text."""
    length: int
    place: int
    """Where it begins in the source, at one of its places there."""


class Source:
    """A text in which any passage can be looked up."""

    def __init__(self, text: str) -> None:
        self._backward = text[::-1]
        points = np.frombuffer(self._backward.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)  # (N,)
        alphabet = np.flatnonzero(np.bincount(points))  # (V,)
        kind = np.uint8 if len(alphabet) <= 256 else np.uint16 if len(alphabet) <= 65536 else np.uint32
        ranks = np.zeros(int(points.max(initial=0)) + 1, dtype=kind)
        ranks[alphabet] = np.arange(len(alphabet))
        order = divsufsort(ranks[points]) if text else points  # (N,) the suffixes, sorted
        self._order: Sequence[int] = order.astype(np.int32).data

    def longest(self, backward: str) -> tuple[int, int]:
        """Return how many of the first characters of a reversed passage stand here, and where the passage begins."""
        at = self._first(backward, bisect_left)
        length = place = 0
        for near in (at, at - 1):
            if 0 <= near < len(self._order):
                suffix = self._order[near]
                common = _common(backward, self._backward[suffix : suffix + len(backward)])
                if common > length:
                    length, place = common, len(self._order) - suffix - common
        return length, place

    def count(self, passage: str) -> int:
        """Return how often a passage stands here, overlaps included."""
        backward = passage[::-1]
        return self._first(backward, bisect_right) - self._first(backward, bisect_left)

    def _first(self, backward: str, search: Callable[..., int]) -> int:
        text, order, length = self._backward, self._order, len(backward)

        def begins(rank: int) -> str:
            suffix = order[rank]
            return text[suffix : suffix + length]

        return search(range(len(order)), backward, key=begins)


def _common(one: str, other: str) -> int:
    """Return how many first characters two texts have in common."""
    if one == other:
        return len(one)
    return bisect_left(range(min(len(one), len(other))), True, key=lambda last: one[: last + 1] != other[: last + 1])


class Meter:
    """Follows a text as it grows: of each character, the longest passage ending there that the source has."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = ""
        self.lengths: list[int] = []
        """Of each character; 0 if the source lacks even that character."""
        self._places: list[int] = []

    def feed(self, more: str) -> None:
        """Go on with what was written since."""
        at, self.text = len(self.text), self.text + more
        for end in range(at + 1, len(self.text) + 1):
            most = self.lengths[-1] + 1 if self.lengths else 1
            length, place = self.source.longest(self.text[end - most : end][::-1])
            self.lengths.append(length)
            self._places.append(place)

    def passages(self, least: int) -> list[Passage]:
        """List all passages of at least so many characters that no longer one holds, longest first."""
        ends = [
            end
            for end, length in enumerate(self.lengths)
            if length >= least and (end + 1 == len(self.lengths) or self.lengths[end + 1] <= length)
        ]
        found = [Passage(end + 1 - self.lengths[end], self.lengths[end], self._places[end]) for end in ends]
        return sorted(found, key=lambda passage: (-passage.length, passage.start))

    def longest(self) -> Passage | None:
        """Return the longest passage; of several the first. None as long as nothing is copied."""
        return next(iter(self.passages(max(1, max(self.lengths, default=1)))), None)

    def spans(self, least: int) -> list[tuple[int, int, Passage]]:
        """Return (start, length, of which passage) in the order of the text: where two overlap, the longer goes on."""
        owner = np.full(len(self.text), -1)
        listed = self.passages(least)
        for number, passage in enumerate(listed):
            piece = owner[passage.start : passage.start + passage.length]
            piece[piece < 0] = number
        edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(owner)] if len(owner) else []
        runs = ((start, end, int(owner[start])) for start, end in pairwise(edges))
        return [(start, end - start, listed[number]) for start, end, number in runs if number >= 0]


def copied(lengths: Sequence[int], size: int) -> tuple[int, int]:
    """Return how many pieces of so many characters a text has that the source has too, and how many it has in all.

    `lengths` are those of a `Meter`: a piece is copied if the longest passage that ends where it ends is no shorter.
    """
    ends: NDArray[np.int64] = np.asarray(lengths[size - 1 :], dtype=np.int64)
    return int((ends >= size).sum()), len(ends)


_sources: dict[str, Source] = {}
_building = threading.Lock()  # many sessions ask at once


def training_text(corpus: Corpus) -> Source:
    """Return the text that models learn from, ready to be asked: a tenth of a second a million characters, once."""
    with _building:
        source = _sources.pop(corpus.sha256, None) or Source(corpus.text[: corpus.split])
        _sources[corpus.sha256] = source
        for other in list(_sources)[:-KEPT]:
            del _sources[other]
        return source
