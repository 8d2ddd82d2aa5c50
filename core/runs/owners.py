"""Whose a run is, and who may do what with another's; a text of one's own and kept settings too.

A run belongs to whoever made it: the name by which that person logged in, or "guest" where nobody logs in. Everybody
may look at it, compare it and begin from its weights; its owner, and those who teach, may change it. Who acts is asked
here, at the moment of the act, so that no page and no command can forget to say it: the pages tell once how it is known
(`told_by`). At a terminal of this machine, and on a server without a login, everybody may do everything.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from core import files, paths
from core.errors import BardlabError
from core.texts import own

GUEST = "guest"
"""The owner of a run that nobody made who had logged in; nobody can log in as that."""
WAITING = "BARDLAB_WAITING"
"""Environment variable: how many runs of one owner may wait, unless the teacher has set something else."""
HIGHEST = 1000
"""The largest limit that can be set."""


@dataclass(frozen=True)
class Who:
    """Somebody who acts."""

    name: str = GUEST
    teaches: bool = False
    """Those who teach may change everybody's runs, and wait with as many as they like."""

    def may_change(self, owner: str) -> bool:
        """Whether this person may stop, change or delete a run of that owner."""
        return self.teaches or (owner == self.name != GUEST)

    def owns(self, owner: str) -> bool:
        """Whether a run of that owner is this person's own; without a login every run is."""
        return self == EVERYBODY or owner == self.name


EVERYBODY = Who(GUEST, teaches=True)
"""Whoever sits at a terminal of this machine, or comes to a server without a login."""

_given: ContextVar[Who | None] = ContextVar("who", default=None)
_ask: list[Callable[[], Who]] = []


def told_by(ask: Callable[[], Who]) -> None:
    """Let `ask` say from now on who acts in this process."""
    _ask[:] = [ask]


@contextlib.contextmanager
def acting_as(who: Who) -> Iterator[None]:
    """Let what is done inside the `with` block be done by that person."""
    before = _given.set(who)
    try:
        yield
    finally:
        _given.reset(before)


def acting() -> Who:
    """Return who acts now."""
    given = _given.get()
    return given if given is not None else _ask[0]() if _ask else EVERYBODY


def signature() -> str:
    """Return what is kept with whatever is made now: its owner's name, nothing of a guest's."""
    name = acting().name
    return "" if name == GUEST else name


def may_change(owner: str) -> bool:
    """Whether whoever acts may change what has that owner."""
    return acting().may_change(owner)


def check(owner: str, name: str, what: str) -> None:
    """Raise BardlabError if whoever acts may not do that (such as "stop") to a run of that owner and name."""
    if not may_change(owner):
        whose = "nobody who has logged in" if owner in (GUEST, "") else owner
        raise BardlabError(f"{name} belongs to {whose}: only its owner, or who teaches, can {what} it")


own.ACTING = own.Acting(signature, may_change, check)  # texts lie below this room and cannot ask


# --- how many may wait -----------------------------------------------------------------------------------------------


def _file() -> Path:
    return paths.home() / "class.json"


def most_waiting() -> int | None:
    """Return how many runs of one owner may wait, as the teacher or the environment says; None: any number."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        return _limit(json.loads(files.read(_file()))["waiting"])
    with contextlib.suppress(ValueError):
        return _limit(int(os.environ.get(WAITING, "0")))
    return None


def set_most_waiting(most: int | None) -> None:
    """Keep how many runs of one owner may wait. Raises BardlabError, also if whoever acts does not teach."""
    if not acting().teaches:
        raise BardlabError("only who teaches can say how many runs may wait")
    if most is not None and not 1 <= most <= HIGHEST:
        raise BardlabError(f"{most} waiting runs are no limit; give 1 to {HIGHEST}, or none")
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        files.replace(_file(), json.dumps({"waiting": most}).encode())
    except OSError as error:
        raise BardlabError(f"cannot write {_file()}: {files.explain(error)}") from None


def _limit(number: object) -> int | None:
    return number if isinstance(number, int) and 1 <= number <= HIGHEST else None
