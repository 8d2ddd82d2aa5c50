"""What a learner has said of the broken trainings: kept in one file beside the runs."""

import contextlib
import json
import random
import secrets
from dataclasses import asdict, dataclass, field, replace

from core import files, paths
from core.errors import BardlabError
from core.studies.course.faults import FAULTS, get

FILE = ".faults.json"
"""Beside the runs."""


@dataclass(frozen=True)
class Shelf:
    """The order in which the trainings stand, and what was said of each, by the fault's key."""

    seed: int
    said: dict[str, list[str]] = field(default_factory=dict)
    """The answers in the order in which they were given; the last is right if it was found."""
    given_up: tuple[str, ...] = ()

    @property
    def order(self) -> list[str]:
        """The faults' keys as they stand on the shelf, shuffled once for each learner."""
        keys = list(FAULTS)
        random.Random(self.seed).shuffle(keys)
        return keys

    def found(self, key: str) -> bool:
        """True if the right answer was given."""
        return key in self.said.get(key, ())

    def over(self, key: str) -> bool:
        """True if there is nothing left to find: it was found, or given up."""
        return self.found(key) or key in self.given_up


def read() -> Shelf:
    """Return the shelf; one that is damaged or not there yet begins anew."""
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        kept = json.loads(files.read(paths.runs() / FILE))
        said = {k: [a for a in v if a in FAULTS] for k, v in kept["said"].items() if k in FAULTS}
        return Shelf(int(kept["seed"]), said, tuple(k for k in kept["given_up"] if k in FAULTS))
    fresh = Shelf(secrets.randbelow(2**31))
    with contextlib.suppress(BardlabError):  # where nothing can be written it is shuffled at every look
        _keep(fresh)
    return fresh


def answer(key: str, said: str) -> bool:
    """Keep an answer; say whether it is right. Raises BardlabError if there is no such fault, or it cannot be kept."""
    fault, now = get(key), read()
    get(said)
    if not now.over(fault.key):
        _keep(replace(now, said={**now.said, key: [*now.said.get(key, []), said]}))
    return said == key


def give_up(key: str) -> None:
    """Keep that a learner wants to be told. Raises BardlabError if there is no such fault, or it cannot be kept."""
    fault, now = get(key), read()
    if not now.over(fault.key):
        _keep(replace(now, given_up=(*now.given_up, key)))


def again(key: str) -> None:
    """Forget what was said of one training. Raises BardlabError if that cannot be kept."""
    fault, now = get(key), read()
    rest = {name: answers for name, answers in now.said.items() if name != fault.key}
    _keep(replace(now, said=rest, given_up=tuple(name for name in now.given_up if name != key)))


def faults_found() -> dict[str, int]:
    """Return the faults that were found, by key, with the number of answers that it took."""
    now = read()
    return {key: now.said[key].index(key) + 1 for key in FAULTS if now.found(key)}


def _keep(shelf: Shelf) -> None:
    try:
        paths.runs().mkdir(parents=True, exist_ok=True)
        files.replace(paths.runs() / FILE, json.dumps(asdict(shelf)).encode())
    except OSError as error:
        raise BardlabError(f"cannot keep the answer in {paths.runs()}: {files.explain(error)}") from None
