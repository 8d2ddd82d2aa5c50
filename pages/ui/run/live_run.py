"""The live view of one run: where it is, its curves, what it writes. It reads the run folder and nothing else."""

import math
from typing import Any

import streamlit as st

from core.errors import BardlabError
from core.jobs import control
from core.runs import reading, records
from core.runs.state import Meters, Run
from pages.ui import loaders, state, tell, wording
from pages.ui.choosers.run import missing, run_picker
from pages.ui.components.charts.curves import curves
from pages.ui.components.texts.sample_strip import sample_strip
from pages.ui.run.buttons import headline
from pages.ui.run.queue import queue_panel
from pages.ui.run.run_curves import curve_damage, flags_of, loss_curves, marks_of


def pick_run(rung: str) -> Run | None:
    """Draw the run picker of a rung. None if there is no run yet."""
    by_slug = {run.slug: run for run in reading.list_runs(shipped=True) if run.rung_key == rung}
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
        run = control.look_after(reading.find(slug))
    except BardlabError as error:
        tell.info(str(error), icon=":material/info:")
        return
    if run.damage:
        st.error(
            f"This run is damaged: {wording.plain(run.damage)}. The others are not affected.",
            icon=":material/broken_image:",
        )
        return
    headline(run)
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
    sample_strip(records.samples(run.path), following=live, key="sample-strip")
    was_live = st.session_state.get("watching") == slug
    if run.state.active:
        st.session_state["watching"] = slug
    elif was_live:
        st.session_state.pop("watching")
        st.rerun()  # the run has just ended: let the rest of the page see it


def _remarks(run: Run) -> None:
    """The latest that the worker noticed, and what is wrong with the files of the curves."""
    if flaw := curve_damage(run):
        tell.error(f"The curves are damaged: {flaw}. The weights are not affected.", icon=":material/broken_image:")
    if told := records.alerts(run.path):
        more = f" (and {len(told) - 1:,} earlier, as flags on the chart)" if len(told) > 1 else ""
        st.caption(f":material/flag: Step {told[-1].step:,}: {wording.plain(told[-1].text)}{more}")


def _numbers(run: Run) -> None:
    s = run.status
    plain: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
    bits = f"{s.val_loss / math.log(2):.3f} bits" if s.val_loss is not None else None
    left = f"{wording.duration(s.eta_seconds)} left" if run.state.active and s.eta_seconds is not None else None
    rate = f"{s.tokens_per_second:,.0f} characters/s" if s.tokens_per_second else None
    with st.container(horizontal=True, gap="medium"):
        st.metric("Step", f"{s.step:,} / {s.of:,}", help="Optimiser steps taken, of those asked for.")
        st.metric("Training loss", wording.loss(s.train_loss), help="Nats a character, mean of the latest batches.")
        st.metric(
            "Validation loss",
            wording.loss(s.val_loss) if not s.impossible else "∞",
            bits,
            **plain,
            help="Nats a character over the whole validation split, at the latest evaluation; below, the same in bits.",
        )
        st.metric(
            "Speed",
            wording.rate(s.steps_per_second, "steps/s"),
            rate,
            **plain,
            help="Training steps a second, and the characters in them; evaluations left out.",
        )
        st.metric(
            "Time",
            wording.duration(s.seconds),
            left,
            **plain,
            help="Spent on this run so far, evaluations included; below, what is left at this speed.",
        )
    if run.state.active and s.meters:
        st.caption(_meters(s.meters), help="Of the worker, measured by itself once a second; then of the machine.")


def _meters(m: Meters) -> str:
    """What the worker and its machine are busy with, in one line."""
    parts = [f"Worker: {m.cpu:.0%} of a core, {wording.size(m.memory)} of memory"]
    if m.gpu_memory is not None:
        busy = f"{m.gpu:.0%} busy, " if m.gpu is not None else ""
        parts.append(f"GPU: {busy}{wording.size(m.gpu_memory)} of {wording.size(m.gpu_memory_total or 0)}")
    machine = f"Machine: {m.machine_cpu:.0%} of {m.cores} cores"
    parts.append(f"{machine}, {m.machine_memory:.0%} of {wording.size(m.machine_memory_total)}")
    return " · ".join(parts)


def _others(run: Run) -> list[Run]:
    text = run.need().corpus_sha256  # losses on different texts are not to be compared
    others = (r for r in loaders.listing() if r.slug != run.slug and not r.damage)
    slugs = {r.slug: r for r in others if r.need().corpus_sha256 == text}
    if not slugs:
        return []
    chosen = st.multiselect(
        "Compare with",
        list(slugs),
        format_func=lambda s: f"{slugs[s].name} ({slugs[s].rung_key})" if s in slugs else s,
        key="compare",
        max_selections=9,
        persist_state="session",
        placeholder="Other runs, of any rung",
        help="Draws the curves of these runs on the same axes.",
    )
    return [r for s in chosen if s in slugs and not (r := reading.read(slugs[s].path)).damage]


def details(run: Run) -> None:
    """A run's settings, log and folder; not part of the live view, which would draw them anew each second."""
    config = run.need()
    with st.expander("Settings of this run, its log and its folder"):
        left, right = st.columns(2)
        left.json({"model": config.model, "train": config.train.model_dump(), "versions": config.versions}, expanded=1)
        right.caption("The end of the worker's log")
        right.code(records.log_tail(run.path, 1500) or "nothing yet", language=None)
        st.caption(f"Folder: {wording.inline(str(run.path))}")
