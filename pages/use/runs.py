"""All runs: find, open, name, note, pin, stop, resume, repeat with a change, export, delete."""

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.exchange import archive, export, import_process
from core.exchange.reference_gpt import unlike_reference
from core.exchange.weights import export_pth
from core.jobs import control
from core.ladder.registry import RUNGS
from core.runs import editing, layout, owners, reading, titles
from core.runs.folder import State
from core.runs.state import BROKEN, Run
from core.settings import shown
from core.studies import differences
from core.studies.differences import against_parent
from core.texts.corpus import available
from pages.ui import loaders, state, teaching, tell, wording
from pages.ui.address import number_from_url
from pages.ui.choosers import chosen, mine
from pages.ui.choosers.text import text_picker
from pages.ui.cluster import cluster_panel
from pages.ui.navigation import link_to_first_rung, rung_page
from pages.ui.run.buttons import state_badge, weights_only
from pages.ui.run.fork_form import MOST, fork_form
from pages.ui.run.queue import queue_panel
from pages.ui.run.report_form import report_form

COLUMNS: dict[str, Any] = {
    "pinned": st.column_config.TextColumn("Pin", width=46, pinned=True, help="Pinned runs come first."),
    "validation": st.column_config.NumberColumn(
        "Val loss",
        width=76,
        pinned=True,
        format="%.4f",
        help="Nats a character, whole split, latest. All runs shown read one text.",
    ),
    "name": st.column_config.TextColumn("Run", pinned=True, help="Its name, or its rung and what its preset lacks."),
    "handle": st.column_config.TextColumn("", width=124, help="The words of its address, which tell it from others."),
    "state": st.column_config.TextColumn(
        "State", width=84, help="Queued, running, paused, stopping, finished, stopped, failed, lost or damaged."
    ),
    "owner": st.column_config.TextColumn("Owner", width=110, help="Who made it: the name of the login."),
    "stage": st.column_config.TextColumn("Rung", width=110, help="The rung of the ladder."),
    "curve": st.column_config.LineChartColumn(
        "Validation", width=120, help="Validation loss from the first evaluation to the latest, each on its own scale."
    ),
    "parameters": st.column_config.NumberColumn("Parameters", width=96, format="localized", help="Trained numbers."),
    "minutes": st.column_config.NumberColumn(
        "Minutes", width=70, format="%.1f", help="Time spent on it, evaluations included."
    ),
    "device": st.column_config.TextColumn("Device", width=60, help="Where it was computed."),
    "started": st.column_config.DatetimeColumn("Made", width=110, format="distance", help="When it was made."),
    "note": st.column_config.TextColumn("Note", help="Your own words; write them in the run's card."),
}
AHEAD = ("pinned", "validation", "name", "handle", "state", "curve")
"""The columns before those of the settings that differ."""
MOST_SETTINGS = 6
ROWS = 100
"""Lines of the table on one page."""
PAGE = "page"
STATES = [*(str(one) for one in State), "damaged"]


def state_in_words(run: Run) -> str:
    """The run's state, or that it is damaged."""
    return "damaged" if run.damage else str(run.state)


def row(run: Run) -> dict[str, object]:
    """One line of the table."""
    s = run.status
    return {
        "pinned": "★" if run.pinned else "",
        "name": f"{run.name} ({BROKEN})" if run.broken else run.name,
        "handle": run.handle if not run.given and run.handle != run.name else "",
        "state": state_in_words(run),
        "owner": "" if run.shipped else run.owner,
        "stage": RUNGS[run.rung_key].title if run.rung_key in RUNGS else "–",
        "validation": s.val_loss,
        "curve": loaders.sparkline(run),
        "parameters": s.parameters,
        "minutes": s.seconds / 60,
        "device": wording.place(s.device, s.node, s.devices),
        "started": run.config.created if run.config else None,
        "note": " ".join(run.note.split()),
    }


def settings_that_differ(listed: Sequence[Run]) -> dict[str, list[str]]:
    """The settings in which the runs differ, each with its values, the seed last.

    Those come first in which the learner's own runs have the most values. A run whose rung lacks the setting does not
    count as different, nor does what makes no other model.
    """
    told = [{} if run.damage else differences.settings(run) for run in listed]
    own = [settings for settings, run in zip(told, listed, strict=True) if not run.shipped]
    names = [name for name in dict.fromkeys(name for one in told for name in one) if "." in name]
    names = [name for name in names if name not in titles.UNTOLD]

    def values(name: str, among: Sequence[dict[str, Any]]) -> int:
        return len({shown(one[name]) for one in among if name in one})

    several_ = [name for name in names if values(name, told) > 1]
    several_.sort(key=lambda name: (-values(name, own), -values(name, told)))
    kept = sorted(several_[:MOST_SETTINGS], key=lambda name: name == differences.SEED)
    return {name: [shown(one[name]) if name in one else "" for one in told] for name in kept}


def act(action: str, slug: str) -> None:
    """Do what a button says, and say what came of it."""
    try:
        run = reading.find(slug)
        if action == "stop":
            control.stop(run)
        elif action == "resume":
            control.start(run)
        elif action == "delete":
            editing.delete(run)
        elif action == "rename":
            editing.rename(run, st.session_state[f"runs.name.{slug}"])
        elif action == "note":
            editing.annotate(run, st.session_state[f"runs.note.{slug}"])
        elif action == "pin":
            editing.pin(run, not run.pinned)
        done = {"stop": "Stopping after the step", "resume": "Resumed", "note": "Noted"}
        done["pin"] = "No longer pinned" if run.pinned else "Pinned"
        state.say_next(done.get(action, f"{action.capitalize()}d") + f": {run.name}")
    except state.PROBLEMS as error:
        state.say_error(error)


def delete_all(slugs: Sequence[str]) -> None:
    """Delete several runs, and say which could not be."""
    gone = state.do_each(slugs, lambda slug: editing.delete(reading.find(slug)))
    if gone:
        state.say_next(f"Deleted {wording.counted(gone)}")


@st.fragment(run_every=2.0)
def watch(busy: Sequence[Run]) -> None:
    """Show how far the runs under way are and who waits; draw the page again when one is in another state or gone."""
    now = [control.look_after(reading.read(run.path)) for run in busy]
    if [state_in_words(run) for run in now] != [state_in_words(run) for run in busy]:
        st.rerun()
    for run in now:
        if run.state is not State.QUEUED:
            s = run.status
            done = f"**{wording.plain(run.name)}** {wording.plain(str(run.state))}, step {s.step:,} of {s.of:,}"
            left = f", {wording.duration(s.eta_seconds)} left" if s.eta_seconds is not None else ""
            where = f", on {wording.plain(s.node)}" if s.node else ""
            st.progress(min(1.0, s.step / max(1, s.of)), done + left + where)
    queue_panel("runs.queue")
    cluster_panel(now)


@teaching.part("import")
@st.fragment
def bring_in() -> None:
    """Turn an uploaded file into a run."""
    with st.expander("Import a run (.zip) or the weights of a GPT (.pth, .pt, .safetensors)", icon=":material/upload:"):
        file = st.file_uploader(
            "A run as Export run made it, or weights: of the reference character GPT or its bigram, of nanoGPT, of a "
            "run of this lab",
            type=["zip", "pth", "pt", "safetensors"],
            max_upload_size=500,
            key="runs.upload",
            help="Read without running anything that is in it, and checked before it becomes a run.",
        )
        titles = available()
        text = st.selectbox(
            "Text that the weights learned from",
            list(titles),
            format_func=lambda name: titles.get(name, name),
            key="runs.import.text",
            width=320,
            help="A model of characters knows them as numbers; which text gives them their meaning is not in its "
            "weights. Add your own on the page The text. A run (.zip) knows its text.",
        )
        if file is not None and st.button("Import", key="runs.import", help="Checks all of it, then it is a run."):
            try:
                with st.spinner("Reading and checking it"):
                    run = import_process.bring_in(file, file_name=file.name, text=text)
            except state.PROBLEMS as error:
                tell.error(state.told(error))
            else:
                _, warned, warning = run.status.message.partition("warning: ")
                if warned:
                    state.say_error(f"Imported as {run.name}, but {warning}")
                else:
                    state.say_next(f"Imported as {run.name}: validation loss {wording.loss(run.status.val_loss)}")
                st.rerun()


def _bytes_of(write: Callable[[Run], Path], run: Run) -> bytes:
    return write(run).read_bytes()


def downloads(run: Run) -> None:
    """What other programs, or other people, can use."""
    name = run.path.name
    kinds: list[tuple[str, str, str, Callable[[Run], Path], str | None]] = []
    if run.status.step:
        kinds += [
            ("Plot (.png)", "The curves as a picture, with axes named.", ".png", export.training_plot, "image/png"),
            ("Curves (.csv)", "Every curve, a line a step.", ".csv", export.curves_csv, "text/csv"),
        ]
    kinds += [
        ("Settings (.json)", "What was asked for.", ".json", export.config_json, "application/json"),
    ]
    if run.usable:
        kinds.append(("Weights (.safetensors)", "The newest weights.", ".safetensors", export.weights, None))
        if not unlike_reference(run.need().model_config_):
            kinds.append(("Weights (.pth)", "The reference GPT's own state dict.", "pth", export_pth, None))
    if not run.state.active:
        kinds.append(("Run (.zip)", "All of it, to import elsewhere.", ".zip", archive.export_run, "application/zip"))
    with st.popover("Export", icon=":material/download:", help="Files for other programs, or other people."):
        for label, help, suffix, write, mime in kinds:
            st.download_button(
                wording.plain(label),
                partial(_bytes_of, write, run),
                "microGPT_model.pth" if suffix == "pth" else name + suffix,
                mime,
                help=wording.plain(help),
                key=f"runs.export.{label}",
                width="stretch",
            )


def filtered(everything: Sequence[Run]) -> list[Run]:
    """Draw the filters and return the runs that pass, pinned ones first. One text at a time."""
    texts = list(dict.fromkeys(run.config.corpus for run in everything if run.config))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words_ = st.text_input(
            "Find",
            key="find",
            max_chars=200,
            bind="query-params",
            placeholder="part of a name or note",
            width=180,
            help="Shows the runs whose name, address, note or owner holds this.",
        )
        trained = {run.rung_key for run in everything}
        present = [key for key in RUNGS if key in trained]
        rungs = st.multiselect(
            "Rungs",
            present,
            key="rungs",
            format_func=lambda key: RUNGS[key].title,
            width=190,
            placeholder="all",
            help="Shows these rungs only.",
        )
        seen = {state_in_words(run) for run in everything}
        kinds = [one for one in STATES if one in seen]
        states = st.multiselect("States", kinds, key="states", width=190, placeholder="all", help="Shows these only.")
        text = None
        if len(texts) > 1:
            with st.container(width=190):
                text = text_picker("Text", "Losses on different texts are not to be compared: one at a time.", texts)
    needle = words_.casefold()
    passing = [
        run
        for run in everything
        if (text is None or run.config is None or run.config.corpus == text)
        and (not rungs or run.rung_key in rungs)
        and (not states or state_in_words(run) in states)
        and (not needle or any(needle in part.casefold() for part in (run.name, run.slug, run.note, run.owner)))
    ]
    return sorted(passing, key=lambda run: not run.pinned)


def turned(listed: Sequence[Run]) -> Sequence[Run]:
    """Draw what turns the pages of a long table; return the runs of the page that is open, which the address keeps."""
    last = max(1, -(-len(listed) // ROWS))
    asked = number_from_url(PAGE)
    at = min(max(1, 1 if asked is None else asked), last)
    if last > 1:
        with st.container(horizontal=True, vertical_alignment="center", key="runs-pages"):
            for label, to in (("Newer", at - 1), ("Older", at + 1)):
                off = not 1 <= to <= last
                st.button(label, key=f"runs.{label}", disabled=off, on_click=_turn, args=(to,), help=f"Page {to:d}.")
            first = (at - 1) * ROWS
            st.caption(
                f"{first + 1:,} to {min(first + ROWS, len(listed)):,} of {len(listed):,} runs; find others by name, "
                "rung or state above",
                width="content",
            )
    return listed[(at - 1) * ROWS : at * ROWS]


def _turn(to: int) -> None:
    st.query_params[PAGE] = str(to)


@teaching.part("card")
def one(run: Run) -> None:
    """The card of one run: what can be done with it."""
    st.markdown(f"**{wording.plain(run.name)}** :small[:gray[{wording.plain(run.slug)}]] {facts(run)}")
    if run.damage:
        st.error(
            f"Damaged: {wording.plain(run.damage)}. It cannot be opened; the others are not affected.",
            icon=":material/broken_image:",
        )
    elif sentence := against_parent(run):
        st.caption(wording.plain(sentence))
    if not run.damage and run.status.message:
        st.caption(wording.plain(run.status.message))
    if not run.damage and loaders.text_of(run) is None:
        st.caption("Its text is no longer here: it can be looked at and written with, but not trained further.")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if run.rung_key in RUNGS and not run.damage:
            st.page_link(
                rung_page(run.rung_key), label="Open", icon=":material/open_in_new:", query_params={"run": run.slug}
            )
        if run.usable:
            st.page_link("use/write.py", label="Write", icon=":material/edit_note:", query_params={"run": run.slug})
        if not run.damage:
            downloads(run)
            report_form([run])
        theirs = not run.shipped and owners.acting().may_change(run.owner)
        if theirs:
            name_and_note(run)
        if theirs and run.state in (State.QUEUED, State.RUNNING, State.PAUSED):
            button("Stop", ":material/stop:", "stop", run, "Keeps the weights.")
        if run.state in (State.STOPPED, State.FAILED, State.LOST) and theirs and not run.damage:
            button("Resume", ":material/play_arrow:", "resume", run, "Goes on where it was.")
        if theirs:
            button(
                "Unpin" if run.pinned else "Pin", ":material/keep:", "pin", run, "Keeps it at the head of the table."
            )
        if theirs and not run.state.active:
            with st.popover("Delete", icon=":material/delete:", help="Asks first."):
                st.checkbox(
                    f"Yes, delete {wording.plain(run.label)} for good",
                    key=f"runs.sure.{run.slug}",
                    help="Deletes its folder with weights, curves and text.",
                )
                sure = st.session_state.get(f"runs.sure.{run.slug}")
                button("Delete", ":material/delete:", "delete", run, "Asks first: tick the box.", disabled=not sure)
    if not run.damage:
        with st.expander("Again, with one thing changed", icon=":material/call_split:"):
            fork_form(run.slug)


def facts(run: Run) -> str:
    """A run's state, its loss and how far it came, as Markdown."""
    s = run.status
    parts = [] if s.val_loss is None else [f"val {wording.loss(s.val_loss)}"]
    if weights_only(run):
        parts.insert(0, "weights only")
    elif s.step:
        parts.append(f"step {s.step:,} of {s.of:,}")
    return f"{state_badge(run)} {', '.join(parts)}"


def name_and_note(run: Run) -> None:
    """Let a run be named, and a note be kept with it."""
    with st.popover("Name, note", icon=":material/edit:", help="What it is called, and what to remember of it."):
        with st.form("runs.rename", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                "New name",
                run.given,
                key=f"runs.name.{run.slug}",
                max_chars=60,
                help="Shown everywhere; the address stays.",
            )
            st.form_submit_button("Rename", on_click=act, args=("rename", run.slug), help="Give it this name.")
        with st.form("runs.note", border=False):
            st.text_area(
                "Note",
                run.note,
                key=f"runs.note.{run.slug}",
                max_chars=layout.LONGEST_NOTE,
                height=140,
                width=420,
                help="What you want to remember of this run; it stands at the top of its report.",
            )
            st.form_submit_button("Keep", on_click=act, args=("note", run.slug), help="Keeps the note with the run.")


def button(label: str, icon: str, action: str, run: Run, help: str, disabled: bool = False) -> None:
    """A button that acts on a run."""
    key = f"runs.{action}"
    st.button(label, icon=icon, key=key, on_click=act, args=(action, run.slug), help=help, disabled=disabled)


def several(together: Sequence[Run]) -> None:
    """What can be done with several runs."""
    st.markdown(f"**{len(together)} runs**")
    slugs = [run.slug for run in together]
    who = owners.acting()
    own = [run for run in together if not run.shipped and who.may_change(run.owner) and not run.state.active]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(slugs) <= MOST and not any(run.damage for run in together):
            query = {state.RUNS: ",".join(slugs)}
            st.page_link("use/compare.py", label="Compare", icon=":material/compare_arrows:", query_params=query)
            st.download_button(
                "Curves (.csv)",
                lambda: export.curves_of(together),
                "curves.csv",
                "text/csv",
                icon=":material/download:",
                help="The curves of all these runs in one table, a line a step.",
            )
            report_form(together)
        if own:
            sure = st.checkbox(
                f"Yes, delete {wording.counted(len(own))} for good",
                key=f"runs.sure.{zlib.crc32(' '.join(slugs).encode())}",
                help="Deletes their folders. Runs under way and those that ship are left alone.",
            )
            st.button(
                "Delete all",
                icon=":material/delete:",
                key="runs.delete-all",
                disabled=not sure,
                on_click=delete_all,
                args=([run.slug for run in own],),
                help="Asks first: tick the box.",
            )


state.notices()
found = mine.shown(reading.list_runs(shipped=True))
if not found:
    st.info("No runs yet. Every training you start is kept here.", icon=":material/inbox:")
    link_to_first_rung()
    bring_in()
    st.stop()
passing = filtered(found)
card = st.container(key="runs-card")
listed = turned(passing)
differing = settings_that_differ(listed)
told = [name for name in COLUMNS if name != "owner" or any(run.owner != owners.GUEST for run in listed)]
table = pd.DataFrame([row(run) for run in listed], columns=list(COLUMNS)).assign(**differing)
ahead = [name for name in AHEAD if name not in ("pinned", "handle") or table[name].any()]
order = [*ahead, *differing, *(name for name in told if name not in AHEAD)]
table["started"] = pd.to_datetime(table["started"], errors="coerce", utc=True, format="ISO8601")
of_settings = {
    name: st.column_config.TextColumn(name.partition(".")[2], width=84, help=f"The setting {name}.")
    for name in differing
}
event = st.dataframe(
    table[order],
    column_config={**COLUMNS, **of_settings},
    hide_index=True,
    placeholder="–",
    on_select="rerun",
    selection_mode=["multi-row", "single-cell"],
    key=f"runs.table.{zlib.crc32(' '.join(run.slug for run in listed).encode())}",  # a new list forgets the old choice
)
ticked = [listed[i] for i in event.selection.rows if i < len(listed)]
clicked = [listed[i] for i, _ in event.selection.get("cells", []) if i < len(listed)]
if clicked and not ticked and clicked[0].slug != st.session_state.get("runs.clicked"):
    st.session_state["runs.clicked"] = clicked[0].slug
    chosen.choose(clicked[0].slug)
    st.rerun()  # the sidebar names it
st.session_state["runs.clicked"] = clicked[0].slug if clicked else None
asked = chosen.chosen()
looked_at = [run for run in passing if run.slug == asked]
opened = ticked or clicked or looked_at or listed[:1]
with card, st.container(border=True):
    if not opened:
        st.caption("No run is left by these filters.")
    elif len(opened) == 1:
        one(control.look_after(opened[0]))
    else:
        several(opened)
st.caption("Click a run to see its card above, on every page; tick several to compare them.")
if busy := [run for run in passing if run.state.active]:
    watch(busy)
else:
    cluster_panel([])
bring_in()
