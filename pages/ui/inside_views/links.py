"""From a run to the pages that look inside it."""

from collections.abc import Callable, Mapping

import streamlit as st

from core.inspect.attention import rungs_with_attention
from core.runs.state import Run
from pages.ui import state
from pages.ui.navigation import INSIDE, section

FITS: Mapping[str, Callable[[Run], bool]] = {"attention": lambda run: run.rung_key in rungs_with_attention()}
"""By url_path, which runs a page can show; a page that is not named here can show any."""


def inside_links(run: Run) -> None:
    """Draw a link to every page that can look inside this run; nothing while there are no weights to look at."""
    if not run.usable:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Look inside", width="content")
        for page in section(INSIDE):
            fits = FITS.get(page.url_path)
            if fits is None or fits(run):
                st.page_link(page, query_params={state.RUN: run.slug})
