"""Fragments of a run: drawn anew by themselves, while another tab or a terminal may delete it."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec

import streamlit as st

from core.errors import BardlabError
from core.runs import reading
from core.runs.state import Run

GONE = "This run is no longer here: another tab or a terminal has deleted it. Choose another one above."
P = ParamSpec("P")


def followed(
    draw: Callable[Concatenate[Run, P], None], run_every: float | None = None
) -> Callable[Concatenate[str, P], None]:
    """Make a fragment that reads a run by its slug each time it is drawn, and says so once it is gone or damaged."""

    def drawn(slug: str, /, *rest: P.args, **named: P.kwargs) -> None:
        try:
            run = reading.find(slug)
            run.need()
        except (BardlabError, OSError):
            st.caption(GONE)
            return
        draw(run, *rest, **named)

    drawn.__qualname__ = f"{draw.__module__}.{draw.__qualname__}"  # by which Streamlit tells fragments apart
    return st.fragment(drawn, run_every=run_every)
