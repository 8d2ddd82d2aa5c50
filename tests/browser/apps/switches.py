"""Six switches on a page whose script takes half a second to draw what follows from them."""

import time

import streamlit as st

from pages.ui.components.grids.cell_grid import Cell, cell_grid

off = st.session_state.setdefault("off", [])


def toggle(key: str) -> None:
    """Switch one off, or on again."""
    if key in off:
        off.remove(key)
    else:
        off.append(key)


cells = [Cell(key, key, key, state="off" if key in off else "") for key in "abcdef"]
cell_grid("Switches", list("abcdef"), [("all", list(cells))], key="switches", toggles=True, on_pick=toggle)
time.sleep(0.5)
st.text(f"off: {''.join(sorted(off))}.")
