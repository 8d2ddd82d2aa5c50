"""One broken training: its state, what its plots show while it runs, and the question what is wrong."""

import contextlib
from collections.abc import Callable, Sequence

import streamlit as st

from core.errors import BardlabError
from core.jobs import control
from core.runs import layout, reading
from core.runs.folder import State
from core.runs.state import Run
from core.studies.course import faults, shelf
from core.studies.course import signs as course_signs
from core.studies.course.faults import Fault
from core.studies.course.shelf import Shelf
from core.studies.course.signs import Inside, Signs
from pages.ui import loaders, state, tell, wording
from pages.ui.components.charts.curves import Curve, curves
from pages.ui.course import progress
from pages.ui.run.buttons import state_badge
from pages.ui.run.run_curves import flags_of, loss_curves, marks_of
from pages.ui.rung_views.layers import layers
from pages.ui.rung_views.updates import gradients, updates

PLOTS = {
    "losses": "Losses",
    "gradients": "Gradients",
    "updates": "Steps",
    "layers": "Layers",
    "again": "Measured again",
}
"""The plots by the names that the faults give them."""
PLOT = "plot"
"""Name of the URL's parameter for the plot that is open."""


# --- what is known of it ---------------------------------------------------------------------------------------------


def signs_of(run: Run) -> Signs | None:
    """What the curves show so far."""
    return course_signs.signs(run, loaders.reader(run))


def inside_of(run: Run) -> Inside | None:
    """What the saved weights show; None while there are none, or they cannot be read."""
    file = run.path / layout.WEIGHTS
    if not file.exists():
        return None
    with contextlib.suppress(BardlabError):
        return _inside(run.slug, file.stat().st_mtime, run.status.step)
    return None


@st.cache_data(max_entries=64, show_spinner="Looking at its weights")
def _inside(slug: str, written: float, step: int) -> Inside | None:
    return course_signs.inside(reading.find(slug))


# --- the shelf -------------------------------------------------------------------------------------------------------


def cards(now: Shelf, chosen: int, among: Sequence[Run], choose: Callable[[int], None]) -> None:
    """Draw the ten trainings by their numbers, without saying which is which."""
    with st.container(horizontal=True, gap="xsmall", key="shelf"):
        for number, key in enumerate(now.order, 1):
            run = faults.broken_run(faults.get(key), among)
            told, icon = _card(now, key, run)
            st.button(
                f"{number:d} · {wording.plain(told)}" if told else f"{number:d}",
                icon=icon,
                type="primary" if number == chosen else "secondary",
                key=f"broken.{number}",
                on_click=choose,
                args=(number,),
                help=wording.plain(faults.get(key).title)
                if now.over(key)
                else "Something is wrong with this training.",
            )


def _card(now: Shelf, key: str, run: Run | None) -> tuple[str, str]:
    if now.found(key):
        return "found", ":material/check_circle:"
    if key in now.given_up:
        return "told", ":material/visibility:"
    if run is None:
        return "", ":material/help:"
    return ("runs", ":material/autorenew:") if run.state.active else ("open", ":material/search:")


# --- at the left: start, and the question ----------------------------------------------------------------------------


def start(key: str, number: int, whole: bool = False) -> None:
    """Start a broken training, or its twin that is whole. For callbacks."""
    try:
        faults.start(faults.get(key), reading.list_runs(), whole=whole, number=number)
    except state.PROBLEMS as error:
        state.say_error(error)


def stop(slug: str) -> None:
    """End a training here. For callbacks."""
    try:
        control.stop(reading.find(slug))
    except state.PROBLEMS as error:
        state.say_error(error)


def desk(fault: Fault, number: int, run: Run | None, now: Shelf) -> None:
    """Draw what can be done with one broken training."""
    st.header(f"Training {number:d}")
    if run is None or (run.state in (State.FAILED, State.LOST, State.STOPPED) and run.status.step < run.status.of):
        if run is not None:
            st.caption(f"It is {wording.plain(str(run.state))}: {wording.plain(run.status.message)}")
        st.button(
            "Start" if run is None else "Go on",
            type="primary",
            icon=":material/play_arrow:",
            key="broken.start",
            on_click=start,
            args=(fault.key, number),
            width="stretch",
            help="A real training, some seconds long, with one thing in it done wrongly.",
        )
    if run is None:
        st.caption(
            "Watch its plots, then say what is wrong. It is marked as broken wherever it stands, and not ranked."
        )
        return
    signs = signs_of(run)
    inside = inside_of(run)
    if now.over(fault.key):
        _solved(fault, number, now, signs, inside)
    elif signs is None:
        st.caption("The question comes with its first evaluation.")
    else:
        _question(fault, now, signs, inside)


def _question(fault: Fault, now: Shelf, signs: Signs, inside: Inside | None) -> None:
    said = now.said.get(fault.key, [])
    for wrong in reversed(said[-1:]):
        hinted = faults.get(wrong)
        st.warning(f"Not this: {hinted.title}. {wording.plain(hinted.look(signs, inside))}", icon=":material/close:")
    choices = [each.key for each in faults.DECLARED]
    picked = st.radio(
        "What is wrong?",
        choices,
        index=None,
        format_func=lambda key: f"~~{faults.get(key).title}~~" if key in said else faults.get(key).title,
        key=f"broken.answer.{fault.key}",
        help="One thing is. What was answered already is struck out.",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "That is it",
            type="primary",
            key="broken.say",
            disabled=picked is None or picked in said,
            on_click=_answer,
            args=(fault.key, picked),
            help="Choose a fault first." if picked is None else "Says whether you are right, and why or why not.",
        )
        st.button(
            "Tell me",
            type="tertiary",
            key="broken.tell",
            on_click=_give_up,
            args=(fault.key,),
            help="Gives up: shows what it is, and it does not count as found.",
        )
    if len(said) > 1:
        st.caption(f"{len(said)} answers so far.")


def _answer(key: str, said: str) -> None:
    progress.put(shelf.answered(progress.now(), key, said))
    if said == key:
        _show_plot(faults.get(key).plot)


def _give_up(key: str) -> None:
    progress.put(shelf.given_up(progress.now(), key))
    _show_plot(faults.get(key).plot)


def _again(key: str) -> None:
    progress.put(shelf.again(progress.now(), key))


def _show_plot(name: str) -> None:
    st.session_state["broken.plot"] = st.query_params[PLOT] = name


def _solved(fault: Fault, number: int, now: Shelf, signs: Signs | None, inside: Inside | None) -> None:
    if now.found(fault.key):
        answers = now.answers[fault.key]
        found = "at the first answer" if answers == 1 else f"at answer {answers:d}"
        st.success(f"**{fault.title}.** Found {found}.", icon=":material/check_circle:")
    else:
        st.info(f"**{fault.title}.**", icon=":material/visibility:")
    st.markdown(fault.reason)
    if signs is not None:
        st.markdown(f"*On the plot “{PLOTS[fault.plot]}”:* {wording.plain(fault.look(signs, inside))}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "How it looks when it is whole",
            icon=":material/healing:",
            key="broken.whole",
            on_click=start,
            args=(fault.key, number, True),
            help="Trains the same once more without the fault: same settings, same seed. Its curve joins this one.",
        )
        st.button(
            "Ask me again",
            type="tertiary",
            key="broken.again",
            on_click=_again,
            args=(fault.key,),
            help="Forgets what was answered here.",
        )


# --- at the right: the plots -----------------------------------------------------------------------------------------


def plots(slugs: Sequence[str]) -> None:
    """Draw one of the plots of a broken training, and of its twin that is whole if there is one."""
    asked = st.query_params.get(PLOT)
    if asked in PLOTS:
        st.session_state["broken.plot"] = asked
    name = st.segmented_control(
        "Plot",
        list(PLOTS),
        format_func=PLOTS.__getitem__,
        key="broken.plot",
        default=None if "broken.plot" in st.session_state else "losses",
        required=True,
        on_change=_plot_to_address,
        label_visibility="collapsed",
        help="What is to be seen of it.",
    )
    name = name if name in PLOTS else "losses"
    if name == "losses":
        _losses(tuple(slugs))
        return
    slug = slugs[0]
    if len(slugs) > 1:
        whole = st.toggle(
            "Of the one that is whole",
            key="broken.of-whole",
            help="The same plot of the same training without a fault.",
        )
        slug = slugs[1] if whole else slugs[0]
    try:
        run = reading.find(slug)
        run.need()
    except BardlabError as error:
        tell.caption(error)
        return
    DRAWN[name](run)


def _plot_to_address() -> None:
    st.query_params[PLOT] = st.session_state["broken.plot"]


@st.fragment
def _losses(slugs: tuple[str, ...]) -> None:
    """The losses, followed while they are learned; draws the page anew at what the left side waits for."""
    shown = []
    for slug in slugs:
        with contextlib.suppress(BardlabError):
            run = control.look_after(reading.find(slug))
            shown += [] if run.damage else [run]
    if not shown:
        st.caption("This training is no longer here.")
        return
    live = any(run.state.active for run in shown)
    for run in shown:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"broken.state.{run.slug}"):
            s = run.status
            st.markdown(
                f"**{wording.plain(run.name)}** {state_badge(run)} step {s.step:,} / {s.of:,} · train "
                f"**{wording.loss(s.train_loss)}** · val **{wording.loss(s.val_loss)}**"
            )
            if run.state in (State.RUNNING, State.QUEUED):
                st.button(
                    "Stop",
                    type="tertiary",
                    key=f"broken.stop.{run.slug}",
                    on_click=stop,
                    args=(run.slug,),
                    help="Here.",
                )
    curves(
        [curve for run in shown for curve in loss_curves(run)],
        marks_of(shown[0]),
        flags_of(shown),
        live=live,
        key="broken-losses",
        height=340,
        main=True,
    )
    now = ([run.state.active for run in shown], signs_of(shown[0]) is not None)
    before, st.session_state["broken.seen"] = st.session_state.get("broken.seen", (slugs, now)), (slugs, now)
    if before != (slugs, now) and before[0] == slugs:
        st.rerun()


def _gradients(run: Run) -> None:
    read = loaders.reader(run)
    step, norm = read.curve("train/grad_norm")
    if not len(step):
        st.caption("No step has been taken yet.")
        return
    st.header("The norm of the whole gradient")
    line = Curve(f"{run.slug}:norm:{read.generation}", run.name, "val", run.slug, step, step, step, norm)
    curves([line], live=False, key="broken-norm", y_label="gradient norm", x_label="step", height=210)
    gradients(run)


def _layers(run: Run) -> None:
    if not run.usable:
        st.caption("The first weights are not saved yet.")
        return
    layers(run)


def _again_measured(run: Run) -> None:
    """What the run said of its weights, and what they do when they are measured anew."""
    found = inside_of(run)
    if found is None:
        st.caption("The first weights are not saved yet.")
        return
    st.header("The saved weights, measured again")
    left, right = st.columns(2)
    left.metric("Validation loss that the run reported", f"{found.reported:.3f}", border=True)
    right.metric(
        "The same weights, measured here",
        f"{found.again:.3f}",
        f"{found.again - found.reported:+.3f}",
        delta_color="inverse",
        border=True,
    )
    st.caption(
        f"The newest weights, on {course_signs.JUDGED:,} characters spread over the validation text, without dropout. "
        "A part of the text is not quite the whole: some hundredths of a nat mean nothing."
    )


DRAWN: dict[str, Callable[[Run], None]] = {
    "gradients": _gradients,
    "updates": updates,
    "layers": _layers,
    "again": _again_measured,
}
