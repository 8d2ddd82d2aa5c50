"""Let a trained model write."""

import time

import streamlit as st

from core.errors import BardlabError
from core.runs import records
from core.runs.openings import openings
from core.sampling import SamplingConfig, generate
from pages.turns import DRAWING
from pages.ui import loaders, state, tell
from pages.ui.choosers import in_view, runs
from pages.ui.choosers.prompt import LONGEST, begin, known
from pages.ui.choosers.run import run_picker
from pages.ui.choosers.weights import into_url
from pages.ui.navigation import link_to_first_rung
from pages.ui.run.config_form import settings_widgets
from pages.ui.wording import plain

PROMPT = "write.prompt"
SEED = state.setting_key("write", "", "seed")
USUAL = 0.8
"""The temperature that a text is written at, unless another is chosen: the same as on Prediction and Side by side."""
REDRAW = 0.08  # seconds between two redraws of the growing text
SENT = 100_000  # characters of it a second at most, as each redraw sends all of it

state.notices()
usable = runs.usable_runs()
if not usable:
    st.info("No model has been trained yet. Train one first: the bigram takes seconds.", icon=":material/edit_off:")
    link_to_first_rung()
    st.stop()
best = runs.best_of_the_text(list(usable.values()))
left, right = st.columns([2, 3], gap="large")
with left:
    run = run_picker(
        "Model",
        usable,
        best.slug,
        runs.named,
        "Any run with saved weights, finished or not.",
    )
    default = openings(run).line
    begin(PROMPT, default, st.query_params.get(state.PROMPT))
    prompt = st.text_area(
        "Prompt",
        key=PROMPT,
        persist_state="session",
        height=90,
        max_chars=LONGEST,
        help="The model goes on from here. It knows the characters of its own text only.",
    )
    config_values = in_view.settings(
        "write", SamplingConfig, {"temperature": USUAL}, lambda: settings_widgets("write", SamplingConfig)
    )
    into_url(state.PROMPT, prompt, default)
    st.session_state[f"{PROMPT}.asked"] = st.query_params.get(state.PROMPT)


def start() -> None:
    """Start a new text; again with the same seed would be the same text again, so it takes the next."""
    seed = st.session_state.get(SEED)
    if seed is not None and seed == st.session_state.get("write.used"):
        seed = st.session_state[SEED] = (seed + 1) % 2**31
    st.session_state["write.used"] = seed
    st.session_state["writing"] = True
    st.session_state["written"] = ""


def end() -> None:
    """Keep what there is."""
    st.session_state["writing"] = False


with right:
    try:
        config = SamplingConfig.parse(config_values)
        model, tokenizer = loaders.model(run)
    except BardlabError as error:
        tell.error(str(error), icon=":material/error:")
        st.stop()
    prompt = known(prompt, tokenizer, PROMPT, default)
    ready = bool(prompt)
    with st.container(horizontal=True):
        st.button(
            "Write",
            type="primary",
            icon=":material/play_arrow:",
            on_click=start,
            disabled=not ready,
            key="write.go",
            help="Draws one character after another from the model. Pressed again, it takes the next seed.",
        )
        st.button(
            "Stop",
            icon=":material/stop:",
            on_click=end,
            disabled=not st.session_state.get("writing"),
            key="write.stop",
            help="Keeps what has been written so far.",
        )
    with st.container(key="paper"):
        paper = st.empty()
        note = st.empty()

    def show() -> None:
        """Draw the prompt and what follows it."""
        paper.code(
            st.session_state.get("prompted", "") + st.session_state.get("written", "") or " ",
            language=None,
            wrap_lines=True,
        )

    if st.session_state.get("writing") and ready:
        st.session_state["prompted"] = prompt
        st.session_state["written"] = ""
        DRAWING.leave()
        began = drawn = time.perf_counter()
        count = 0
        for choice in generate(model, tokenizer.encode(prompt), config, fast=True):
            st.session_state["written"] += tokenizer.decode([choice.id])
            count += 1
            length = len(prompt) + count
            if (now := time.perf_counter()) - drawn > max(REDRAW, length / SENT):
                drawn = now
                show()
                note.caption(f"{count:,} of {config.tokens:,} characters, {count / (now - began):.0f} a second")
        took = time.perf_counter() - began
        st.session_state["writing"] = False
        st.session_state["wrote"] = f"{count} characters by {run.name}, {count / took:.0f} a second, seed {config.seed}"
        st.rerun()
    elif st.session_state.get("written"):
        show()
        note.caption(plain(st.session_state.get("wrote", "stopped")))
    else:
        latest = records.samples(run.path)[-1:]
        for sample in latest:
            paper.code(sample.prompt + sample.text, language=None, wrap_lines=True)
            note.caption(f"What it wrote at step {sample.step:,} of its training. Press Write for a text of your own.")
        if not latest:
            paper.caption("Press Write.")
