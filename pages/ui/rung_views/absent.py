"""What a view says in the place of what a run does not have, and how it waits for what the run will have."""

from collections.abc import Callable
from functools import wraps

import streamlit as st

from core.runs import records
from core.runs.state import Run
from pages.ui import loaders
from pages.ui.rung_views.followed import followed

OFTEN = 3.0
"""Seconds between two looks whether it is there."""


def of_weights(draw: Callable[[Run], None]) -> Callable[[Run], None]:
    """Make a view that looks at a run's weights, and says so as long as there are none."""

    @wraps(draw)
    def drawn(run: Run) -> None:
        if run.usable:
            draw(run)
        else:
            weightless(run)

    return drawn


def weightless(run: Run) -> None:
    """Say that a run has no weights to look at."""
    if run.state.active:
        st.info("This appears when the first weights are saved, at the first evaluation.", icon=":material/timer:")
    else:
        _absent("It has no weights that can be read. Resume it, or train another.")


def unmeasured(run: Run, what: str) -> None:
    """Say that a run holds no `what`, which are taken while one trains; then they are waited for."""
    if run.state.active:
        st.info(f"No {what} yet: they appear here once the run has taken the first.", icon=":material/timer:")
        followed(_wait, run_every=OFTEN)(run.slug, _taken(run))
    else:
        _absent(f"It holds no {what}: they are taken while a run trains, and were not in this one. Train another.")


def _taken(run: Run) -> tuple[object, ...]:
    """Something else once a run has taken something that it had not taken before."""
    return records.written(run.path), len(loaders.reader(run).tags()), run.status.best_val_loss


def _wait(run: Run, before: tuple[object, ...]) -> None:
    """Draw the page anew when more was taken."""
    if _taken(run) != before:
        st.rerun()


def _absent(why: str) -> None:
    """Say why there is nothing to see of a run, in sentences of which it is the subject."""
    st.info(f"Nothing to see of this run here. {why}", icon=":material/visibility_off:")
