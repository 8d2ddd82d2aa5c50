"""A text of which every character answers: how likely it was, and what else could have come, to be taken instead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.sampling import Rival
from pages.ui.components.shared.toolkit import declare, floats, heard, message, whole

_component = declare("branch_text", "The text")


@dataclass(frozen=True)
class Letter:
    """One written character, where it stands in its tree, and what the model thought of it."""

    character: str
    branch: int
    place: int
    bits: float
    """Its surprise, before temperature and cuts."""
    chance: float
    """Its probability, after temperature and cuts."""
    rank: int
    rivals: Sequence[Rival]
    """The likeliest characters in its place, as many for each letter."""


def branch_text(
    prompt: str,
    letters: Sequence[Letter],
    characters: str,
    *,
    of: str,
    branch: int,
    forks: Sequence[int],
    kept: int | None,
    everything: Sequence[Rival],
    act: Callable[[dict[str, Any]], None],
    key: str,
) -> None:
    """Draw a prompt and what was written after it, along the way to the end of a branch.

    `forks` are the letters at which other branches leave, `kept` is the one that is chosen, `everything` what could
    have come in its place. `of` names the tree. `act` is called, before the page is drawn again, with what the learner
    did, always with the `of`, the `branch` and the `place`: `{"kind": "choose"}`, `{"kind": "take", "character": "e"}`
    or `{"kind": "why", "character": "e"}`.
    """

    def acted() -> None:
        if done := heard(key, "act"):
            act(done)

    rivals = [rival for letter in letters for rival in letter.rivals]
    data = {
        "of": of,
        "prompt": prompt,
        "text": "".join(letter.character for letter in letters),
        "characters": list(characters),
        "branch": branch,
        "branches": whole([letter.branch for letter in letters]),
        "places": whole([letter.place for letter in letters]),
        "bits": floats([letter.bits for letter in letters]),
        "chances": floats([letter.chance for letter in letters]),
        "ranks": whole([letter.rank for letter in letters]),
        "rivals": _columns(rivals),
        "each": len(letters[0].rivals) if letters else 0,
        "forks": np.isin(np.arange(len(letters)), forks).astype(np.uint8),
        "kept": kept,
        "everything": _columns(everything),
    }
    _component(key=key, data=message(data), on_act_change=acted)


def _columns(rivals: Sequence[Rival]) -> dict[str, Any]:
    ids, before, after = zip(*rivals, strict=True) if rivals else ((), (), ())
    return {"ids": whole(ids), "before": floats(before), "after": floats(after)}
