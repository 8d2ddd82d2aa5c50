"""Attention: every head of a run at once, one head, one query, and the text they shade."""

from dataclasses import replace
from functools import partial

import numpy as np
import streamlit as st

from core.errors import BardlabError
from core.inspect.attention import rungs_with_attention, weights_csv, window
from core.inspect.heads import HeadScores, Kind
from core.inspect.interventions import price_list
from core.inspect.interventions.ablation import METHODS
from core.jobs import rankings
from core.ladder.registry import RUNGS
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Run
from pages.ui import loaders, state, teaching, tell
from pages.ui.choosers import chosen, mine, runs
from pages.ui.choosers.prompt import Prompt, prompt_box
from pages.ui.choosers.run import run_picker
from pages.ui.choosers.weights import choose_weights
from pages.ui.components.grids.attention_board import URL_NAMES, BoardView, attention_board, board_page
from pages.ui.inside_views.links import inside_links
from pages.ui.navigation import rung_page
from pages.ui.wording import GONE, plain


def rungs() -> None:
    """Link to the rungs whose models attend."""
    for key in rungs_with_attention():
        st.page_link(rung_page(key), label=f"{RUNGS[key].title}: train one", icon=":material/play_arrow:")


def choose() -> Run | None:
    """Draw the run picker; None, with the reason, if the run has no attention to show."""
    everything = {run.slug: run for run in mine.shown(reading.list_runs(shipped=True)) if not run.damage}
    attending = [slug for slug, run in everything.items() if run.rung_key in rungs_with_attention()]
    asked = everything.get(chosen.chosen() or "")
    if asked is not None and asked.rung_key not in rungs_with_attention():
        title = RUNGS[asked.rung_key].title
        with_it = ", ".join(RUNGS[key].title for key in rungs_with_attention())
        tell.info(
            f"{asked.name} is a {title}: its layers have no attention to show. With attention: {with_it}.",
            icon=":material/visibility_off:",
        )
    elif not attending:
        st.info("No run with attention yet. A small Transformer trains in seconds.", icon=":material/visibility_off:")
    if not attending or (asked is not None and asked.slug not in attending):
        rungs()
        for slug in attending[:5]:
            st.page_link("inside/attention.py", label=plain(everything[slug].name), query_params={state.RUN: slug})
        return None
    usable = [slug for slug in attending if everything[slug].usable]
    return run_picker(
        "Run",
        {slug: everything[slug] for slug in attending},
        runs.best_of_the_text([everything[slug] for slug in usable or attending]).slug,
        lambda run: f"{run.label} · {run.state}",
        "Whose attention is shown: any run of a rung with attention, finished or not.",
    )


@st.fragment
def look() -> None:
    """Draw the page; a new prompt or a click draws only this anew."""
    left, middle, right = st.columns([5, 4, 7], gap="medium")
    with left:
        run = choose()
    if run is None:
        return
    with middle:
        step = choose_weights(run) if run.usable else None
    if not run.usable:
        when = "Look again in a moment" if run.state.active else "Train it first"
        tell.info(
            f"{run.name} has no weights yet: they are saved at its first evaluation. {when}.",
            icon=":material/hourglass_empty:",
        )
        return
    try:
        model, tokenizer = loaders.model(run, step)
        with right:
            prompt = prompt_box(run, tokenizer, window(model))
        again(run)
        if prompt is not None:
            show(run, step, prompt)
        inside_links(run)
    except BardlabError as error:
        tell.error(str(error), icon=":material/folder_off:")


def again(run: Run) -> None:
    """Offer the newest weights of a run under way."""
    if run.state in (State.RUNNING, State.QUEUED, State.STOPPING):
        st.button(
            "Look again", icon=":material/refresh:", key="attention.again", help="Shows the newest weights of this run."
        )


@teaching.part("prices")
def offer_prices(run: Run, step: int | None, known: bool) -> None:
    """Say that each head's price stands on the board, or offer to measure it; show a measurement under way."""
    job = rankings.read(run, step, METHODS[0])
    if job is not None and job.active:
        st.fragment(_progress, run_every=1.0)(run, step)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if known:
            st.caption(
                "Over each head: by how much the validation loss rises without it; the board sorts by it under Sort. "
                "A bright pattern is not yet an explanation: what a head is worth is measured by taking it away.",
                width="content",
            )
            return
        st.caption("What each head is worth has not been measured for these weights.", width="content")
        st.button(
            "Rank all heads",
            icon=":material/leaderboard:",
            key="attention.rank",
            on_click=_rank,
            args=(run, step),
            help="Switches off every part alone and measures the validation loss. A head that catches the eye may be "
            "worth nothing: attention is not explanation (Jain and Wallace 2019).",
        )
        if job is not None and job.state is State.FAILED:
            st.caption(f":red[{plain(job.message)}]", width="content")


def _progress(run: Run, step: int | None) -> None:
    job = rankings.read(run, step, METHODS[0])
    if job is None or not job.active:
        st.rerun()
    doing = f"{job.share:.0%}" if job.state is State.RUNNING else job.message
    st.progress(job.share, plain(f"Ranking heads: {doing}"))


def _rank(run: Run, step: int | None) -> None:
    try:
        rankings.start(run, step, METHODS[0])
    except state.PROBLEMS as error:
        state.say_error(error)


def sharpest(scores: HeadScores | None) -> tuple[tuple[int, int], Kind] | None:
    """The head that does one nameable thing most purely, and what it does; None if every head is mixed.

    One that looks at its own place teaches least: it is taken only if there is no other.
    """
    if scores is None:
        return None
    named = []
    for layer, head in np.ndindex(*scores.entropy.shape):
        if (kind := scores.label(layer, head)) is not None:
            lift = float(scores.lift[scores.kinds.index(kind), layer, head])
            named.append((kind.key != "self", lift, (layer, head), kind))
    return max(named, key=lambda each: each[:2])[2:] if named else None


def show(run: Run, step: int | None, prompt: Prompt) -> None:
    """Draw the board and what can be saved of it."""
    shown = run.status.checkpoint_step or 0 if step is None else step
    maps, packed = loaders.attention(run, step, prompt.ids)
    scores = loaders.head_scores(run, step)
    worth = price_list.prices(run, step)
    if scores is None:
        st.caption(f"What each head looks for is measured on the run’s text: {GONE}")
    asked = BoardView.parse({name: st.query_params.get(name) for name in URL_NAMES}, *packed.shape)
    first = sharpest(scores)
    if first is not None:
        (layer, head), kind = first
        st.caption(
            f"Each row is a letter that asks; bright is where it looks. Begin with layer {layer:d}, head {head:d}, "
            f"which looks for: {plain(kind.title)}. {plain(kind.help)}"
        )
        if not asked.heads:
            asked = replace(asked, heads=((layer, head),))
    view = attention_board(
        packed,
        prompt.text,
        maps,
        scores=scores,
        prices=worth,
        view=asked,
        key="attention",
    )
    locked = view if first is None or view.heads != (first[0],) else replace(view, heads=())
    for name in URL_NAMES:
        if value := locked.to_query().get(name):
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)
    offer_prices(run, step, worth is not None)
    layers, heads, _ = packed.shape
    every = [(layer, head) for layer in range(layers) for head in range(heads)]
    chosen = list(view.heads or every[:1])
    name = f"attention-{run.path.name}"
    with st.container(horizontal=True):
        st.download_button(
            "Page (.html)",
            lambda: board_page(
                packed,
                prompt.text,
                maps,
                scores=scores,
                prices=worth,
                view=view,
                title=f"Attention of {run.name}",
                about=f"{RUNGS[run.rung_key].title}, step {shown:,}.",
            ),
            f"{name}.html",
            "text/html",
            icon=":material/download:",
            on_click="ignore",
            help="All of this in one file that opens without a network, and answers to the pointer as here.",
        )
        for label, wanted in (("Weights of the chosen heads (.csv)", chosen), ("Weights of all heads (.csv)", every)):
            st.download_button(
                label,
                partial(weights_csv, maps, prompt.text, wanted),
                f"{name}.csv",
                "text/csv",
                key=f"attention.csv.{label}",
                on_click="ignore",
                help="One line a weight: layer, head, query, key, their characters, weight, weight × ‖v W_O‖.",
            )


state.notices()
look()
st.caption("Point at anything to see it everywhere; a click locks it, and the address holds what is locked.")
