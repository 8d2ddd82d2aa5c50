"""One token per character: an alphabet, and text to ids and back."""

from collections.abc import Iterable

import numpy as np

from core.errors import BardlabError
from core.texts.labels import visible


class CharTokenizer:
    """One number a character: its place in the sorted alphabet."""

    def __init__(self, chars: str) -> None:
        self.chars = chars
        points = np.array([ord(c) for c in chars], dtype=np.int64)
        self._table = np.full(int(points.max(initial=0)) + 1, -1, dtype=np.int64)  # code point -> id
        self._table[points] = np.arange(len(chars))

    @property
    def size(self) -> int:
        """How many characters the alphabet has."""
        return len(self.chars)

    def _ids(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
        inside = points < len(self._table)
        return np.where(inside, self._table[np.where(inside, points, 0)], -1)

    def encode(self, text: str) -> list[int]:
        """Turn text into ids. Raises BardlabError naming the characters that the alphabet lacks."""
        ids = self._ids(text)
        if len(ids) and int(ids.min()) < 0:
            lacking = self.unknown(text)
            named = ", ".join(f"'{visible(c)}'" for c in lacking[:5]) + (" and more" if len(lacking) > 5 else "")
            raise BardlabError(f"the text has characters outside the alphabet: {named}; leave them out")
        numbers: list[int] = ids.tolist()
        return numbers

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids back into text. Raises BardlabError on an id outside the alphabet."""
        characters = []
        for i in ids:
            if not 0 <= i < self.size:
                raise BardlabError(f"no character has the number {i}; give numbers from 0 to {self.size - 1}")
            characters.append(self.chars[i])
        return "".join(characters)

    def unknown(self, text: str) -> str:
        """Return the distinct characters that the alphabet lacks, in order of appearance."""
        return "".join(dict.fromkeys(c for c, i in zip(text, self._ids(text), strict=True) if i < 0))

    def meant(self, typed: str) -> str:
        """Return what was typed on one line: `\\n` is a line break and `\\t` a tab, if the text has no backslash."""
        if "\\" in self.chars:
            return typed
        return typed.replace("\\n", "\n").replace("\\t", "\t")

    def drop_unknown(self, text: str) -> str:
        """Return the text without the characters that the alphabet lacks."""
        return "".join(c for c, i in zip(text, self._ids(text), strict=True) if i >= 0)
