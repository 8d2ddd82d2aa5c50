"""A run's headline and its buttons: pause, step, rate, stop, resume. They keep their places."""

import contextlib
from collections.abc import Callable, Mapping

import streamlit as st

from core.jobs import control
from core.runs import owners, requests
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.state import BROKEN, Run
from pages.ui import loaders, state, wording
from pages.ui.components.controls.live_line import Piece, line, live_line, markdown
from pages.ui.run.train_on import train_on_button

HOLD_WIDTH = 82
"""Of the button that pauses and continues, px: the longer of its two words."""
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
    return markdown(_badges(run))


def _badges(run: Run) -> list[Piece]:
    if run.damage:
        return [Piece("damaged", "red")]
    broken = [Piece(BROKEN, "orange", "build"), Piece(" ")] if run.broken else []
    return [*broken, Piece(str(run.state), COLOURS[run.state])]


def headline(run: Run) -> None:
    """Draw what the run is called, its state, and how far it is: in the same two lines whatever the state."""
    with st.container(key="headline"):
        if run.state.active:
            live_line("headline", headline_line(run))
            return
        st.markdown(markdown(_run_in_words(run)))
        st.progress(_done(run))


def headline_line(run: Run) -> Mapping[str, object]:
    """The same of a run under way, for a line that moves."""
    return line(_run_in_words(run), progress=_done(run))


def _run_in_words(run: Run) -> list[Piece]:
    s = run.status
    notable = s.message not in ("", runs_state.TRAINING) and not weights_only(run)
    note = f": {wording.waiting(s.message)}" if notable else ""
    computing = s.device and run.state is not State.QUEUED and not weights_only(run)
    device = f" on the {wording.place(s.device, s.node, s.devices)}" if computing else ""
    return [Piece(run.name, "strong"), Piece(" "), *_badges(run), Piece(f"{device}{_how_far(run)}{note}")]


def _done(run: Run) -> float:
    return 1.0 if weights_only(run) else min(1.0, run.status.step / max(1, run.status.of))


def _how_far(run: Run) -> str:
    s = run.status
    if weights_only(run):
        return f" weights only, val {wording.loss(s.val_loss)}"
    left = f"{wording.duration(s.eta_seconds)} left" if run.state.active and s.eta_seconds is not None else ""
    left = left or (wording.duration(s.seconds) if s.seconds else "")
    left = left.replace(" ", "\u00a0")  # a number and its unit stay on one line
    of = s.of or run.need().train.steps
    steps = f"{of:,} steps" if run.state is State.FINISHED and s.step == of else f"step {s.step:,} / {of:,}"
    return f" · {steps}{f' · {left}' if left else ''}"


def weights_only(run: Run) -> bool:
    """Whether a run was brought in as weights, without a training that could be shown."""
    return run.state is State.FINISHED and not run.status.step


def run_buttons(run: Run) -> None:
    """Draw all that can be done to a run, each at a place of its own; what cannot be done now, or by this visitor, is
    greyed."""
    theirs = owners.acting().may_change(run.owner)
    running, held = theirs and run.state is State.RUNNING, theirs and run.state is State.PAUSED
    with st.container(horizontal=True, gap="xsmall", horizontal_alignment="right", key="run-buttons"):
        if run.state is State.PAUSED:
            st.button(
                "Continue",
                on_click=_do,
                args=(control.proceed, run.slug),
                key="continue",
                width=HOLD_WIDTH,
                disabled=not held,
                help="Go on from here.",
            )
        else:
            st.button(
                "Pause",
                on_click=_do,
                args=(control.pause, run.slug),
                key="pause",
                width=HOLD_WIDTH,
                disabled=not running or requests.hold_from(run.path) == 0,
                help="Hold still, in memory. A run that waits for the device may have it meanwhile.",
            )
        st.button(
            "Step",
            on_click=_do,
            args=(control.single_step, run.slug),
            key="step",
            disabled=not held,
            help="While paused: take one optimiser step, save the weights and pause again. The views below show what "
            "it changed.",
        )
        _rate(run, disabled=not (running or held))
        st.button(
            "Stop",
            on_click=_do,
            args=(control.stop, run.slug),
            key="stop",
            disabled=not theirs or run.state not in (State.QUEUED, State.RUNNING, State.PAUSED),
            help="Finish the step, save the weights and end. Resume goes on from there."
            if theirs
            else wording.plain(f"It belongs to {run.owner}; train one of your own, or begin from its weights."),
        )
        step = run.status.checkpoint_step
        st.button(
            "Resume",
            on_click=_resume,
            args=(run.slug,),
            key="resume",
            disabled=run.shipped or not theirs or run.state not in (State.STOPPED, State.FAILED, State.LOST),
            help=f"Go on from {f'step {step:,}' if step else 'the start'}, with the optimiser and the random numbers "
            "as they were.",
        )
        train_on_button(run)


def _rate(run: Run, *, disabled: bool) -> None:
    """Change the learning rate of a run under way."""
    with st.popover("Rate", disabled=disabled, help="Change the learning rate while it trains."):
        if disabled:
            return
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
        action(loaders.present(slug))
    except state.PROBLEMS as error:
        state.say_error(error)


def _change(slug: str) -> None:
    _do(lambda run: control.change(run, {"learning_rate": st.session_state[f"rate.{slug}"]}), slug)


def _resume(slug: str) -> None:
    try:
        control.start(loaders.present(slug))
        with contextlib.suppress(KeyError):
            st.session_state.pop("watching")
    except state.PROBLEMS as error:
        state.say_error(error)
