"""Names for new runs."""

import itertools
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from core import paths
from core.errors import BardlabError
from core.runs.folder import (
    LONGEST_NAME,
)
from core.runs.reading import list_runs
from core.runs.state import Run

_ADJECTIVES = "brave fair gentle merry noble quiet sweet swift valiant wise bold bright gallant golden honest mild"
_NOUNS = (
    "ariel banquo beatrice cordelia duncan hamlet hermia horatio imogen juliet lear miranda oberon ophelia orlando "
)
_NOUNS += "portia prospero puck rosalind titania viola"


def fresh_path(rung: str) -> Iterator[Path]:
    """Yield folders that a new run may have, until one is free."""
    for attempt in range(1000):
        words = f"{secrets.choice(_ADJECTIVES.split())}-{secrets.choice(_NOUNS.split())}"
        yield paths.runs() / (f"{rung}-{words}" + (f"-{attempt}" if attempt > 20 else ""))


def check_name(name: str, run: Run | None = None) -> str:
    """Return a name as it is kept, in one line. Raises BardlabError if it is none, or would stand for another run.

    A name that is another run's address, whether that is the learner's own or ships, would hide one of the two.
    Titles are no names: several runs may have the same.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not re.fullmatch(r"[\w .,:;()+=%#&'’/-]+", name):
        raise BardlabError("a name has 1 to 60 letters, digits, spaces or simple signs; give another one")
    if name.startswith("pretrained/"):
        raise BardlabError(f"{name!r} is an address of a run that ships with the product; give another name")
    if any(name in (other.given, other.slug) and (run is None or other.path != run.path) for other in list_runs()):
        raise BardlabError(f"another run is called {name!r}; give another name")
    return name


def free_name(wanted: str) -> str:
    """Return a name like the one wanted that no run has: without signs that names lack, with a number if need be."""
    stem = " ".join(re.sub(r"[^\w .,:;()+=%#&'’-]", " ", wanted).split())[: LONGEST_NAME - 5] or "imported"
    taken = {word for run in list_runs() for word in (run.given, run.slug)}
    return stem if stem not in taken else next(f"{stem} {n}" for n in itertools.count(2) if f"{stem} {n}" not in taken)
