"""What a run is at, in one line each: its losses and speed, what its worker is busy with, what came of it."""

import math
from collections.abc import Mapping, Sequence

import streamlit as st

from core.errors import BardlabError
from core.runs import beginnings, reading, records
from core.runs.state import Meters, Run
from core.studies.landmarks import verdict
from pages.ui import tell, wording
from pages.ui.components.charts.curves import Landmark
from pages.ui.components.controls.live_line import Piece, line, live_line, markdown
from pages.ui.course import guess_strip
from pages.ui.inside_views.healing import healing_link
from pages.ui.inside_views.links import inside_links
from pages.ui.run.queue import queue_panel
from pages.ui.run.run_curves import curve_damage

MOST = 20.0
"""Nats of loss beyond which it no longer helps to say between how many characters a model hesitates."""


def numbers(run: Run) -> None:
    """Draw the losses and the speed in one line."""
    with st.container(key="numbers"):
        if run.state.active:
            live_line("numbers", numbers_line(run))
        else:
            st.markdown(markdown(_losses_in_words(run)), help=_losses_explained(run))


def numbers_line(run: Run) -> Mapping[str, object]:
    """The same of a run under way, for a line that moves."""
    return line(_losses_in_words(run), help=_losses_explained(run))


def _losses_in_words(run: Run) -> list[Piece]:
    s = run.status
    val = "∞" if s.impossible else wording.loss(s.val_loss)
    sane = s.val_loss is not None and not s.impossible and s.val_loss < MOST
    choices = f" = {math.exp(s.val_loss or 0.0):.1f} choices of {len(run.need().characters):,}" if sane else ""
    speed = f" · {wording.rate(s.steps_per_second, 'steps/s')}" if s.steps_per_second else ""
    train = wording.loss(s.train_loss)
    return [Piece("train "), Piece(train, "strong"), Piece(" · val "), Piece(val, "strong"), Piece(f"{choices}{speed}")]


def _losses_explained(run: Run) -> str:
    s = run.status
    bits = f" In bits: {s.val_loss / math.log(2):.3f} a character." if s.val_loss is not None else ""
    characters = f" {s.tokens_per_second:,.0f} characters a second." if s.tokens_per_second else ""
    return (
        "Loss in nats a character: of the latest training batches, and of the whole validation split at the latest "
        f"evaluation.{bits} Then the training steps a second, evaluations left out.{characters}"
    )


def told(run: Run, marks: Sequence[Landmark]) -> None:
    """Draw what there is to say of a run below its curves and texts, in a place that keeps its height."""
    with st.container(key="told"):
        if flaw := curve_damage(run):
            tell.error(f"The curves are damaged: {flaw}. The weights are not affected.", icon=":material/broken_image:")
        if notes := records.alerts(run.path):
            more = f" (and {len(notes) - 1:,} earlier, as flags on the chart)" if len(notes) > 1 else ""
            st.caption(f":material/flag: Step {notes[-1].step:,}: {wording.plain(notes[-1].text)}{more}")
        if run.state.active:
            live_line("meters", meters_line(run))
            queue_panel("live.queue")
            return
        if begun := " ".join(filter(None, (beginnings.told(run), beginnings.told_off(run)))):
            tell.caption(begun)
            healing_link(run)
        if said := guess_strip.told(run):
            tell.caption(said)
        if run.status.val_loss is not None and not run.status.impossible:
            if run.broken:
                tell.caption("This training was broken on purpose: its loss stands in no ranking.")
            else:
                tell.caption(verdict(run.status.val_loss, marks, _shipped_loss(run)))
        inside_links(run)


def _shipped_loss(run: Run) -> float | None:
    """The validation loss of the rung's shipped run on the same text; None for that run itself."""
    if run.shipped:
        return None
    try:
        shipped = reading.find(f"pretrained/{run.rung_key}")
    except BardlabError:
        return None
    if shipped.damage or not shipped.shipped or shipped.need().corpus_sha256 != run.need().corpus_sha256:
        return None
    return shipped.status.val_loss


def meters_line(run: Run) -> Mapping[str, object]:
    """What the worker of a run under way is busy with; nothing as long as it has not said so."""
    help = "Of the worker, measured by itself once a second; of the machine."
    return line([Piece(_meters(run.status.meters))] if run.status.meters else [], help=help, faint=True)


def _meters(m: Meters) -> str:
    """What the worker and its machine are busy with, in one line."""
    parts = [f"Worker: {m.cpu:.0%} of a core, {wording.size(m.memory)} of memory"]
    if m.gpu_memory is not None:
        busy = f"{m.gpu:.0%} busy, " if m.gpu is not None else ""
        parts.append(f"GPU: {busy}{wording.size(m.gpu_memory)} of {wording.size(m.gpu_memory_total or 0)}")
    machine = f"Machine: {m.machine_cpu:.0%} of {m.cores} cores"
    parts.append(f"{machine}, {m.machine_memory:.0%} of {wording.size(m.machine_memory_total)}")
    return " · ".join(parts)
