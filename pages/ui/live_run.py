"""The live view of one run: where it is, its curves, what it writes. It reads the run folder and nothing else."""

import contextlib
import math
from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from core import alerts, controls, jobs, runs
from core.errors import BardlabError
from core.meters import Meters
from core.metrics import CHARACTERS, SECONDS, TRAIN_LOSS, VAL_LOSS
from core.runs import Run, State
from pages.ui import cached, state, tell, words
from pages.ui.components.curves import Curve, Landmark, Mark, curves
from pages.ui.components.sample_strip import sample_strip
from pages.ui.queue import queue_panel
from pages.ui.run_picker import missing, run_picker

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
    return f":{COLOURS[run.state]}-badge[{words.plain(str(run.state))}]"


def pick_run(stage: str) -> Run | None:
    """Draw the run picker of a rung. None if there is no run yet."""
    by_slug = {run.slug: run for run in runs.list_runs(shipped=True) if run.stage == stage}
    if not by_slug:
        if asked := st.query_params.get(state.RUN):
            missing(asked)
        return None
    return run_picker(
        "Run",
        by_slug,
        next(iter(by_slug)),
        lambda run: f"{run.name} · {'damaged' if run.damage else run.state}",
        "The run shown below. Its address is in the page's URL, so a link or a refresh comes back to it.",
    )


@st.fragment
def live_run(slug: str) -> None:
    """Show a run, following it while it is under way."""
    try:
        run = jobs.look_after(runs.find(slug))
    except BardlabError as error:
        tell.info(str(error), icon=":material/info:")
        return
    if run.damage:
        st.error(
            f"This run is damaged: {words.plain(run.damage)}. The others are not affected.",
            icon=":material/broken_image:",
        )
        return
    _headline(run)
    if run.state.active:
        queue_panel("live.queue")
    _numbers(run)
    others = _others(run)
    marks = marks_of(run)
    shown = [curve for each in (run, *others) for curve in loss_curves(each)]
    _remarks(run)
    live = any(each.state.active for each in (run, *others))
    interval = min(4.0, max(1.0, run.status.seconds / 60))  # a look at a long curve brings as large a part of it
    flags = flags_of((run, *others))
    eager = not run.status.message.startswith("waiting for the")
    curves(shown, marks, flags, live=live, key="loss-curves", interval=interval, eager=eager)
    sample_strip(runs.samples(run.path), following=live, key="sample-strip")
    was_live = st.session_state.get("watching") == slug
    if run.state.active:
        st.session_state["watching"] = slug
    elif was_live:
        st.session_state.pop("watching")
        st.rerun()  # the run has just ended: let the rest of the page see it


def marks_of(run: Run) -> list[Landmark]:
    """The losses to compare a run's with; of one whose text is gone, what its alphabet alone tells."""
    corpus = cached.text_of(run)
    if corpus is None:
        st.caption("The text of this run is no longer here: it can be looked at and written with, not trained further.")
        size = len(run.need().characters)
        return [
            Landmark(f"uniform: ln {size} = {math.log(size):.3f}", math.log(size), "Every character equally likely.")
        ]
    return [Landmark(m.label, m.value, m.help) for m in cached.corpus_landmarks(corpus.sha256, corpus.name)]


def flags_of(shown: Iterable[Run]) -> list[Mark]:
    """What the workers noticed, as flags on the curves."""
    return [
        Mark(run.slug, found.step, f"step {found.step:,}: {found.text}")
        for run in shown
        for found in alerts.alerts(run.path)
    ]


def loss_curves(run: Run) -> list[Curve]:
    """A run's training and validation loss against step, seconds and characters."""
    read = cached.reader(run)
    found = []
    for kind, tag in (("train", TRAIN_LOSS), ("val", VAL_LOSS)):
        step, value = read.curve(tag)
        seconds, characters = read.at(SECONDS, step), read.at(CHARACTERS, step)
        name = f"{run.slug}:{tag}:{read.generation}"
        flops = cached.flops_per_step(run)
        found.append(Curve(name, run.name, kind, run.slug, step, seconds, characters, value, flops_per_step=flops))
    return found


def _remarks(run: Run) -> None:
    """The latest that the worker noticed, and what is wrong with the files of the curves."""
    if flaw := curve_damage(run):
        tell.error(f"The curves are damaged: {flaw}. The weights are not affected.", icon=":material/broken_image:")
    if told := alerts.alerts(run.path):
        more = f" (and {len(told) - 1:,} earlier, as flags on the chart)" if len(told) > 1 else ""
        st.caption(f":material/flag: Step {told[-1].step:,}: {words.plain(told[-1].text)}{more}")


def curve_damage(run: Run) -> str | None:
    """Say what is missing of a run's curves, if anything."""
    read = cached.reader(run)
    if read.damage:
        return read.damage
    steps, _ = read.curve(TRAIN_LOSS)
    last = int(steps[-1]) if len(steps) else 0
    ended = run.state in (State.FINISHED, State.STOPPED) and not run.shipped
    if ended and run.status.seconds and last < run.status.step:
        return f"they end at step {last:,} of the {run.status.step:,} that were taken"
    return None


def _headline(run: Run) -> None:
    note = f": {words.plain(run.status.message)}" if run.status.message not in ("", runs.TRAINING) else ""
    device = f" on the {words.device(run.status.device)}" if run.status.device else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{words.plain(run.name)}** {state_badge(run)}{device}{note}", width="stretch")
        if run.state in (State.RUNNING, State.PAUSED):
            _hold_buttons(run)
        if run.state in (State.QUEUED, State.RUNNING, State.PAUSED):
            st.button(
                "Stop",
                icon=":material/stop:",
                on_click=_do,
                args=(jobs.stop, run.slug),
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
            args=(jobs.proceed, run.slug),
            key="continue",
            help="Go on from here.",
        )
        st.button(
            "Step",
            icon=":material/skip_next:",
            on_click=_do,
            args=(jobs.single_step, run.slug),
            key="step",
            help="Take one optimiser step, save the weights and pause again: the views below show what it changed.",
        )
    else:
        st.button(
            "Pause",
            icon=":material/pause:",
            on_click=_do,
            args=(jobs.pause, run.slug),
            key="pause",
            disabled=controls.hold_from(run.path) == 0,
            help="Hold still, in memory. A run that waits for the device may have it meanwhile.",
        )
    with st.popover("Rate", icon=":material/tune:", help="Change the learning rate while it trains."):
        settings = run.need().train
        now = controls.current(run)
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


def _numbers(run: Run) -> None:
    s = run.status
    plain: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
    bits = f"{s.val_loss / math.log(2):.3f} bits" if s.val_loss is not None else None
    left = f"{words.duration(s.eta_seconds)} left" if run.state.active and s.eta_seconds is not None else None
    rate = f"{s.tokens_per_second:,.0f} characters/s" if s.tokens_per_second else None
    with st.container(horizontal=True, gap="medium"):
        st.metric("Step", f"{s.step:,} / {s.of:,}", help="Optimiser steps taken, of those asked for.")
        st.metric("Training loss", words.loss(s.train_loss), help="Nats a character, mean of the latest batches.")
        st.metric(
            "Validation loss",
            words.loss(s.val_loss) if not s.impossible else "∞",
            bits,
            **plain,
            help="Nats a character over the whole validation split, at the latest evaluation; below, the same in bits.",
        )
        st.metric(
            "Speed",
            words.rate(s.steps_per_second, "steps/s"),
            rate,
            **plain,
            help="Training steps a second, and the characters in them; evaluations left out.",
        )
        st.metric(
            "Time",
            words.duration(s.seconds),
            left,
            **plain,
            help="Spent on this run so far, evaluations included; below, what is left at this speed.",
        )
    if run.state.active and s.meters:
        st.caption(_meters(s.meters), help="Of the worker, measured by itself once a second; then of the machine.")


def _meters(m: Meters) -> str:
    """What the worker and its machine are busy with, in one line."""
    parts = [f"Worker: {m.cpu:.0%} of a core, {words.size(m.memory)} of memory"]
    if m.gpu_memory is not None:
        busy = f"{m.gpu:.0%} busy, " if m.gpu is not None else ""
        parts.append(f"GPU: {busy}{words.size(m.gpu_memory)} of {words.size(m.gpu_memory_total or 0)}")
    machine = f"Machine: {m.machine_cpu:.0%} of {m.cores} cores"
    parts.append(f"{machine}, {m.machine_memory:.0%} of {words.size(m.machine_memory_total)}")
    return " · ".join(parts)


def _others(run: Run) -> list[Run]:
    text = run.need().corpus_sha256  # losses on different texts are not to be compared
    others = (r for r in cached.listing() if r.slug != run.slug and not r.damage)
    slugs = {r.slug: r for r in others if r.need().corpus_sha256 == text}
    if not slugs:
        return []
    chosen = st.multiselect(
        "Compare with",
        list(slugs),
        format_func=lambda s: f"{slugs[s].name} ({slugs[s].stage})" if s in slugs else s,
        key="compare",
        max_selections=9,
        persist_state="session",
        placeholder="Other runs, of any rung",
        help="Draws the curves of these runs on the same axes.",
    )
    return [r for s in chosen if s in slugs and not (r := runs.read(slugs[s].path)).damage]


def details(run: Run) -> None:
    """A run's settings, log and folder; not part of the live view, which would draw them anew each second."""
    config = run.need()
    with st.expander("Settings of this run, its log and its folder"):
        left, right = st.columns(2)
        left.json({"model": config.model, "train": config.train.model_dump(), "versions": config.versions}, expanded=1)
        right.caption("The end of the worker's log")
        right.code(runs.log_tail(run.path, 1500) or "nothing yet", language=None)
        st.caption(f"Folder: {words.inline(str(run.path))}")


def _do(action: Callable[[Run], object], slug: str) -> None:
    try:
        action(runs.find(slug))
    except state.PROBLEMS as error:
        state.say_error(error)


def _change(slug: str) -> None:
    _do(lambda run: jobs.change(run, {"learning_rate": st.session_state[f"rate.{slug}"]}), slug)


def _resume(slug: str) -> None:
    try:
        jobs.start(runs.find(slug))
        with contextlib.suppress(KeyError):
            st.session_state.pop("watching")
    except state.PROBLEMS as error:
        state.say_error(error)
