"""The text: what the models read, and how characters become numbers; and adding one of your own."""

import pandas as pd
import streamlit as st

from core import runs, texts
from core.config import LONGEST_TEXT
from core.corpus import TRAIN_SHARE, CharTokenizer, Corpus, character_class
from core.errors import BardlabError
from core.stages import STAGES
from pages.ui import cached, state
from pages.ui.charts import bars, visible
from pages.ui.page_table import rung_page
from pages.ui.text_picker import text_picker
from pages.ui.words import inline, plain, size

COMMONEST = 100  # more bars than these cannot be told apart
TYPED = 200  # characters shown as numbers, a column each


def keep(content: bytes, title: str) -> None:
    """Add the text and show it."""
    try:
        own = texts.add(content, title)
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    st.query_params[state.TEXT] = own.name
    st.session_state["texts.round"] = st.session_state.get("texts.round", 0) + 1  # an empty form next time
    state.say_next(f"Kept as {own.title}")


def drop(name: str, title: str) -> None:
    """Delete a text of one's own."""
    try:
        texts.delete(name)
        st.query_params.pop(state.TEXT, None)
        state.say_next(f"Deleted {title}")
    except state.PROBLEMS as error:
        state.say_error(error)


@st.fragment
def add_text() -> None:
    """Upload or paste, look at it, keep it."""
    number = st.session_state.get("texts.round", 0)
    with st.expander("Add a text of your own", icon=":material/upload_file:"):
        left, right = st.columns(2, gap="large")
        file = left.file_uploader(
            "A text file",
            max_upload_size=texts.LARGEST // 1_000_000,
            key=f"texts.file.{number}",
            help=f"Plain text in UTF-8, 1,000 characters or more, at most {size(texts.LARGEST)}. It stays on this "
            "machine, in data/own.",
        )
        pasted = right.text_area(
            "Or paste it",
            height=150,
            max_chars=texts.LARGEST,
            key=f"texts.paste.{number}",
            help="Used if no file is chosen.",
        )
        content = file.getvalue() if file is not None else pasted.encode("utf-8", "surrogatepass")
        if not content:
            st.caption("Any plain text will do: a book, letters, code, chess games, names. Longer is better.")
            return
        try:
            text = texts.check(content)
        except BardlabError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        alphabet = "".join(sorted(set(text)))
        cut = int(TRAIN_SHARE * len(text))
        figures(len(text), len(alphabet), cut, len(text) - cut)
        st.caption("Its alphabet")
        st.code("".join(visible(c) for c in alphabet), language=None, wrap_lines=True)
        st.caption("How it begins")
        st.code(text[:600], language=None, wrap_lines=True)
        if len(text) < 20_000:
            st.caption("Short: a model will learn it by heart before it learns how it is made.")
        suggested = file.name.rsplit(".", 1)[0] if file is not None else "My text"
        title = st.text_input(
            "What to call it",
            texts.clean_title(suggested),
            max_chars=texts.TITLE,
            key=f"texts.title.{number}.{texts.clean_title(suggested)}",
            help="Letters, digits and simple signs.",
        )
        if st.button("Keep this text", type="primary", key="texts.keep", help="Then any rung can train on it."):
            keep(content, title)
            st.rerun()


def figures(characters: int, alphabet: int, train: int, val: int) -> None:
    """The sizes of a text."""
    with st.container(horizontal=True, gap="medium"):
        st.metric("Characters", f"{characters:,}", help="Length of the whole text.")
        st.metric("Alphabet", f"{alphabet}", help="Distinct characters: the model's vocabulary.")
        st.metric("Training split", f"{train:,}", help="The first 90 %: what models learn from.")
        st.metric("Validation split", f"{val:,}", help="The last 10 %: what they are judged by, never trained on.")


def about(corpus: Corpus) -> None:
    """Where the text comes from, and what can be done with it."""
    if not texts.is_own(corpus.name):
        st.markdown(
            f"**{plain(corpus.title)}**: nine plays, rebuilt on this machine from a public-domain edition and checked "
            "to be the very file that every published result uses."
        )
        return
    trained = sum(1 for run in runs.list_runs() if run.config and run.config.corpus == corpus.name)
    made = {0: "No run", 1: "One run"}.get(trained, f"{trained} runs")
    st.markdown(f"**{plain(corpus.title)}**: a text of your own, {inline(corpus.name)}. {plain(made)} learned from it.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Train on it:", width="content")
        for key, stage in STAGES.items():
            st.page_link(rung_page(key), label=stage.title, icon=stage.icon, query_params={state.TEXT: corpus.name})
        sure = st.checkbox(
            "Yes, delete this text for good",
            key=f"texts.sure.{corpus.name}",
            help="Its runs stay, and can still write; to train them further, add the same text again.",
        )
        st.button(
            "Delete",
            icon=":material/delete:",
            key="texts.delete",
            disabled=not sure,
            on_click=drop,
            args=(corpus.name, corpus.title),
            help="Asks first: tick the box.",
        )


def to_numbers(corpus: Corpus, tokenizer: CharTokenizer) -> None:
    """Characters to numbers and back."""
    suffix = f".{corpus.name}" if texts.is_own(corpus.name) else ""
    start = corpus.text[:14].strip() or corpus.text[:1]
    st.subheader("From characters to numbers")
    typed = st.text_input(
        "Type something",
        start,
        key=f"corpus.typed{suffix}",
        max_chars=TYPED,
        bind="query-params",
        help="Each character has a number: its place in the alphabet.",
    )
    unknown = tokenizer.unknown(typed)
    if unknown:
        named = plain(" ".join(visible(c) for c in unknown))
        st.warning(f"Not in the alphabet: {named}. Left out below.", icon=":material/spellcheck:")
    known = tokenizer.drop_unknown(typed)
    ids = tokenizer.encode(known)
    if ids:
        frame = pd.DataFrame([ids], columns=[f"{visible(c)}​" + "​" * i for i, c in enumerate(known)])
        st.dataframe(frame, hide_index=True, row_height=38)
    back = st.text_input(
        "Or numbers, to turn back into text",
        " ".join(str(i) for i in tokenizer.encode(corpus.text[:5])),
        key=f"corpus.ids{suffix}",
        max_chars=LONGEST_TEXT,
        help=f"Whole numbers from 0 to {tokenizer.size - 1:,}, with spaces between.",
    )
    try:
        st.code(tokenizer.decode(int(word) for word in back.replace(",", " ").split()) or " ", language=None)
    except (ValueError, BardlabError):
        st.error(f"Give whole numbers from 0 to {tokenizer.size - 1:,}, with spaces between.", icon=":material/error:")


def frequencies(corpus: Corpus) -> None:
    """How often each character occurs."""
    st.subheader("How often each character occurs")
    counts = corpus.character_counts()
    if len(counts) > COMMONEST:
        st.caption(f"The {COMMONEST} commonest of {len(counts)}.")
        counts = dict(list(counts.items())[:COMMONEST])
    kinds = sorted({character_class(c) for c in counts})
    series = {kind: [n if character_class(c) == kind else None for c, n in counts.items()] for kind in kinds}
    labels = [visible(c) for c in counts]
    st.plotly_chart(bars(labels, series, "character", "occurrences", stacked=True), key="frequencies")


def reader(corpus: Corpus) -> None:
    """The text itself, a page at a time."""
    st.subheader("The text itself")
    page_size = 4000
    pages = (len(corpus.text) + page_size - 1) // page_size
    page = 1
    if pages > 1:
        page = st.slider(
            "Page",
            1,
            pages,
            1,
            key=f"corpus.page.{corpus.name}" if texts.is_own(corpus.name) else "corpus.page",
            bind="query-params",
            help=f"{page_size:,} characters a page.",
        )
    start = (page - 1) * page_size
    split = "training" if start < len(corpus.train_ids) else "validation"
    st.caption(f"Characters {start:,} to {min(start + page_size, len(corpus.text)):,}, in the {split} split")
    with st.container(height=420):
        st.code(corpus.text[start : start + page_size], language=None, wrap_lines=True)


state.notices()
name = text_picker("Text", "Every rung can learn from any of these; what is shown below is of this one.")
try:
    corpus = cached.corpus(name)
except BardlabError as error:
    st.error(plain(str(error)), icon=":material/error:")
    st.button("Delete", icon=":material/delete:", on_click=drop, args=(name, name), help="Makes room to add it again.")
    add_text()
    st.stop()
about(corpus)
figures(len(corpus.text), corpus.tokenizer.size, len(corpus.train_ids), len(corpus.val_ids))
st.caption(f"SHA-256 {inline(corpus.sha256)}")
add_text()
to_numbers(corpus, corpus.tokenizer)
frequencies(corpus)
reader(corpus)
