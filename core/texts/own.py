"""The learner's own texts: checked, kept under `data/own/` by the hash of their content, listed, deleted.

A text is two files, `<name>.txt` and `<name>.json` with its title. The name is `own-` and the first twelve hexadecimal
digits of the SHA-256 of what is kept, so the same text added twice, or again after it was deleted, is the same text.
It belongs to who added it first: everybody may read it and train on it, its owner and those who teach may delete it.
"""

import contextlib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core import paths
from core.errors import BardlabError
from core.texts.decoding import decode
from core.texts.labels import visible

SHORTEST = 1000  # characters: the validation split is a tenth of them
LARGEST = 20_000_000  # bytes; every evaluation reads a tenth of the text
MOST_CHARACTERS = 1000  # distinct ones: each is a row of the embedding and of the logits
TITLE = 60
PREFIX = "own-"
STAND_IN = "□"
"""What stands for every rarer character where only the commonest are kept."""


class TooManyCharacters(BardlabError):
    """The alphabet is too large; the commonest characters can be kept."""

    def __init__(self, distinct: int) -> None:
        super().__init__(
            f"the text has {distinct:,} distinct characters; at most {MOST_CHARACTERS:,} are accepted, since each is a "
            f"class of its own to predict; keep the commonest with --commonest {MOST_CHARACTERS}"
        )
        self.distinct = distinct


@dataclass(frozen=True)
class OwnText:
    """A text of the learner's own, as its sidecar file describes it."""

    name: str
    title: str
    characters: int
    added: str
    owner: str = ""


@dataclass
class Acting:
    """What is known here of whoever acts: nothing, until somebody who knows (core/runs/owners.py) says it."""

    name: Callable[[], str] = lambda: ""
    may_change: Callable[[str], bool] = lambda owner: True
    check: Callable[[str, str, str], None] = lambda owner, name, what: None


ACTING = Acting()


def folder() -> Path:
    """Where own texts are kept."""
    return paths.data() / "own"


def is_own(name: str) -> bool:
    """True for a well-formed name of an own text; such a name is also safe as a file name."""
    return re.fullmatch(PREFIX + "[0-9a-f]{12}", name) is not None


def check(content: bytes, encoding: str | None = None, commonest: int | None = None) -> str:
    """Return the text in `content`, with line ends as they are on Unix and without a byte order mark.

    It is read in `encoding`, else as it says itself, else as UTF-8; with `commonest`, only so many different characters
    are kept. Raises BardlabError, one line with the reason, if it is empty, larger than 20 MB, binary, in another
    encoding (UnknownEncoding), shorter than 1,000 characters, or of one or more than 1,000 distinct characters
    (TooManyCharacters).
    """
    if not content.strip():
        raise BardlabError("the text is empty; give one of at least 1,000 characters")
    if len(content) > LARGEST:
        raise BardlabError(
            f"the text has {len(content) / 1e6:.1f} MB; at most {LARGEST / 1e6:.0f} MB are accepted, give a part of it"
        )
    text = decode(content, encoding).text.replace("\r\n", "\n").replace("\r", "\n")
    strange = sum(n for c, n in Counter(text).items() if ord(c) < 32 and c not in "\n\t\f")
    if "\0" in text or strange > len(text) / 100:
        raise BardlabError(f"this is a binary file, not text: {strange:,} control characters; give plain text")
    if len(text) < SHORTEST:
        raise BardlabError(f"the text has {len(text):,} characters; give at least {SHORTEST:,}")
    if commonest is not None:
        text, _ = keep_commonest(text, commonest)
    distinct = len(set(text))
    if distinct < 2:
        raise BardlabError(f"the text is '{visible(text[0])}' all through; there is nothing to predict, give another")
    if distinct > MOST_CHARACTERS:
        raise TooManyCharacters(distinct)
    return text


def keep_commonest(text: str, most: int) -> tuple[str, int]:
    """Return the text with at most so many distinct characters, and how many of its characters were replaced.

    Every rarer one becomes STAND_IN, so the text keeps its length. Raises BardlabError if `most` is out of range.
    """
    if not 2 <= most <= MOST_CHARACTERS:
        raise BardlabError(f"{most:,} characters cannot be kept; give a number from 2 to {MOST_CHARACTERS:,}")
    counts = Counter(text)
    if len(counts) <= most:
        return text, 0
    kept = [c for c, _ in counts.most_common() if c != STAND_IN][: most - 1]
    rare = counts.keys() - set(kept) - {STAND_IN}
    return text.translate({ord(c): STAND_IN for c in rare}), sum(counts[c] for c in rare)


def clean_title(title: str) -> str:
    """Return a title fit for every view: one line, simple signs, at most 60 characters; empty if nothing is left."""
    return " ".join(re.sub(r"[^\w .,:;()+=%&'’-]", " ", title).split())[:TITLE].strip(" .")


def add(content: bytes, title: str = "", *, encoding: str | None = None, commonest: int | None = None) -> OwnText:
    """Keep a text and return it; the same text again keeps its place and takes the new title, if there is one.

    A text that is another's already stays as it is. Raises BardlabError as `check` does, or if it cannot be written.
    """
    from core.files import explain, replace

    text = check(content, encoding, commonest)
    kept = text.encode()
    name = PREFIX + hashlib.sha256(kept).hexdigest()[:12]
    found = look_up(name)
    if found and not ACTING.may_change(found.owner):
        return found
    title = clean_title(title) or (found.title if found else "My text")
    owner = found.owner if found else ACTING.name()
    own = OwnText(name, title, len(text), datetime.now(UTC).isoformat(timespec="seconds"), owner)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        replace(folder() / f"{name}.txt", kept)
        about = {"title": own.title, "characters": own.characters, "added": own.added, "owner": own.owner}
        replace(folder() / f"{name}.json", json.dumps(about, ensure_ascii=False).encode())
    except OSError as error:
        raise BardlabError(f"cannot keep the text in {folder()}: {explain(error)}") from None
    return own


def look_up(name: str) -> OwnText | None:
    """Read what is known of a text; a damaged sidecar costs only the title. None if there is no such text."""
    file = folder() / f"{name}.txt"
    if not is_own(name) or not file.is_file():
        return None
    title, characters, added, owner = "", 0, "", ""
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError, RecursionError, OverflowError):
        about = json.loads((folder() / f"{name}.json").read_text(encoding="utf-8"))
        title, added = clean_title(str(about.get("title", ""))), str(about.get("added", ""))[:40]
        owner = str(about.get("owner", ""))
        characters = max(0, int(about.get("characters", 0)))
    return OwnText(name, title or name, characters, added, owner)


def listing() -> list[OwnText]:
    """List the own texts by title."""
    with contextlib.suppress(OSError):
        found = (look_up(file.stem) for file in folder().glob(f"{PREFIX}*.txt"))
        return sorted((own for own in found if own), key=lambda own: (own.title.lower(), own.name))
    return []


def stamp(name: str) -> tuple[int, int] | None:
    """Return when the text or its title was changed last and how long the text is; None if it is not there."""
    try:
        file = (folder() / f"{name}.txt").stat()
        about = (folder() / f"{name}.json").stat()
    except OSError:
        return None
    return max(file.st_mtime_ns, about.st_mtime_ns), file.st_size


def read(name: str) -> tuple[OwnText, str, str]:
    """Return an own text: what is known of it, its characters, and its SHA-256.

    Raises BardlabError if there is none of that name, or its file is not what its name says.
    """
    own = look_up(name)
    try:
        content = (folder() / f"{name}.txt").read_bytes() if own else b""
    except FileNotFoundError:  # deleted since
        own = None
    except OSError:
        content = b""
    if own is None:
        raise BardlabError(f"the text {name!r} is no longer here; add it again on the page The text, or choose another")
    sha256 = hashlib.sha256(content).hexdigest()
    if not sha256.startswith(name.removeprefix(PREFIX)):
        raise BardlabError(f"the file of the text {name!r} is damaged; delete the text and add it again")
    return own, content.decode("utf-8"), sha256


def delete(name: str) -> None:
    """Remove an own text. Raises BardlabError if there is none of that name, it ships, or it is another's."""
    if not is_own(name):
        raise BardlabError(f"{name!r} is not a text of your own; only those can be deleted")
    if (found := look_up(name)) is None:
        raise BardlabError(f"no text is called {name!r}; list them with: python -m core texts")
    ACTING.check(found.owner, f"the text {found.title}", "delete")
    for suffix in (".txt", ".json"):
        (folder() / f"{name}{suffix}").unlink(missing_ok=True)


def find(reference: str) -> str:
    """Return the name of a text given by its name, its title, or a unique beginning of either.

    Raises BardlabError if none or several fit.
    """
    shipped = "tinyshakespeare"
    own = listing()
    if reference == shipped or reference in (text.name for text in own):
        return reference
    fits = [text.name for text in own if text.title == reference]
    start = reference.casefold()
    known = [(shipped, "Tiny Shakespeare"), *((text.name, text.title) for text in own)]
    fits = fits or [n for n, title in known if start and (n.startswith(start) or title.casefold().startswith(start))]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise BardlabError(f"{reference!r} fits several texts: {', '.join(fits[:6])}; give more of the name")
    raise BardlabError(f"no text is called {reference!r}; choose one of {', '.join(name for name, _ in known[:7])}")
