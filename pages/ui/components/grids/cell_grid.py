"""A grid of cells that can be clicked: layer by head, layer by position. One stop for the keyboard, then arrows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from pages.ui.components.shared.toolkit import declare, heard, message

_grid = declare("cell_grid", "Cells")


@dataclass(frozen=True)
class Cell:
    """One cell. Text is shown as it is, never as markup."""

    key: str
    """What a click reports; unique in the grid."""
    text: str
    title: str
    """Shown on hover, read out by screen readers."""
    fill: str = ""
    """A CSS colour; empty: the page's own."""
    ink: str = ""
    """The text's colour; empty: the page's own."""
    state: str = ""
    """`off`: struck out; `chosen`: framed; `cone`: underlined; empty: plain."""


def cell_grid(
    label: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Cell | None]]],
    *,
    key: str,
    corner: str = "",
    toggles: bool = False,
    on_pick: Callable[[str], None] | None = None,
) -> None:
    """Draw a grid; `rows` are (label, cells), None for a gap. `on_pick` gets the key of a cell that is clicked.

    With `toggles`, a cell is a switch, on unless its state is `off`; else one of them is chosen.
    """

    last = f"{key}:known"

    def picked() -> None:
        for number, chosen in heard(key, "pick") or []:
            if on_pick and number > st.session_state.get(last, 0):
                st.session_state[last] = number
                on_pick(str(chosen))

    data = {
        "label": label,
        "corner": corner,
        "columns": list(columns),
        "rows": [[name, [asdict(cell) if cell else None for cell in cells]] for name, cells in rows],
        "toggles": toggles,
        "live": on_pick is not None,
        "known": st.session_state.get(last, 0),
    }
    _grid(key=key, data=message(data), on_pick_change=picked)
