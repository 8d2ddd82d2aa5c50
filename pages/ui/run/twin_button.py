"""Trains two runs that differ in one setting."""

import streamlit as st

from core.jobs import control
from core.ladder.rung import Rung
from core.runs import editing
from core.runs import plan as runs_plan
from core.runs.state import Run
from pages.ui import state, teaching


def twin_button(
    rung: Rung,
    preset: str,
    model: dict[str, object],
    train: dict[str, object],
    corpus_name: str,
    needed: float,
    *,
    ready: bool,
) -> None:
    """Offer to train the rung's twins with the settings of the form; each needs as many bytes as that run."""
    if rung.twins is None or not teaching.shown("experiments"):
        return
    st.button(
        rung.twins.title,
        icon=":material/compare:",
        key=f"{rung.key}.twins",
        on_click=_start,
        args=(rung.key, rung.twins.setting, rung.twins.values, preset, model, train, corpus_name, needed),
        disabled=not ready or teaching.locked(f"model.{rung.twins.setting}"),
        help=rung.twins.look_for,
    )


def _start(
    rung_key: str,
    setting: str,
    values: tuple[object, object],
    preset: str,
    model: dict[str, object],
    train: dict[str, object],
    corpus_name: str,
    needed: float,
) -> None:
    started: list[Run] = []
    try:
        for value in values:
            changed = {**model, setting: value}
            plan = runs_plan.plan(rung_key, preset=preset, model=changed, train=train, corpus_name=corpus_name)
            started.append(control.start(editing.create(plan.model_copy(update={"memory_needed": needed}))))
    except state.PROBLEMS as error:
        state.say_error(error)
    if started:
        state.show_run(started[0].slug)
        st.session_state["compare"] = [run.slug for run in started[1:]]
