"""Texts of several models from one prompt, side by side."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from pages.ui.components.shared.toolkit import declare, floats, message

_component = declare("side_by_side", "Several models write side by side", "stage")


@dataclass(frozen=True)
class Column:
    """What one model wrote."""

    title: str
    name: str
    facts: Sequence[tuple[str, str]]
    text: str
    bits: ArrayLike
    """(N,) surprise of each character of `text` under the model itself."""
    hue: int = 0
    """Its rung's place in the theme's colours."""


def side_by_side(prompt: str, columns: Sequence[Column], *, key: str) -> None:
    """Draw the columns; their text appears in step, one character after another."""
    entries = [{**vars(column), "facts": list(column.facts), "bits": floats(column.bits)} for column in columns]
    serial = zlib.crc32("\0".join([prompt, *(f"{c.name}\0{c.text}" for c in columns)]).encode())
    _component(key=key, data=message({"prompt": prompt, "columns": entries, "serial": serial}))
