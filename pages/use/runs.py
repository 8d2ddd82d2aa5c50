"""All runs: open, rename, stop, resume, delete."""

import zlib

import pandas as pd
import streamlit as st

from core import jobs, runs
from core.errors import BardlabError
from core.export import training_plot
from core.interchange import export_pth, import_pth, unlike_reference
from core.runs import Run, State
from core.stages import STAGES
from pages.ui import state, words
from pages.ui.page_table import rung_page

COLUMNS = {
    "name": st.column_config.TextColumn("Run", help="What it is called; rename it below."),
    "state": st.column_config.TextColumn(
        "State", help="Queued, running, stopping, finished, stopped, failed, lost or damaged."
    ),
    "stage": st.column_config.TextColumn("Rung", help="The rung of the ladder."),
    "parameters": st.column_config.NumberColumn("Parameters", format="localized", help="Trained numbers."),
    "validation": st.column_config.NumberColumn(
        "Val loss", width="small", format="%.4f", help="Nats a character, whole split, latest."
    ),
    "minutes": st.column_config.NumberColumn(
        "Minutes", width="small", format="%.1f", help="Time spent on it, evaluations included."
    ),
    "device": st.column_config.TextColumn("Device", width="small", help="Where it was computed."),
    "started": st.column_config.DatetimeColumn("Made", width="small", format="distance", help="When it was made."),
}


def state_in_words(run: Run) -> str:
    """Running, and how far."""
    if run.damage:
        return "damaged"
    return f"{run.state} {run.status.step / run.status.of:.0%}" if run.state is State.RUNNING else str(run.state)


def row(run: Run) -> dict[str, object]:
    """One line of the table."""
    s = run.status
    return {
        "name": run.name,
        "state": state_in_words(run),
        "stage": STAGES[run.stage].title if run.stage in STAGES else "–",
        "parameters": s.parameters,
        "validation": s.val_loss,
        "minutes": s.seconds / 60,
        "device": words.device(s.device),
        "started": pd.Timestamp(run.config.created) if run.config else None,
    }


def act(action: str, slug: str) -> None:
    """Do what a button says, and say what came of it."""
    try:
        run = runs.find(slug)
        if action == "stop":
            jobs.stop(run)
        elif action == "resume":
            jobs.start(run)
        elif action == "delete":
            runs.delete(run)
        elif action == "rename":
            runs.rename(run, st.session_state["runs.name"])
        state.say_next(
            {"stop": "Stopping after the step", "resume": "Resumed"}.get(action, f"{action.capitalize()}d")
            + f": {run.name}"
        )
    except BardlabError as error:
        state.say_error(str(error))


@st.fragment(run_every=2.0)
def watch(slugs: list[str]) -> None:
    """Draw the page again as soon as a run has ended."""
    if not any(r.state.active for r in runs.list_runs() if r.slug in slugs):
        st.rerun()


@st.fragment
def bring_in() -> None:
    """Turn an uploaded reference GPT into a run."""
    with st.expander("Import a reference GPT (.pth)", icon=":material/upload:"):
        file = st.file_uploader(
            "A `.pth` with the state dict of the reference character GPT",
            type=["pth", "pt"],
            max_upload_size=500,
            key="runs.upload",
            help="Read without running anything that is in it; its sizes are read off the shapes of its weights.",
        )
        if file is not None and st.button("Import", key="runs.import", help="Measures its loss, then it is a run."):
            try:
                with st.spinner("Reading the weights and measuring their validation loss"):
                    run = import_pth(file.getvalue(), file_name=file.name)
            except BardlabError as error:
                st.error(str(error), icon=":material/error:")
            else:
                state.say_next(f"Imported as {run.name}: validation loss {words.loss(run.status.val_loss)}")
                st.rerun()


def downloads(run: Run) -> None:
    """What other programs can use."""
    if run.status.step:
        st.download_button(
            "Plot",
            lambda: training_plot(run).read_bytes(),
            f"{run.path.name}-training_plot.png",
            "image/png",
            icon=":material/show_chart:",
            help="The curves as a picture, with axes named.",
        )
    if run.usable and not unlike_reference(run.need().model_config_):
        st.download_button(
            "Weights (.pth)",
            lambda: export_pth(run).read_bytes(),
            "microGPT_model.pth",
            icon=":material/download:",
            help="The reference GPT's own state dict: its class loads it as it is.",
        )


state.notices()
found = runs.list_runs(shipped=True)
if not found:
    st.info("No runs yet. Every training you start is kept here.", icon=":material/inbox:")
    st.page_link("ladder/bigram.py", label="Train a bigram: it takes seconds", icon=":material/play_arrow:")
    bring_in()
    st.stop()
st.caption("Choose a run in the table to open, rename, stop, resume or delete it.")
event = st.dataframe(
    pd.DataFrame([row(run) for run in found]),
    column_config=COLUMNS,
    hide_index=True,
    on_select="rerun",
    selection_mode="single-row",
    key=f"runs.table.{zlib.crc32(' '.join(run.slug for run in found).encode())}",  # a new list forgets the old choice
)
busy = [run.slug for run in found if run.state.active]
if busy:
    watch(busy)
chosen = event.selection.rows
if chosen and chosen[0] < len(found):
    run = found[chosen[0]]
    with st.container(border=True):
        st.markdown(f"**{run.name}** · `{run.slug}`")
        if run.damage:
            st.error(
                f"Damaged: {run.damage}. It cannot be opened; the others are not affected.",
                icon=":material/broken_image:",
            )
        elif run.status.message:
            st.caption(run.status.message)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            if run.stage in STAGES and not run.damage:
                st.page_link(
                    rung_page(run.stage), label="Open", icon=":material/open_in_new:", query_params={"run": run.slug}
                )
            if run.usable:
                st.page_link(
                    "use/write.py",
                    label="Write with it",
                    icon=":material/edit_note:",
                    query_params={"run": run.slug},
                )
            if not run.damage:
                downloads(run)
            if run.state in (State.QUEUED, State.RUNNING):
                st.button(
                    "Stop",
                    icon=":material/stop:",
                    key="runs.stop",
                    on_click=act,
                    args=("stop", run.slug),
                    help="Keeps the weights.",
                )
            if run.state in (State.STOPPED, State.FAILED, State.LOST) and not run.shipped and not run.damage:
                st.button(
                    "Resume",
                    icon=":material/play_arrow:",
                    key="runs.resume",
                    on_click=act,
                    args=("resume", run.slug),
                    help="Goes on where it was.",
                )
            if not run.shipped and not run.state.active:
                st.checkbox(
                    f"Yes, delete {run.name} for good",
                    key=f"runs.sure.{run.slug}",
                    help="Deletes its folder with weights, curves and text.",
                )
                st.button(
                    "Delete",
                    icon=":material/delete:",
                    key="runs.delete",
                    disabled=not st.session_state.get(f"runs.sure.{run.slug}"),
                    on_click=act,
                    args=("delete", run.slug),
                    help="Asks first: tick the box.",
                )
        if not run.shipped:
            with st.form("runs.rename", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
                st.text_input(
                    "New name", run.name, key="runs.name", max_chars=60, help="Shown everywhere; the address stays."
                )
                st.form_submit_button("Rename", on_click=act, args=("rename", run.slug), help="Give it this name.")
bring_in()
