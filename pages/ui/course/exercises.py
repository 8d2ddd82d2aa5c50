"""The exercises of a rung, as a view of its page: set, predict, find; checked by what is computed here."""

import streamlit as st

from core.inspect.attention import rungs_with_attention
from core.inspect.heads import HeadScores
from core.ladder.exercises import Choice, Exercise, Form, Number, Trained
from core.ladder.rung import Rung
from core.runs.state import Run
from core.studies.course import judging
from core.studies.course.judging import Judged, RungFacts
from pages.ui import loaders, tell
from pages.ui.choosers import mine
from pages.ui.course import progress
from pages.ui.run.starting import SetUp
from pages.ui.wording import plain


def exercises(rung: Rung, wanted: SetUp | None, run: Run | None) -> None:
    """Draw them. `wanted` is what the form asks for, None if it contradicts itself; `run` the run that is shown."""
    facts = RungFacts(rung, loaders.corpus(), lambda: _scores(run))
    for place, exercise in enumerate(rung.exercises):
        with st.container(border=True, key=f"{rung.key}.exercise.{place}"):
            _exercise(rung, place, exercise, facts, wanted)


def _scores(run: Run | None) -> HeadScores | None:
    attends = run is not None and run.usable and run.rung_key in rungs_with_attention()
    return loaders.head_scores(run) if run is not None and attends else None


def _exercise(rung: Rung, place: int, exercise: Exercise, facts: RungFacts, wanted: SetUp | None) -> None:
    mark = judging.mark(rung, place)
    sign = ":green[:material/check_circle:] " if progress.now().has(mark) else ""
    st.markdown(f"{sign}**{exercise.title}**  \n{exercise.task}")
    key = f"{rung.key}.exercise.{place}"
    judged = _judged(key, rung, exercise, facts, wanted)
    if judged is not None:
        if judged.done and not progress.now().has(mark):
            progress.mark(mark)
            st.rerun()
        (st.success if judged.done else st.info)(plain(judged.line))
    with st.container(horizontal=True, gap="small"):
        with st.popover("Hint", type="tertiary", icon=":material/lightbulb:", help="A little help.", key=f"{key}.hint"):
            st.markdown(exercise.hint)
        with st.popover(
            "Solution", type="tertiary", icon=":material/key:", help="The whole answer.", key=f"{key}.solution"
        ) as opened:
            st.markdown(plain(judging.solution(exercise, facts)))
    del opened


def _judged(key: str, rung: Rung, exercise: Exercise, facts: RungFacts, wanted: SetUp | None) -> Judged | None:
    """Draw what the learner answers with; return what is to be said of it, None while nothing was answered."""
    match exercise.check:
        case Form() as check:
            if wanted is None:
                return Judged(False, "The form contradicts itself: mend it first.")
            return judging.form(check, rung, wanted.model, wanted.train, facts.text.tokenizer.size)
        case Trained() as check:
            return judging.trained(check, rung, mine.own(loaders.listing()))
        case Number() as check:
            number = st.number_input(
                f"Your answer{check.unit and ', ' + plain(check.unit)}",
                value=None,
                key=f"{key}.answer",
                format="%.6g",
                width=220,
                help="Checked as soon as you leave the box.",
            )
            return None if number is None else judging.number(check, facts, float(number))
        case Choice() as check:
            options = list(check.options(facts))
            if not options:
                tell.caption("There is no run to look at yet: train one, or choose one above.")
                return None
            chosen = st.selectbox(
                "Your answer",
                options,
                index=None,
                key=f"{key}.answer",
                placeholder="Choose",
                width=220,
                help="Checked as soon as it is chosen.",
            )
            return None if chosen not in options else judging.choice(check, facts, chosen)
