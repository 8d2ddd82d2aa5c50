"""A tree of continuations: a text branches where another character is taken, or where it is gone on from.

A tree is its prompt and, of each branch, where it leaves another one and how it is drawn. The characters follow: the
same model writes the same tree again. So a line of an address holds it, or a small file.

A branch's own characters are the one that was taken, if one was, and those that the model wrote after it. A place
counts them from 0. The root, branch 0, goes on from the prompt.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

from core.errors import BardlabError
from core.settings import LONGEST_TEXT, Settings, setting

MOST = 200
"""Branches that a tree can have."""
DEEPEST = 4000
"""Characters from the prompt to the end of a branch, at most."""
LARGEST = 4_000_000
"""Bytes of a file that may hold a tree."""
FORMAT = "bardlab branches 1"
_NUMBER = re.compile(r"[0-9]{1,10}")
_DECIMAL = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")


class BranchSettings(Settings):
    """How the characters of a branch are drawn."""

    temperature: float = setting(
        0.8,
        "Of the next branch: below 1 sharpens the distribution, above 1 flattens it; 0 always takes the likeliest.",
        ge=0.0,
        le=3.0,
        step=0.05,
    )
    top_k: int = setting(
        0, "Draw from the k likeliest characters only. 0 leaves all of them in.", ge=0, le=1000, step=1
    )
    tokens: int = setting(
        80, "Characters that the next branch writes.", ge=1, le=400, ticks=(10, 20, 40, 80, 120, 200, 400)
    )
    seed: int = setting(
        1337, "Of the next branch. Same place, same seed, same text; asked again, it takes the next one.",
        ge=0, le=2**31 - 1, step=1,
    )  # fmt: skip


class Branch(BranchSettings):
    """One way of going on."""

    parent: int = setting(-1, "The branch that it leaves; -1 is the prompt.", ge=-1, le=MOST)
    at: int = setting(0, "How many of its parent's own characters come before it.", ge=0, le=DEEPEST)
    taken: str = setting("", "The character taken there; none where the model draws at once.", longest=1)

    @property
    def own(self) -> int:
        """How many characters are its own."""
        return len(self.taken) + self.tokens

    @property
    def settings(self) -> tuple[float, int, int, int]:
        """How it is drawn."""
        return self.temperature, self.top_k, self.tokens, self.seed


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Tree:
    """A prompt and its branches, each after the one that it grows from. Raises BardlabError if they do not fit."""

    prompt: str
    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        if not self.prompt:
            raise BardlabError("the tree has no prompt; give it at least one character")
        if len(self.prompt) > LONGEST_TEXT:
            raise BardlabError(f"the tree's prompt has {len(self.prompt):,} characters; give at most {LONGEST_TEXT:,}")
        if not 1 <= len(self.branches) <= MOST:
            raise BardlabError(f"the tree has {len(self.branches):,} branches; a tree has 1 to {MOST}")
        for number, branch in enumerate(self.branches):
            self._check(number, branch)

    def _check(self, number: int, branch: Branch) -> None:
        if number == 0:
            if (branch.parent, branch.at, branch.taken) != (-1, 0, ""):
                raise BardlabError("the first branch of a tree goes on from the prompt; this one grows from another")
            return
        if not 0 <= branch.parent < number:
            raise BardlabError(f"branch {number} grows from branch {branch.parent}, which is not there; leave it out")
        own = self.branches[branch.parent].own
        last = own - 1 if branch.taken else own
        if branch.at > last:
            raise BardlabError(
                f"branch {number} leaves branch {branch.parent} after {branch.at} characters; give at most {last}"
            )
        if self._start(branch) + branch.own > DEEPEST:
            raise BardlabError(
                f"branch {number} would end more than {DEEPEST:,} characters after the prompt; "
                "go on from an earlier place, or begin anew with the end of the text as the prompt"
            )

    def _start(self, branch: Branch) -> int:
        steps = 0
        while branch.parent >= 0:
            steps += branch.at
            branch = self.branches[branch.parent]
        return steps

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """How many characters after the prompt each branch begins."""
        found: list[int] = []
        for branch in self.branches:
            found.append(found[branch.parent] + branch.at if branch.parent >= 0 else 0)
        return tuple(found)

    def way(self, number: int) -> list[tuple[int, int]]:
        """List the branches that lead to the end of this one, the root first, with how many own characters of each."""
        found = [(number, self.branches[number].own)]
        while (branch := self.branches[found[0][0]]).parent >= 0:
            found.insert(0, (branch.parent, branch.at))
        return found

    def forks(self, number: int) -> frozenset[int]:
        """How many characters after the prompt the text to the end of a branch has others that could be gone on with.

        Its own way on is one of those that leave there.
        """
        kept = dict(self.way(number))
        leaving = zip(self.branches[1:], self.starts[1:], strict=True)
        return frozenset(start for one, start in leaving if one.at <= kept.get(one.parent, -1))

    def below(self, number: int) -> frozenset[int]:
        """A branch, and all that grows from it."""
        found = {number}
        for each, branch in enumerate(self.branches):
            if branch.parent in found:
                found.add(each)
        return frozenset(found)

    def has(self, branch: object, place: object) -> bool:
        """Whether there is such a place; a place of None stands for the whole branch."""
        if not _whole(branch) or not 0 <= branch < len(self.branches):
            return False
        return place is None or (_whole(place) and 0 <= place < self.branches[branch].own)

    def text(self, number: int, own: Sequence[str], end: int | None = None) -> str:
        """Return the prompt and what leads to a branch, with the first `end` of its own characters, or all of them.

        `own` are the own characters of each branch.
        """
        *before, (last, count) = self.way(number)
        pieces = [own[each][:kept] for each, kept in before]
        return self.prompt + "".join(pieces) + own[last][: count if end is None else end]

    def grow(self, branch: int, place: int, taken: str, how: BranchSettings) -> "Tree":
        """Let one more branch grow, the last of the new tree.

        With a character `taken`, in the place of the one that stands there; without, after it. Where the same branch
        is there already, the new one has the next seed.
        """
        if not self.has(branch, place):
            raise BardlabError("this place is no longer in the tree; choose another")
        if len(self.branches) >= MOST:
            raise BardlabError(f"the tree has {MOST} branches, as many as it can have; delete one first")
        at = place if taken else place + 1
        while at == 0 and branch > 0:  # what stands in the place of a branch's first character is its sibling
            one = self.branches[branch]
            if one.at == self.branches[one.parent].own:  # unless the other one ends there
                break
            branch, at = one.parent, one.at
        one = Branch.parse({**how.model_dump(), "parent": branch, "at": at, "taken": taken})
        while one in self.branches:
            one = one.model_copy(update={"seed": (one.seed + 1) % 2**31})
        return Tree(self.prompt, (*self.branches, one))

    def without(self, gone: frozenset[int]) -> "Tree":
        """Cut off branches: all of `gone`, which holds whatever grows from them, but not the root."""
        kept = [number for number in range(len(self.branches)) if number not in gone or number == 0]
        new = {number: at for at, number in enumerate(kept)} | {-1: -1}
        branches = [self.branches[number] for number in kept]
        return Tree(self.prompt, tuple(b.model_copy(update={"parent": new[b.parent]}) for b in branches))

    def strangers(self, alphabet: str) -> frozenset[int]:
        """The branches that take a character outside the alphabet, and all that grows from them."""
        found = [
            self.below(i) for i, branch in enumerate(self.branches) if branch.taken and branch.taken not in alphabet
        ]
        return frozenset().union(*found)

    # --- a line of an address ----------------------------------------------------------------------------------------

    def line(self) -> str:
        """Write all but the prompt in letters that an address takes as they are.

        Of each branch: parent, place and the taken character's code point (not of the root), characters, temperature,
        top-k and seed; what is as with its parent is left out.
        """
        return "_".join(self._written(branch) for branch in self.branches)

    def _written(self, branch: Branch) -> str:
        if branch.parent < 0:
            return "-".join(_settings(branch))
        above = _settings(self.branches[branch.parent])
        told = ["" if mine == theirs else mine for mine, theirs in zip(_settings(branch), above, strict=True)]
        code = f"{ord(branch.taken):x}" if branch.taken else ""
        return "-".join([str(branch.parent), str(branch.at), code, *told]).rstrip("-")


def _settings(branch: Branch) -> list[str]:
    temperature = f"{branch.temperature:.6f}".rstrip("0").rstrip(".")
    return [str(branch.tokens), temperature, str(branch.top_k), str(branch.seed)]


def root(prompt: str, how: BranchSettings) -> Tree:
    """Plant a tree: one branch that goes on from the prompt."""
    return Tree(prompt, (Branch.parse(how.model_dump()),))


def from_line(prompt: str, line: str) -> Tree:
    """Read what `Tree.line` wrote. Raises BardlabError, one line, if anything in it is not so."""
    written = line.split("_")
    if len(written) > MOST:
        raise BardlabError(f"the tree has {len(written):,} branches; a tree has 1 to {MOST}")
    found: list[Branch] = []
    for number, text in enumerate(written):
        fields = text.split("-")
        room = 7 if found else 4
        if len(fields) > room or len(text) > 60:
            raise BardlabError(f"branch {number} of the tree cannot be read; copy its link or file again")
        fields += [""] * (room - len(fields))
        place, how = (fields[:-4], fields[-4:])
        values: dict[str, Any] = {}
        if place:
            values = {"parent": _number(place[0], number), "at": _number(place[1], number)}
            if not values["parent"] < number:
                raise BardlabError(
                    f"branch {number} grows from branch {values['parent']}, which is not there; leave it out"
                )
            values["taken"] = _character(place[2], number) if place[2] else ""
        above = found[values["parent"]].model_dump() if found else {}
        for name, said in zip(("tokens", "temperature", "top_k", "seed"), how, strict=True):
            if not said:
                values[name] = above.get(name, BranchSettings.model_fields[name].default)
            elif name == "temperature":
                if not _DECIMAL.fullmatch(said):
                    raise BardlabError(f"branch {number} of the tree has no temperature; give a number from 0 to 3")
                values[name] = float(said)
            else:
                values[name] = _number(said, number)
        found.append(Branch.parse(values, f"branch {number}: "))
    return Tree(prompt, tuple(found))


def _number(text: str, branch: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise BardlabError(f"branch {branch} of the tree has something else where a whole number stands; copy it again")
    return int(text)


def _character(code: str, branch: int) -> str:
    if re.fullmatch(r"[0-9a-f]{1,6}", code) and (point := int(code, 16)) < 0x110000 and not 0xD800 <= point < 0xE000:
        return chr(point)
    raise BardlabError(f"branch {branch} of the tree takes what is no character; give its code point in hexadecimal")


# --- a file ----------------------------------------------------------------------------------------------------------


def to_json(tree: Tree, own: Sequence[str], model: str) -> bytes:
    """Write a tree as JSON, with the own characters of each branch and the name of the model that wrote them."""
    branches = [{**b.model_dump(), "text": text} for b, text in zip(tree.branches, own, strict=True)]
    content = {"format": FORMAT, "model": model, "prompt": tree.prompt, "branches": branches}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def from_json(content: bytes) -> tuple[Tree, list[str]]:
    """Read a tree, and the own characters of its branches as the file has them; empty where it has none.

    Raises BardlabError, one line, for anything else.
    """
    if len(content) > LARGEST:
        raise BardlabError(f"the file has {len(content):,} bytes; a tree has at most {LARGEST:,}")
    try:
        read = json.loads(content)
        json.dumps(read, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BardlabError("the file has half of a character in it (a surrogate); save the tree again") from None
    except (ValueError, RecursionError):
        raise BardlabError("the file is no JSON; choose one that was saved on this page") from None
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        raise BardlabError(f"the file holds no tree (its format is not “{FORMAT}”); choose one saved on this page")
    prompt, listed = read.get("prompt"), read.get("branches")
    if not isinstance(prompt, str) or not isinstance(listed, list) or not all(isinstance(b, dict) for b in listed):
        raise BardlabError("the file lacks the tree's prompt or its list of branches; choose one saved on this page")
    if len(listed) > MOST:
        raise BardlabError(f"the tree has {len(listed):,} branches; a tree has 1 to {MOST}")
    texts = [b.pop("text", "") for b in listed]
    branches = [Branch.parse(_named(b, number), f"branch {number}: ") for number, b in enumerate(listed)]
    return Tree(prompt, tuple(branches)), [text if isinstance(text, str) else "" for text in texts]


def _named(values: dict[str, Any], branch: int) -> dict[str, Any]:
    """What a file says of a branch, if it says nothing else: no message repeats a name that somebody made up."""
    if values.keys() - Branch.model_fields.keys():
        raise BardlabError(f"branch {branch} of the file has more than a branch has; choose one saved on this page")
    return values
