"""Text boxes that a model reads: each begins with a piece of the run's own text, and says what the model cannot read.

The prompt of the pages that look inside is one for all of them, in the URL as `?prompt=`.
"""

from dataclasses import dataclass

import streamlit as st

from core.runs.openings import openings
from core.runs.state import Run
from core.settings import LONGEST_TEXT
from core.texts.labels import numbered, spelled
from core.texts.tokenizer import CharTokenizer
from pages.ui import state
from pages.ui.wording import inline

LONGEST = LONGEST_TEXT
"""Characters that a box takes, from the keyboard or from the URL."""


@dataclass(frozen=True)
class Prompt:
    """What was typed, as the model reads it."""

    text: str
    """The last characters that fit the window; every one is in the alphabet."""
    ids: tuple[int, ...]


def begin(key: str, default: str, asked: str | None = None, longest: int = LONGEST) -> None:
    """Fill a text box before it is drawn: with what the URL newly asks, else what was typed, else the default.

    A box that still holds an earlier default takes the new one, so that it begins with the text of the run shown.
    """
    given, followed = f"{key}.given", f"{key}.asked"
    if asked is not None and st.session_state.get(followed) != asked:
        st.session_state[key], st.session_state[followed] = asked[:longest], asked
    elif key not in st.session_state or st.session_state.get(given) == st.session_state[key]:
        st.session_state[key] = st.session_state[given] = default[:longest]


def known(text: str, tokenizer: CharTokenizer, key: str, default: str = "") -> str:
    """Return what a model can read of a text typed into the box `key`; nothing, with a word why, if there is nothing.

    Characters that it has never seen are named and left out if the learner agrees. `default` is offered instead of a
    text of which nothing is left.
    """
    unknown = tokenizer.unknown(text)
    if unknown:
        st.warning(f"This model has never seen {inline(numbered(unknown))}.", icon=":material/spellcheck:")
        drop = st.checkbox("Leave them out", True, key=f"{key}.drop", help="Goes on with the text without them.")
        if not drop:
            return ""
        text = tokenizer.drop_unknown(text)
    if not text:
        st.info(
            "Nothing is left, the text is empty without them. Give characters of the model’s own text."
            if unknown
            else "The text is empty. Give at least one character, such as a line break.",
            icon=":material/keyboard_return:",
        )
        if default:
            st.button(
                "Begin with its own text",
                icon=":material/restart_alt:",
                key=f"{key}.own",
                on_click=_put_back,
                args=(key, default),
                help="Puts a piece of the text that the model was trained on into the box.",
            )
    return text


def _put_back(key: str, default: str) -> None:
    st.session_state[key] = st.session_state[f"{key}.given"] = default


def prompt_box(run: Run, tokenizer: CharTokenizer, window: int | None) -> Prompt | None:
    """Draw the box and return its text, or None, with one line that says why, if there is nothing to show.

    A text longer than `window` is cut to its end, and the part that is shown is named. None cuts nothing.
    """
    usual = openings(run).passage
    begin(state.PROMPT, usual, st.query_params.get(state.PROMPT))
    typed = st.text_area(
        "Prompt",
        key=state.PROMPT,
        height=68,
        max_chars=LONGEST,
        persist_state="session",
        on_change=_to_url,
        help="The text that the model reads. Ctrl + Enter, or a click elsewhere, takes it over.",
    )
    text = known(typed, tokenizer, state.PROMPT, usual)
    if not text:
        return None
    if window is not None and len(text) > window:
        start = inline(spelled(text[-window:][:20]))
        st.caption(
            f"The prompt has {len(text):,} characters; shown are its last {window:,}, what the model can look back "
            f"on: from {start} on."
        )
        text = text[-window:]
    return Prompt(text, tuple(tokenizer.encode(text)))


def _to_url() -> None:
    text = st.session_state[state.PROMPT]
    st.session_state[f"{state.PROMPT}.asked"] = text
    if text:
        st.query_params[state.PROMPT] = text
    else:
        st.query_params.pop(state.PROMPT, None)
