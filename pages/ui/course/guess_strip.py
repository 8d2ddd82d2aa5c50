"""Guess first: beside Train, what the validation loss will be at the end, or by how much it beats the run shown."""

import math

import streamlit as st

from core.ladder.rung import Rung
from core.runs import reading
from core.runs.guess import HIGHEST, Guess
from core.runs.state import Run
from core.studies.course import guesses
from pages.ui import state, teaching, wording
from pages.ui.choosers import chosen
from pages.ui.components.charts.curves import Handle, Landmark
from pages.ui.wording import plain

ON = "guess.on"
"""Session state: False once it was switched off."""
OFF_IN_ADDRESS = "off"
PARAMETER = "guess"
"""Name of the URL's parameter that keeps it switched off."""
MOVED = "guess.moved"
"""Session state: True once the handle on the chart was let go, until the page is drawn anew."""
END, GAP = "its end", "against the run shown"
WITHIN = 0.1
"""Nats either way that a guess has at first."""


def wanted() -> bool:
    """Whether the learner is asked at all; switched off, that stands in the address and holds for the visit."""
    if not teaching.shown("guess"):
        return False
    if st.query_params.get(PARAMETER) == OFF_IN_ADDRESS:
        st.session_state[ON] = False
    on = bool(st.session_state.get(ON, True))
    if not on:
        st.query_params[PARAMETER] = OFF_IN_ADDRESS
    return on


def _switch(on: bool) -> None:
    st.session_state[ON] = on
    if on:
        st.query_params.pop(PARAMETER, None)


def _key(rung: str, name: str) -> str:
    return f"{rung}.guess.{name}"


def taken(rung: str) -> Guess | None:
    """Return what is guessed of the run that is about to start, and begin the next guess anew."""
    if not st.session_state.get(ON, True):
        return None
    guess = made(rung)
    st.session_state.pop(_key(rung, "value"), None)
    st.session_state.pop(_key(rung, "gap"), None)
    return guess


def made(rung: str) -> Guess | None:
    """What the strip says now; None if nothing was guessed."""
    rival = _rival(rung)
    against = st.session_state.get(_key(rung, "of")) == GAP and rival is not None
    value = st.session_state.get(_key(rung, "gap" if against else "value"))
    within = st.session_state.get(_key(rung, "within")) or WITHIN
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if not against or rival is None:
        return Guess(float(value), float(within))
    better = st.session_state.get(_key(rung, "wins"), True)
    return Guess(-float(value) if better else float(value), float(within), rival.slug)


def _rival(rung: str) -> Run | None:
    """The run that is shown now, if a new one can be measured against it."""
    before = st.session_state.get(chosen.SHOWN, ("",))[0]  # while a page is drawn, its own is not known yet
    slug = st.session_state.get(state.SHOWN) or st.query_params.get(state.RUN) or before
    try:
        run = reading.find(slug) if slug else None
    except state.PROBLEMS:
        return None
    fits = run and not run.damage and not run.broken and run.rung_key == rung and run.status.val_loss is not None
    return run if fits else None


def guess_strip(rung: Rung) -> None:
    """Draw it in the row beside Train."""
    if not teaching.shown("guess"):
        return
    if not wanted():
        st.button(
            "Guess",
            icon=":material/casino:",
            type="tertiary",
            key=_key(rung.key, "on"),
            on_click=_switch,
            args=(True,),
            help="Say before you train how it will end; afterwards you see how near you were.",
        )
        return
    now = made(rung.key)
    label = f"Guess {plain(guesses.in_words(now))}" if now else "Guess first"
    with st.popover(label, icon=":material/casino:", help="Say before you train how it will end."):
        _form(rung.key)
    st.button(
        "No guess",
        icon=":material/close:",
        type="tertiary",
        key=_key(rung.key, "off"),
        on_click=_switch,
        args=(False,),
        help="Do not ask me any more. One click brings it back.",
    )


def _form(rung: str) -> None:
    rival = _rival(rung)
    kind = END
    if rival is not None:
        kind = st.segmented_control(
            "What do you guess?", [END, GAP], key=_key(rung, "of"), default=END, required=True, help="Of the next run."
        )
        st.caption(f"The run shown: {wording.plain(rival.label)}, val {wording.loss(rival.status.val_loss)}.")
    if kind == GAP:
        st.radio(
            "Which of the two ends lower?",
            [True, False],
            format_func=lambda new: "the new one" if new else "the one shown",
            horizontal=True,
            key=_key(rung, "wins"),
            help="The lower validation loss wins.",
        )
        st.number_input(
            "By how much (nats)", 0.0, HIGHEST, None, 0.01, "%.2f", key=_key(rung, "gap"), help="Of validation loss."
        )
    else:
        st.number_input(
            "Validation loss at the end",
            0.0,
            HIGHEST,
            None,
            0.01,
            "%.2f",
            key=_key(rung, "value"),
            help="Nats a character. On the chart you can drag it: the handle at the right end.",
        )
    st.number_input(
        "Give or take",
        0.01,
        HIGHEST,
        WITHIN,
        0.01,
        "%.2f",
        key=_key(rung, "within"),
        help="The narrower, the bolder: within it you were right.",
    )
    st.page_link("learn/guesses.py", label="Your guesses so far", icon=":material/casino:")


def handle(rung: str) -> Handle | None:
    """The handle on the chart with which the end is dragged; None if that is not asked for."""
    if not wanted() or not teaching.shown("train") or st.session_state.get(_key(rung, "of")) == GAP:
        return None
    value = st.session_state.get(_key(rung, "value"))
    return Handle(value, float(st.session_state.get(_key(rung, "within")) or WITHIN))


def dragged(rung: str, value: float) -> None:
    """Take what was dragged on the chart."""
    st.session_state[_key(rung, "value")] = round(min(HIGHEST, max(0.0, value)), 2)
    st.session_state[MOVED] = True


def marks(run: Run) -> list[Landmark]:
    """What was guessed of a run, for its chart; at its end with what it was."""
    guessed = guesses.of(run)
    if guessed is None:
        return []
    guess, at = guessed.guess, guessed.guess.value
    if guess.rival:
        try:
            at += reading.find(guess.rival).status.val_loss or math.nan
        except state.PROBLEMS:
            return []
    label = guessed.sentence if guessed.truth is not None else f"your guess: {guessed.said}"
    return [Landmark(label, at, "What you said before it began.")]


def told(run: Run) -> str:
    """The guess of a run in one line; empty if there is none."""
    guessed = guesses.of(run)
    if guessed is None or (guessed.truth is None and run.state.active):
        return ""
    said = guessed.sentence
    verdict = "" if guessed.truth is None else " Within your guess." if guessed.hit else " Outside your guess."
    return f"{said[:1].upper()}{said[1:]}.{verdict}"
