"""Guess first: every guess so far, how often the truth fell within it, and how far off the guesses are over time."""

import numpy as np
import pandas as pd
import streamlit as st

from core.studies.course import guesses
from pages.ui import loaders, state
from pages.ui.components.charts.curves import curves, plain_curve
from pages.ui.course import guess_strip, progress
from pages.ui.navigation import link_to_first_rung

state.notices()
st.markdown(
    "Before a run begins, say how it will end: below Train on every rung, by dragging the end of its curve, or, of two "
    "runs under way, on Compare. Who guesses has to know why, and a wrong guess teaches more than a curve that "
    "was only watched."
)
if not guess_strip.wanted():
    st.button(
        "Ask me again before I train",
        icon=":material/casino:",
        key="guess.again",
        on_click=guess_strip.switch,
        args=(True,),
        help="You have switched it off.",
    )
made = guesses.guesses(progress.now().guesses, loaders.listing())
if not made:
    st.info("No guesses yet. Open a rung, press Guess first, then Train.", icon=":material/casino:")
    link_to_first_rung()
    st.stop()
score = guesses.score(made)
if score is None:
    st.caption("None of these runs has come to its end yet.")
else:
    left, middle, right = st.columns(3)
    left.metric(
        "Within the guess", f"{score.hits:d} of {score.told:d}", f"{score.share:.0%}", delta_color="off", border=True
    )
    middle.metric("First guess off by", f"{score.mean[0]:.3f} nats", border=True)
    right.metric(f"Latest {min(guesses.LATELY, score.told):d} off by", f"{score.mean[-1]:.3f} nats", border=True)
    if score.told > 1:
        st.header("How far off")
        number = np.arange(1, score.told + 1)
        away = [abs(each.error) for each in made if each.error is not None]
        curves(
            [
                plain_curve("each guess", "points", number, away),
                plain_curve(f"mean of the latest {guesses.LATELY:d}", "fit", number, score.mean),
            ],
            live=False,
            key="guesses",
            palette="guesses",
            x_label="guess",
            y_label="nats between guess and truth",
            height=260,
            main=True,
        )
st.header("Every guess")
st.dataframe(
    pd.DataFrame(
        [
            {
                "made": pd.to_datetime(each.guess.made, errors="coerce", utc=True),
                "run": each.name,
                "guess": each.said,
                "done": each.guess.done,
                "off": each.error,
                "within": "–" if each.truth is None else "yes" if each.hit else "no",
                "outcome": each.sentence,
            }
            for each in reversed(made)
        ]
    ),
    hide_index=True,
    column_config={
        "made": st.column_config.DatetimeColumn("When", format="distance", help="When it was said."),
        "run": st.column_config.TextColumn("Run", help="The run that was guessed of."),
        "guess": st.column_config.TextColumn("Guess", help="What was said."),
        "done": st.column_config.NumberColumn(
            "Seen", format="percent", help="How much of the training was over when it was said."
        ),
        "off": st.column_config.NumberColumn("Off by", format="%.3f", help="Truth less guess, nats a character."),
        "within": st.column_config.TextColumn("Within", help="Whether the truth fell within what was guessed."),
        "outcome": st.column_config.TextColumn("What came of it", help="Or why there is nothing to compare with."),
    },
)
where = "by your login's name" if progress.learner() else "in this browser"
st.caption(
    f"{len(made):,} {'guess' if len(made) == 1 else 'guesses'}, kept {where} until you forget your progress. Runs that "
    "were stopped, failed or deleted have no end to compare with, and count neither way."
)
