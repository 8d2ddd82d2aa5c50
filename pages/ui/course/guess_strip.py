"""Guess first: beside Train, what the validation loss will be at the end, or by how much it beats the run shown."""

import math
from dataclasses import replace

import streamlit as st

from core.ladder.rung import Rung
from core.runs import reading
from core.runs.state import Run
from core.studies.course import guesses
from core.studies.course.guess import HIGHEST, Guess
from core.studies.course.guesses import Guessed
from pages.ui import loaders, state, teaching, wording
from pages.ui.choosers import chosen
from pages.ui.components.charts.curves import Handle, Landmark
from pages.ui.course import progress
from pages.ui.wording import plain

OFF, ON = "guess.off", "guess.on"
"""Marks among a learner's progress: how often it was switched off, and on again."""
MOVED = "guess.moved"
"""Session state: True once the handle on the chart was let go, until the page is drawn anew."""
END, GAP = "its end", "against the run shown"
WITHIN = 0.1
"""Nats either way that a guess has at first."""


def wanted() -> bool:
    """Whether the learner is asked at all."""
    return teaching.shown("guess") and _times(OFF) == _times(ON)


def _times(name: str) -> int:
    return sum(mark.startswith(f"{name}.") for mark in progress.now().marks)


def switch(on: bool) -> None:
    """Ask from now on, or no more; for callbacks."""
    name = ON if on else OFF
    if wanted() != on:
        progress.mark(f"{name}.{_times(name)}")


def _key(rung: str, name: str) -> str:
    return f"{rung}.guess.{name}"


def keep(run: Run) -> None:
    """Keep what was guessed of a run that has just been made, and begin the next guess anew. Raises BardlabError."""
    if not wanted():
        return
    guess = made(run.rung_key)
    st.session_state.pop(_key(run.rung_key, "value"), None)
    st.session_state.pop(_key(run.rung_key, "gap"), None)
    if guess is not None:
        progress.put(progress.now().guessed(replace(guess, run=run.slug)))


def made(rung: str) -> Guess | None:
    """What the strip says now, of a run that has no name yet; None if nothing was guessed."""
    rival = _rival(rung)
    against = st.session_state.get(_key(rung, "of")) == GAP and rival is not None
    value = st.session_state.get(_key(rung, "gap" if against else "value"))
    within = st.session_state.get(_key(rung, "within")) or WITHIN
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if not against or rival is None:
        return Guess("", float(value), float(within))
    better = st.session_state.get(_key(rung, "wins"), True)
    return Guess("", -float(value) if better else float(value), float(within), rival.slug)


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
    """Draw it in the row below Train."""
    if not teaching.shown("guess"):
        return
    if not wanted():
        st.button(
            "Guess first",
            icon=":material/casino:",
            type="tertiary",
            key=_key(rung.key, "on"),
            on_click=switch,
            args=(True,),
            help="Say before you train how it will end; afterwards you see how near you were.",
        )
        return
    now = made(rung.key)
    said = (f"{now.value:+.2f}" if now.rival else f"{now.value:.2f}") + f" ± {now.within:.2f}" if now else "Guess first"
    with st.popover(plain(said), icon=":material/casino:", help="Say before you train how it will end."):
        _form(rung.key)
    st.button(
        "No guess",
        icon=":material/close:",
        type="tertiary",
        key=_key(rung.key, "off"),
        on_click=switch,
        args=(False,),
        help="No guess: do not ask me any more, here and on Compare. One click brings it back.",
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


def guessed(run: Run) -> list[Guessed]:
    """What was guessed of a run, with what came of it."""
    made = [guess for guess in progress.now().guesses.values() if guess.run == run.slug]
    runs = {each.slug: each for each in loaders.listing()} if any(guess.rival for guess in made) else {}
    return [guesses.turned_out(guess, {**runs, run.slug: run}) for guess in made]


def marks(run: Run) -> list[Landmark]:
    """What was guessed of a run, for its chart; at its end with what it was."""
    found = []
    for each in guessed(run):
        at = each.guess.value
        if each.guess.rival:
            try:
                at += reading.find(each.guess.rival).status.val_loss or math.nan
            except state.PROBLEMS:
                continue
        label = each.sentence if each.truth is not None else f"your guess: {each.said}"
        found.append(Landmark(label, at, "What you said before its end was known."))
    return found


def told(run: Run) -> str:
    """The guesses of a run in one line; empty if there is none, or it is under way."""
    return " ".join(outcome(each) for each in guessed(run) if each.truth is not None or not run.state.active)


def outcome(each: Guessed) -> str:
    """A guess with what came of it, as a sentence or two."""
    held = "" if each.truth is None else " Within your guess." if each.hit else " Outside your guess."
    return f"{each.sentence[:1].upper()}{each.sentence[1:]}.{held}"
