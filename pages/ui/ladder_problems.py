"""Tells which rungs cannot be used, or not whole, because their declarations have a mistake in them."""

import streamlit as st

from core.ladder import registry
from pages.ui.drawings.rungs import PICTURES
from pages.ui.rung_views.table import VIEWS
from pages.ui.wording import plain


def problems() -> list[str]:
    """Return a line on each mistake: which rung, which file, what to do."""
    lines = list(registry.PROBLEMS)
    for key, rung in registry.RUNGS.items():
        where = f"the rung {key!r} ({registry.FILES.get(key, rung.model.__module__)})"
        unknown = [name for name in rung.views if name not in VIEWS]
        lines += [
            f"{where} names a view {name!r} that does not exist; there are {', '.join(VIEWS)}" for name in unknown
        ]
        if rung.picture and rung.picture not in PICTURES:
            known = ", ".join(PICTURES)
            lines.append(f"{where} names a picture {rung.picture!r} that does not exist; there are {known}")
    return lines


def show() -> None:
    """Show them at the top of a page, if there are any."""
    for line in problems():
        st.warning(plain(line), icon=":material/build:")
