"""Texts that grow, each character tinted by its surprise and able to answer: what it was, and what it might have been.

Only new characters travel to the browser, which says how many of each text it holds and so asks for the next.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.studies.writing import Text, Writing
from pages.ui.components.shared.toolkit import declare, floats, heard, message, whole

_component = declare("writing", "What the model writes")


@dataclass(frozen=True)
class Passage:
    """A stretch of a text that is underlined."""

    start: int
    """Its first character, counted in what was written from 0."""
    length: int
    title: str
    """What is to be said of it, as plain text."""


@dataclass(frozen=True)
class Way:
    """A page that can be opened with the text before a character as its prompt."""

    words: str
    page: str
    """Its url_path."""
    query: Mapping[str, str]
    longest: int
    """Characters of a prompt that the page takes."""


def writing(
    written: Writing,
    *,
    file: str,
    about: Mapping[str, Any],
    ways: Sequence[Way] = (),
    passages: Sequence[Sequence[Passage]] = (),
    key: str,
) -> None:
    """Draw the texts. Call it in an `st.fragment` that writes on: the browser reruns it as long as they grow.

    `file` is the name of a saved text, without its ending, and `about` the settings that stand in it. `passages` are
    underlined, a list of them for each text.
    """
    held = f"{key}:have"

    def remember() -> None:
        if poll := heard(key, "poll"):
            st.session_state[held] = poll

    have = known(st.session_state.get(held), written)
    _component(key=key, data=pack(written, have, file, about, ways, passages), on_poll_change=remember)


def known(poll: object, written: Writing) -> list[int]:
    """How many characters of each text the browser holds, by what it said last: of other texts it says nothing."""
    if not isinstance(poll, dict) or poll.get("text") != written.name or not isinstance(poll.get("have"), list):
        return [0] * len(written.texts)
    said = [count if isinstance(count, int) else 0 for count in poll["have"]]
    return [max(0, count) for count in (said + [0] * len(written.texts))[: len(written.texts)]]


def pack(
    written: Writing,
    have: Sequence[int],
    file: str,
    about: Mapping[str, Any],
    ways: Sequence[Way],
    passages: Sequence[Sequence[Passage]],
) -> bytes:
    """Encode one message: of each text what follows the `have` characters that the browser holds already."""
    columns = [_column(text, at) for text, at in zip(written.texts, have, strict=True)]
    for column, underlined in zip(columns, passages, strict=False):
        column["passages"] = [asdict(each) for each in underlined]
    header: dict[str, Any] = {
        "serial": uuid.uuid4().hex,
        "text": written.name,
        "live": not written.done,
        "of": written.config.tokens,
        "seconds": written.seconds,
        "columns": columns,
    }
    if not any(have):  # the browser may not know what stays
        header["fixed"] = {
            "prompt": written.prompt,
            "context": written.context,
            "characters": list(written.characters),
            "file": file,
            "about": dict(about),
            "ways": [{**asdict(way), "query": dict(way.query)} for way in ways],
        }
    return message(header)


def _column(text: Text, have: int) -> dict[str, Any]:
    column: dict[str, Any] = {"seed": text.seed, "ended": text.ended, "from": have, "n": 0, "passages": []}
    if (new := text.since(have)) is not None:
        column |= {
            "n": len(new.ids),
            "ids": whole(new.ids),
            "rank": whole(new.rank),
            "open": whole(new.open),
            "kept": new.rivals.shape[1],
            "rivals": whole(new.rivals),
            "numbers": floats(np.stack([new.before, new.after, new.bits])),
            "chances": floats(np.stack([new.rivals_before, new.rivals_after])),
        }
    return column
