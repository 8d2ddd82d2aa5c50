"""Let a trained model write."""

import time

import streamlit as st

from core import runs
from core.config import LONGEST_TEXT
from core.errors import BardlabError
from core.sampling import SamplingConfig, generate
from pages.turns import DRAWING
from pages.ui import cached, state, tell
from pages.ui.charts import visible
from pages.ui.config_form import settings_widgets
from pages.ui.looking import named
from pages.ui.run_picker import run_picker
from pages.ui.words import plain

REDRAW = 0.08  # seconds between two redraws of the growing text
SENT = 100_000  # characters of it a second at most, as each redraw sends all of it

state.notices()
usable = {run.slug: run for run in runs.list_runs(shipped=True) if run.usable}
if not usable:
    st.info("No model has been trained yet. Train one first: the bigram takes seconds.", icon=":material/edit_off:")
    st.page_link("ladder/bigram.py", label="Train a bigram", icon=":material/play_arrow:")
    st.stop()
newest = next(iter(usable.values())).need().corpus_sha256  # the best of one text: losses on others are not comparable
alike = [run for run in usable.values() if run.need().corpus_sha256 == newest]
best = min(alike, key=lambda r: r.status.val_loss if r.status.val_loss is not None else 99.0)
left, right = st.columns([2, 3], gap="large")
with left:
    run = run_picker(
        "Model",
        usable,
        best.slug,
        named,
        "Any run with saved weights, finished or not.",
    )
    prompt = st.text_area(
        "Prompt",
        "ROMEO:\n",
        key="write.prompt",
        max_chars=LONGEST_TEXT,
        persist_state="session",
        height=90,
        help="The model goes on from here. It knows the characters of its own text only.",
    )
    config_values = settings_widgets("write", SamplingConfig)


def begin() -> None:
    """Start a new text."""
    st.session_state["writing"] = True
    st.session_state["written"] = ""


def end() -> None:
    """Keep what there is."""
    st.session_state["writing"] = False


with right:
    try:
        config = SamplingConfig.parse(config_values)
        model, tokenizer = cached.model(run)
    except BardlabError as error:
        tell.error(str(error), icon=":material/error:")
        st.stop()
    unknown = tokenizer.unknown(prompt)
    if unknown:
        names = " ".join(visible(c) for c in unknown)
        tell.warning(f"This model has never seen {names}.", icon=":material/spellcheck:")
        drop = st.checkbox("Leave them out", True, key="write.drop", help="Writes on from the prompt without them.")
        if drop:
            prompt = tokenizer.drop_unknown(prompt)
            unknown = ""
    ready = bool(prompt) and not unknown
    if not prompt:
        st.info(
            "The prompt is empty. Give at least one character, such as a line break.", icon=":material/keyboard_return:"
        )
    with st.container(horizontal=True):
        st.button(
            "Write",
            type="primary",
            icon=":material/play_arrow:",
            on_click=begin,
            disabled=not ready,
            key="write.go",
            help="Draws one character after another from the model.",
        )
        st.button(
            "Stop",
            icon=":material/stop:",
            on_click=end,
            disabled=not st.session_state.get("writing"),
            key="write.stop",
            help="Keeps what has been written so far.",
        )
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
        for choice in generate(model, tokenizer.encode(prompt), config):
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
        paper.caption("Press Write.")
