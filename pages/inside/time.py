"""The time machine: one slider over a run's snapshots moves everything that can be seen of it."""

import math

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.errors import BardlabError
from core.inspect.attention import rungs_with_attention
from core.inspect.embeddings import aligned_maps
from core.inspect.history import Answer, Portrait, careers, film_csv, milestones
from core.ladder.registry import RUNGS
from core.runs import layout, reading, records
from core.runs.metrics import TRAIN_LOSS, VAL_LOSS
from core.runs.state import Run
from pages.ui import loaders, state, tell
from pages.ui.address import number_from_url
from pages.ui.choosers.prompt import Prompt, prompt_box
from pages.ui.choosers.runs import choose_run
from pages.ui.components.charts.time_machine import Film, Frame, film_id, time_machine
from pages.ui.inside_views.links import inside_links
from pages.ui.inside_views.over_steps import character_by_step
from pages.ui.navigation import rung_page
from pages.ui.plots.colours import place_of
from pages.ui.wording import GONE, plain

BOARD = 64  # characters of the prompt whose attention travels with every snapshot


def snapshots(run: Run, prompt: Prompt) -> tuple[list[Portrait], list[Answer]]:
    """Look at every snapshot of a run; one that has gone or cannot be read is named and left out."""
    steps = layout.snapshot_steps(run.path)
    shown = min(BOARD, len(prompt.ids)) if run.rung_key in rungs_with_attention() else 0
    portraits, answers, lost = [], [], []
    progress = st.empty()
    for done, step in enumerate(steps):
        try:
            portrait, answer = loaders.portrait(run, step), loaders.answer(run, step, prompt.ids, shown)
        except (BardlabError, OSError):
            lost.append(step)
            continue
        portraits.append(portrait)
        answers.append(answer)
        progress.progress((done + 1) / len(steps), f"Looking at snapshot {done + 1:,} of {len(steps)}")
    progress.empty()
    if lost:
        named = ", ".join(f"{step:,}" for step in lost[:6]) + (" and more" if len(lost) > 6 else "")
        st.warning(f"Left out, because gone or damaged: the snapshot of step {named}.", icon=":material/broken_image:")
    return portraits, answers


def film(run: Run, prompt: Prompt, portraits: list[Portrait], answers: list[Answer], hidden: list[str]) -> Film:
    """Put together what the snapshots show; `hidden` names the layers whose activations they hold."""
    config, read = run.need(), loaders.reader(run)
    train, val = read.curve(TRAIN_LOSS), read.curve(VAL_LOSS)
    losses = dict(zip(val[0].tolist(), val[1].tolist(), strict=True))
    samples = records.samples(run.path)
    tables = [portrait.vectors for portrait in portraits if portrait.vectors is not None]
    places = aligned_maps(tables) if len(tables) == len(portraits) else [None] * len(portraits)
    frames = [
        Frame(
            portrait.step,
            losses.get(portrait.step),
            place,
            answer,
            next((sample for sample in reversed(samples) if sample.step <= portrait.step), None),
        )
        for portrait, place, answer in zip(portraits, places, answers, strict=True)
    ]
    corpus = loaders.text_of(run)
    marks = loaders.corpus_landmarks(corpus.sha256, corpus.name) if corpus else []
    bigram = next((mark.value for mark in marks if mark.key == "bigram"), math.nan)
    followed = careers(portraits, config.characters)
    steps = [portrait.step for portrait in portraits]
    return Film(
        film_id(run.slug, read.generation, prompt.ids),
        max(run.status.of, *steps),
        config.characters,
        prompt.text[-BOARD:],
        frames,
        followed,
        milestones(val, samples, bigram, steps, followed),
        train,
        val,
        bigram,
        place_of(run),
        hidden,
    )


@st.fragment
def look() -> None:
    """Draw the page; a new prompt, or a look at a running run, draws only this anew."""
    left, right = st.columns([2, 3], gap="medium")
    with left:
        run = choose_run()
    if layout.snapshot_steps(run.path):
        machine(run, right)
        inside_links(run)
    elif run.state.active:
        st.info("The first snapshot of this run is not there yet; it appears here.", icon=":material/hourglass_empty:")
        waiting(run.slug)
    else:
        st.info(
            f"{plain(run.name)} kept no snapshots (`train.snapshots` is {run.need().train.snapshots:d}). Train it "
            "again with `train.snapshots` at 20, under More settings, to look back through it here.",
            icon=":material/history_toggle_off:",
        )
        title = RUNGS[run.rung_key].title
        st.page_link(rung_page(run.rung_key), label=f"{title}: train one", icon=":material/play_arrow:")


def machine(run: Run, beside: DeltaGenerator) -> None:
    """Draw the prompt, in the place given, and the machine."""
    try:
        kept = layout.snapshot_steps(run.path)
        model, tokenizer = loaders.model(run, kept[-1] if kept else None)
    except (BardlabError, OSError) as error:
        tell.error(f"{error}. Choose another run above.", icon=":material/folder_off:")
        return
    with beside:
        prompt = prompt_box(run, tokenizer, model.context)
    if prompt is None:
        return
    portraits, answers = snapshots(run, prompt)
    if not portraits:
        st.error("None of this run's snapshots can be read. Choose another run above.", icon=":material/broken_image:")
        return
    if len(portraits) == 1:
        st.caption("This run kept a single snapshot: there is nothing to move. More: raise `train.snapshots`.")
    steps = [portrait.step for portrait in portraits]
    start = number_from_url("step")
    shown = film(run, prompt, portraits, answers, [bend.layer for bend in model.nonlinearities()])
    time_machine(shown, live=run.state.active, start=start, key="time-machine")
    if start is not None and start not in steps:
        st.caption(f"The address asks for step {start:,}; its weights were not kept, so the nearest snapshot is shown.")
    if loaders.text_of(run) is None:
        st.caption(f"What heads look for, and the counted bigram’s loss, are measured on the run’s text: {GONE}")
    if run.rung_key not in rungs_with_attention():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"A {RUNGS[run.rung_key].title} has no attention to show. With attention:", width="content")
            for key in rungs_with_attention():
                st.page_link(rung_page(key), label=RUNGS[key].title)
    character_by_step(run, tokenizer, prompt, portraits, answers)
    st.download_button(
        "Numbers (.csv)",
        lambda: film_csv(portraits, answers, shown.careers, tokenizer.chars),
        f"time-{run.path.name}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="One line a number: step, what it is (the next character's probability, or a career), of which, value.",
    )


@st.fragment(run_every=2.0)
def waiting(slug: str) -> None:
    """Look whether a run has its first snapshot by now."""
    try:
        run = reading.find(slug)
    except BardlabError:  # deleted meanwhile
        st.rerun()
    if layout.snapshot_steps(run.path):
        st.rerun()


state.notices()
look()
st.caption(
    "Copies of the weights are kept along a run. Move the slider, or press Play: the loss, the character vectors, the "
    "next character after your prompt, what the model writes and what its heads look for all move together."
)
