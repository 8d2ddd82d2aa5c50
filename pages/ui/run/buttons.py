"""A run's headline and its buttons: pause, step, rate, stop, resume."""

import contextlib
from collections.abc import Callable

import streamlit as st

from core.jobs import control
from core.runs import reading, requests
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.state import Run
from pages.ui import state, wording

COLOURS = {
    State.QUEUED: "orange",
    State.RUNNING: "blue",
    State.PAUSED: "violet",
    State.STOPPING: "orange",
    State.FINISHED: "green",
    State.STOPPED: "gray",
    State.FAILED: "red",
    State.LOST: "red",
}


def state_badge(run: Run) -> str:
    """A coloured word for a run's state, as Markdown."""
    if run.damage:
        return ":red-badge[damaged]"
    return f":{COLOURS[run.state]}-badge[{wording.plain(str(run.state))}]"


def headline(run: Run) -> None:
    note = f": {wording.plain(run.status.message)}" if run.status.message not in ("", runs_state.TRAINING) else ""
    device = f" on the {wording.device(run.status.device)}" if run.status.device else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{wording.plain(run.name)}** {state_badge(run)}{device}{note}", width="stretch")
        if run.state in (State.RUNNING, State.PAUSED):
            _hold_buttons(run)
        if run.state in (State.QUEUED, State.RUNNING, State.PAUSED):
            st.button(
                "Stop",
                icon=":material/stop:",
                on_click=_do,
                args=(control.stop, run.slug),
                key="stop",
                help="Finish the step, save the weights and end. Resume goes on from there.",
            )
        elif run.state in (State.STOPPED, State.FAILED, State.LOST) and not run.shipped:
            step = run.status.checkpoint_step
            st.button(
                f"Resume from step {step:,}" if step else "Resume from the start",
                icon=":material/play_arrow:",
                on_click=_resume,
                args=(run.slug,),
                key="resume",
                help="Go on from the last saved step, with the optimiser and the random numbers as they were.",
            )
    if run.state.active:
        st.progress(min(1.0, run.status.step / max(1, run.status.of)))


def _hold_buttons(run: Run) -> None:
    """Pause or continue, take one step, change the learning rate."""
    if run.state is State.PAUSED:
        st.button(
            "Continue",
            icon=":material/play_arrow:",
            on_click=_do,
            args=(control.proceed, run.slug),
            key="continue",
            help="Go on from here.",
        )
        st.button(
            "Step",
            icon=":material/skip_next:",
            on_click=_do,
            args=(control.single_step, run.slug),
            key="step",
            help="Take one optimiser step, save the weights and pause again: the views below show what it changed.",
        )
    else:
        st.button(
            "Pause",
            icon=":material/pause:",
            on_click=_do,
            args=(control.pause, run.slug),
            key="pause",
            disabled=requests.hold_from(run.path) == 0,
            help="Hold still, in memory. A run that waits for the device may have it meanwhile.",
        )
    with st.popover("Rate", icon=":material/tune:", help="Change the learning rate while it trains."):
        settings = run.need().train
        now = requests.current(run)
        field = next(f for f in settings.fields() if f.name == "learning_rate")
        st.number_input(
            "learning_rate",
            field.low,
            field.high,
            now["learning_rate"],
            step=now["learning_rate"] / 10,
            format="%.3g",
            key=f"rate.{run.slug}",
            help=f"{field.help} Warm-up and cool-down still apply. The change is marked on the curve and kept: a "
            "resumed run repeats it.",
        )
        st.button(
            "Change it",
            icon=":material/check:",
            on_click=_change,
            args=(run.slug,),
            key="rate.set",
            help="From the next step on.",
        )


def _do(action: Callable[[Run], object], slug: str) -> None:
    try:
        action(reading.find(slug))
    except state.PROBLEMS as error:
        state.say_error(error)


def _change(slug: str) -> None:
    _do(lambda run: control.change(run, {"learning_rate": st.session_state[f"rate.{slug}"]}), slug)


def _resume(slug: str) -> None:
    try:
        control.start(reading.find(slug))
        with contextlib.suppress(KeyError):
            st.session_state.pop("watching")
    except state.PROBLEMS as error:
        state.say_error(error)
