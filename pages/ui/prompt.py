"""The prompt of the pages that look inside: one text for all of them, in the URL as `?prompt=`."""

from dataclasses import dataclass

import streamlit as st

from core.config import LONGEST_TEXT
from core.corpus import CharTokenizer
from pages.ui import state, tell
from pages.ui.charts import visible
from pages.ui.words import inline

LONGEST = LONGEST_TEXT
USUAL = "ROMEO:\nI love thee well.\n\nJULIET:\nI love thee too.\n\nROMEO:\nI l"


@dataclass(frozen=True)
class Prompt:
    """What was typed, as the model reads it."""

    text: str
    """The last characters that fit the window; every one is in the alphabet."""
    ids: tuple[int, ...]


def prompt_box(tokenizer: CharTokenizer, window: int) -> Prompt | None:
    """Draw the box and return its text, or None, with one line that says why, if there is nothing to show.

    Characters that the model does not know are named and can be left out; a text longer than `window` is cut to its
    end, and the part that is shown is named.
    """
    if asked := st.query_params.get(state.PROMPT):
        if st.session_state.get("prompt.asked") != asked:
            st.session_state[state.PROMPT] = asked[:LONGEST]
        st.session_state["prompt.asked"] = asked
    st.session_state.setdefault(state.PROMPT, USUAL)
    typed = st.text_area(
        "Prompt",
        key=state.PROMPT,
        height=146,
        max_chars=LONGEST,
        persist_state="session",
        on_change=_to_url,
        help="The text that the model reads. Ctrl + Enter, or a click elsewhere, takes it over.",
    )
    if not typed:
        st.info(
            "The prompt is empty. Give at least one character, such as a line break.", icon=":material/keyboard_return:"
        )
        return None
    if unknown := tokenizer.unknown(typed):
        tell.warning(
            f"This model has never seen {' '.join(visible(c) for c in unknown[:20])}.", icon=":material/spellcheck:"
        )
        if not st.checkbox("Leave them out", True, key="prompt.drop", help="Reads the prompt without them."):
            return None
        typed = tokenizer.drop_unknown(typed)
        if not typed:
            st.info("Nothing is left of the prompt. Give characters of the text’s own alphabet.")
            return None
    if len(typed) > window:
        start = "".join(visible(c) for c in typed[-window:][:20])
        st.caption(
            f"The prompt has {len(typed):,} characters; shown are its last {window:,}, what the model can look back "
            f"on: from {inline(start)} on."
        )
        typed = typed[-window:]
    return Prompt(typed, tuple(tokenizer.encode(typed)))


def _to_url() -> None:
    text = st.session_state[state.PROMPT]
    st.session_state["prompt.asked"] = text
    if text:
        st.query_params[state.PROMPT] = text
    else:
        st.query_params.pop(state.PROMPT, None)
