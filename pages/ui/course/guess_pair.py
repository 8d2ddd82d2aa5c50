"""Guess first, on Compare: which of two runs ends lower and by how much, as long as that is not known."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.runs.state import Run
from core.studies.course import guesses
from core.studies.course.guess import HIGHEST, Guess, key
from core.studies.course.guesses import Guessed
from pages.ui import state, teaching, wording
from pages.ui.components.charts.curves import Landmark
from pages.ui.course import guess_strip, progress

WITHIN = 0.05
"""Nats either way that a guess has at first."""


def guessed(chosen: Sequence[Run]) -> Guessed | None:
    """What was guessed of the two runs, with what came of it; None if nothing was, or there are not two."""
    if len(chosen) != 2:
        return None
    made = guesses.of_pair(progress.now().guesses, [run.slug for run in chosen])
    return guesses.turned_out(made, {run.slug: run for run in chosen}) if made else None


def guess_pair(chosen: Sequence[Run], labels: Mapping[str, str]) -> None:
    """Ask which of the two wins, or say what was said, and what came of it. Nothing if there is nothing to guess."""
    if not teaching.shown("guess"):
        return
    if found := guessed(chosen):
        winner = found.guess.run if found.guess.value < 0 else found.guess.rival
        if found.truth is None and any(run.state.active for run in chosen):
            said = f"Your guess: **{wording.plain(labels[winner])}** ends lower by {abs(found.guess.value):.2f} ± "
            st.markdown(f"{said}{found.guess.within:.2f}. Revealed when both have ended.")
        else:
            of = wording.plain(labels[found.guess.run])
            st.markdown(f"Guessed of **{of}**: {wording.plain(guess_strip.outcome(found))}")
        return
    if not guesses.open_pair(chosen) or not guess_strip.wanted():
        return
    _ask(chosen, labels)


def _ask(chosen: Sequence[Run], labels: Mapping[str, str]) -> None:
    slugs = [run.slug for run in chosen]
    name = key(*slugs)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="guess-pair"):
        winner = st.selectbox(
            "Guess first: which ends lower?",
            slugs,
            index=None,
            format_func=labels.__getitem__,
            key=f"pair.wins.{name}",
            placeholder="One of the two",
            width=300,
            help="The lower validation loss wins. It is revealed when both have ended.",
        )
        gap = st.number_input(
            "By how much (nats)", 0.0, HIGHEST, None, 0.01, "%.2f", key=f"pair.gap.{name}", width=180, help="The gap."
        )
        within = st.number_input(
            "Give or take",
            0.01,
            HIGHEST,
            WITHIN,
            0.01,
            "%.2f",
            key=f"pair.within.{name}",
            width=130,
            help="The narrower, the bolder: within it you were right.",
        )
        st.button(
            "Guess",
            icon=":material/casino:",
            key="pair.keep",
            on_click=_keep,
            args=(chosen, winner, gap, within),
            disabled=winner is None or gap is None,
            help="Choose one and say by how much." if winner is None or gap is None else "Kept as it is said now.",
        )
        st.button(
            "No guess",
            icon=":material/close:",
            type="tertiary",
            key="pair.off",
            on_click=guess_strip.switch,
            args=(False,),
            help="Do not ask me any more, here and beside Train. The page of a rung brings it back.",
        )


def _keep(chosen: Sequence[Run], winner: str, gap: float, within: float) -> None:
    one, other = chosen
    value = -gap if winner == one.slug else gap
    seen = guesses.seen_of(chosen)
    try:
        progress.put(progress.now().guessed(Guess(one.slug, value, within, other.slug, seen)))
    except state.PROBLEMS as error:
        state.say_error(error)


def marks(chosen: Sequence[Run]) -> list[Landmark]:
    """The guess on the chart, once the run that it is measured from has ended."""
    found = guessed(chosen)
    rival = next((run for run in chosen if found and run.slug == found.guess.rival), None)
    if found is None or rival is None or rival.state.active or rival.status.val_loss is None:
        return []
    label = found.sentence if found.truth is not None else f"your guess: {found.said}"
    return [Landmark(label, rival.status.val_loss + found.guess.value, "What you said before both had ended.")]
