"""Lets a run that has ended learn for some steps more: itself, or a new run with its weights on another text."""

import streamlit as st

from core.errors import BardlabError
from core.jobs import control
from core.runs import beginnings, owners
from core.runs.state import Run
from core.texts.corpus import available
from pages.ui import loaders, state, wording

FLOOR = "as at its last step"
SHARES = {FLOOR: 0.0, "a tenth of its highest": 0.1, "its highest": 1.0}
"""What the learning rate may be beyond the end of a schedule."""


def train_on_button(run: Run) -> None:
    """Draw the control; it opens once the run has ended."""
    with st.popover(
        "Train on",
        disabled=run.state.active or not run.usable,
        help="Some steps more, on the same text or on another.",
        key="train-on",
    ):
        if run.state.active or not run.usable:
            return
        try:
            beginnings.check(run)
        except BardlabError as error:
            st.markdown(wording.plain(f"{str(error)[:1].upper()}{str(error)[1:]}."))
            return
        _form(run)


def _form(run: Run) -> None:
    config, texts = run.need(), available()
    steps = st.number_input("Steps more", 1, 100_000, 200, key="train-on.steps", persist_state="session")
    names = [config.corpus, *(name for name in texts if name != config.corpus)]
    text = st.selectbox(
        "Text", names, format_func=lambda name: wording.plain(texts.get(name) or name), key=f"train-on.text.{run.slug}"
    )
    share = 0.0
    if text == config.corpus and beginnings.goes_on(run):
        at = run.status.checkpoint_step or 0
        if config.train.cooldown and at + steps > config.train.planned:
            share = SHARES[
                st.selectbox(
                    "Learning rate beyond the schedule",
                    list(SHARES),
                    key="train-on.rate",
                    help=f"The cool-down of this run ends at step {config.train.planned:,}, close to zero. It "
                    "stays as it was; what holds behind it is chosen here.",
                )
            ]
        said = (
            f"The same run goes on from step {at:,} to {at + steps:,}, with its optimiser: bit for bit as if it had "
            "been asked for so many from the start, on the same schedule."
        )
    else:
        theirs = owners.acting().may_change(run.owner)
        why = "Of this run there are only weights, no optimiser. " if theirs else "This run is another's. "
        why = "" if text != config.corpus else why
        said = (
            f"{why}A new run begins with these weights and a fresh optimiser, its own schedule over {steps:,} steps. "
            "It says where it began."
        )
    st.caption(wording.plain(said))
    st.button(
        "Start",
        icon=":material/fast_forward:",
        type="primary",
        key="train-on.start",
        on_click=_start,
        args=(run.slug, int(steps), text, share),
        help="It takes its turn on the device like every run.",
    )


def _start(slug: str, steps: int, text: str, share: float) -> None:
    try:
        run = beginnings.train_on(loaders.present(slug), steps, text=text, afterwards=share)
        control.start(run)
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    st.session_state.pop("watching", None)
    state.show_run(run.slug)
