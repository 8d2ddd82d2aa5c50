"""Texts of several models from one prompt, side by side, while they are written."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from numpy.typing import ArrayLike

from pages.ui.components.shared.toolkit import declare, floats, heard, message

_component = declare("side_by_side", "Several models write side by side", "stage")


@dataclass(frozen=True)
class Column:
    """What one model has written so far."""

    slug: str
    title: str
    name: str
    facts: Sequence[tuple[str, str]]
    text: str
    bits: ArrayLike
    """(N,) surprise of each character of `text` under the model itself."""
    done: bool = True
    """True once the text is whole."""
    hue: int = 0
    """Its rung's place in the theme's colours."""


def side_by_side(prompt: str, columns: Sequence[Column], *, about: str, key: str) -> None:
    """Draw the columns. Call it in an `st.fragment`: until all are done it is rerun for what was written since.

    `about` names what else the texts depend on, such as the seed: with another one they begin anew. Only what the
    browser lacks is sent.
    """
    pending = f"{key}:have"

    def remember() -> None:
        if poll := heard(key, "poll"):
            st.session_state[pending] = poll

    have = st.session_state.pop(pending, {})
    _component(key=key, data=pack(prompt, columns, about, have), on_poll_change=remember)


def pack(prompt: str, columns: Sequence[Column], about: str, have: object) -> bytes:
    """Encode one message: of each column, what follows the characters that the browser `have` already."""
    of = "\0".join([about, prompt, *(column.slug for column in columns)])
    counts = have.get("counts") if isinstance(have, dict) and have.get("of") == of else None
    entries = []
    for column in columns:
        known = counts.get(column.slug) if isinstance(counts, dict) else 0
        start = known if isinstance(known, int) and 0 <= known <= len(column.text) else 0
        entries.append(
            {
                **vars(column),
                "facts": list(column.facts),
                "from": start,
                "text": column.text[start:],
                "bits": floats(column.bits)[start:],
            }
        )
    return message({"of": of, "prompt": prompt, "columns": entries})
