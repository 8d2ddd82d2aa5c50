"""The text: what the models read, and how characters become numbers; and adding one of your own."""

import pandas as pd
import streamlit as st

from core.errors import BardlabError
from core.ladder.registry import RUNGS
from core.runs import owners, reading
from core.settings import LONGEST_TEXT
from core.texts import decoding
from core.texts import own as texts_own
from core.texts.character_classes import CLASSES, character_class
from core.texts.corpus import TRAIN_SHARE, Corpus, only_judged
from core.texts.labels import code_point, listed, visible
from core.texts.tokenizer import CharTokenizer
from pages.ui import loaders, state, teaching
from pages.ui.choosers.text import text_picker
from pages.ui.navigation import rung_page
from pages.ui.plots.colours import class_colours
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import character_bars
from pages.ui.wording import inline, plain, size

COMMONEST = 100  # more bars than these cannot be told apart
TYPED = 200  # characters of the box whose numbers are shown


def keep(content: bytes, title: str, encoding: str | None, commonest: int | None) -> None:
    """Add the text and show it."""
    try:
        own = texts_own.add(content, title, encoding=encoding, commonest=commonest)
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    st.query_params[state.TEXT] = own.name
    st.session_state["texts.round"] = st.session_state.get("texts.round", 0) + 1  # an empty form next time
    state.say_next(f"Kept as {own.title}")


def drop(name: str, title: str) -> None:
    """Delete a text of one's own."""
    try:
        texts_own.delete(name)
        st.query_params.pop(state.TEXT, None)
        state.say_next(f"Deleted {title}")
    except state.PROBLEMS as error:
        state.say_error(error)


@teaching.part("add")
@st.fragment
def add_text() -> None:
    """Upload or paste, look at it, keep it."""
    number = st.session_state.get("texts.round", 0)
    with st.expander("Add a text of your own", icon=":material/upload_file:"):
        left, right = st.columns(2, gap="large")
        file = left.file_uploader(
            "A text file",
            max_upload_size=texts_own.LARGEST // 1_000_000,
            key=f"texts.file.{number}",
            help=f"Plain text of 1,000 characters or more, at most {size(texts_own.LARGEST)}, best in UTF-8. It stays "
            "on this machine, in data/own.",
        )
        pasted = right.text_area(
            "Or paste it",
            height=150,
            max_chars=texts_own.LARGEST,
            key=f"texts.paste.{number}",
            help="Used if no file is chosen.",
        )
        content = file.getvalue() if file is not None else pasted.encode("utf-8", "replace")
        if not content:
            st.caption("Any plain text will do: a book, letters, code, chess games, names. Longer is better.")
            return
        try:
            text, encoding, commonest = read(content, number)
        except BardlabError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        alphabet = "".join(sorted(set(text)))
        cut = int(TRAIN_SHARE * len(text))
        figures(len(text), len(alphabet), cut, len(text) - cut)
        st.caption("Its alphabet")
        st.code(" ".join(visible(c) for c in alphabet), language=None, wrap_lines=True)
        st.caption("How it begins")
        st.code(text[:600], language=None, wrap_lines=True)
        if len(text) < 20_000:
            st.caption("Short: a model will learn it by heart before it learns how it is made.")
        never_trained_on(only_judged(text))
        suggested = file.name.rsplit(".", 1)[0] if file is not None else "My text"
        title = st.text_input(
            "What to call it",
            texts_own.clean_title(suggested),
            max_chars=texts_own.TITLE,
            key=f"texts.title.{number}.{texts_own.clean_title(suggested)}",
            help="Letters, digits and simple signs.",
        )
        if st.button("Keep this text", type="primary", key="texts.keep", help="Then any rung can train on it."):
            keep(content, title, encoding, commonest)
            st.rerun()


def read(content: bytes, number: int) -> tuple[str, str | None, int | None]:
    """Return the text, and with it the encoding and the number of characters kept, where these had to be chosen.

    Raises BardlabError as `texts.check` does.
    """
    encoding, commonest = None, None
    try:
        found = decoding.decode(content)
        if found.marked and found.encoding != "utf-8":
            st.caption(plain(f"Read as {decoding.ENCODINGS[found.encoding]}, as the file’s own mark says."))
    except decoding.UnknownEncoding as error:
        st.warning(
            plain(
                f"This file is not UTF-8. It is probably {decoding.ENCODINGS[error.guess]}: see whether it reads well."
            ),
            icon=":material/translate:",
        )
        names = list(decoding.ENCODINGS)
        encoding = st.selectbox(
            "Read it as",
            names,
            index=names.index(error.guess),
            format_func=decoding.ENCODINGS.__getitem__,
            key=f"texts.encoding.{number}.{error.guess}",
            help="How its bytes stand for characters. The file itself does not say, so look at the text below.",
        )
    try:
        return texts_own.check(content, encoding), encoding, None
    except texts_own.TooManyCharacters as error:
        st.warning(
            f"The text has {error.distinct:,} different characters, "
            f"more than the {texts_own.MOST_CHARACTERS:,} accepted.",
            icon=":material/compress:",
        )
        commonest = st.slider(
            "Keep the commonest",
            2,
            texts_own.MOST_CHARACTERS,
            texts_own.MOST_CHARACTERS,
            key=f"texts.commonest.{number}",
            help="So many different characters stay; every rarer one becomes □.",
        )
    text = texts_own.check(content, encoding, commonest)
    replaced = text.count(texts_own.STAND_IN) - decoding.decode(content, encoding).text.count(texts_own.STAND_IN)
    share = replaced / len(text)
    st.caption(f"{replaced:,} of {len(text):,} characters ({share:.2%}) are rarer ones and become □.")
    return text, encoding, commonest


def never_trained_on(characters: str) -> None:
    """Name the characters that only the validation split has."""
    if characters:
        st.caption(
            f"{len(characters)} of its characters occur only in the validation split, so no model can learn them: "
            f"{inline(listed(characters))}."
        )


def figures(characters: int, alphabet: int, train: int, val: int) -> None:
    """The sizes of a text."""
    with st.container(horizontal=True, gap="medium"):
        st.metric("Characters", f"{characters:,}", help="Length of the whole text.")
        st.metric("Alphabet", f"{alphabet:,}", help="Distinct characters: the model's vocabulary.")
        st.metric("Training split", f"{train:,}", help="The first 90 %: what models learn from.")
        st.metric("Validation split", f"{val:,}", help="The last 10 %: what they are judged by, never trained on.")


def about(corpus: Corpus) -> None:
    """Where the text comes from, and what can be done with it."""
    if not texts_own.is_own(corpus.name):
        st.caption(
            "Nine plays, rebuilt from a public-domain edition and checked to be the file that published results use."
        )
        return
    trained = sum(1 for run in reading.list_runs() if run.config and run.config.corpus == corpus.name)
    made = {0: "No run", 1: "One run"}.get(trained, f"{trained} runs")
    owner = own.owner if (own := texts_own.look_up(corpus.name)) else ""
    mine = owners.acting().owns(owner or owners.GUEST)
    whose = "your own" if mine else owner or "nobody who has logged in"
    st.markdown(
        f"**{plain(corpus.title)}**: a text of {plain(whose)}, {inline(corpus.name)}. {plain(made)} learned from it."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Train on it:", width="content")
        for key, rung in RUNGS.items():
            st.page_link(rung_page(key), label=rung.title, icon=rung.icon, query_params={state.TEXT: corpus.name})
        if not owners.may_change(owner):
            return
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


@teaching.part("numbers")
def to_numbers(corpus: Corpus, tokenizer: CharTokenizer) -> None:
    """Characters to numbers and back."""
    suffix = f".{corpus.name}" if texts_own.is_own(corpus.name) else ""
    start = corpus.text[:14].strip() or corpus.text[:1]
    st.header("From characters to numbers")
    key = f"corpus.typed{suffix}"
    if len(st.query_params.get(key, "")) > TYPED:  # what the browser would not let anybody type
        st.query_params[key] = st.query_params[key][:TYPED]
    left, right = st.columns([3, 2], gap="medium")
    typed = left.text_input(
        "Type something",
        start,
        key=key,
        max_chars=TYPED,
        bind="query-params",
        help="Each character has a number: its place in the alphabet.",
    )[:TYPED]
    unknown = tokenizer.unknown(typed)
    if unknown:
        left.warning(f"Not in the alphabet: {inline(listed(unknown))}. Left out below.", icon=":material/spellcheck:")
    known = tokenizer.drop_unknown(typed)
    ids = tokenizer.encode(known)
    if ids:
        names = [str(place) for place in range(1, len(ids) + 1)]
        frame = pd.DataFrame([[visible(c) for c in known], [str(i) for i in ids]], columns=names)
        left.dataframe(
            frame,
            hide_index=True,
            row_height=38,
            column_config={
                name: st.column_config.TextColumn(name, help=code_point(c), alignment="center")
                for name, c in zip(names, known, strict=True)
            },
        )
    back = right.text_input(
        "Or numbers, to turn back into text",
        " ".join(str(i) for i in tokenizer.encode(corpus.text[:5])),
        key=f"corpus.ids{suffix}",
        max_chars=LONGEST_TEXT,
        help=f"Whole numbers from 0 to {tokenizer.size - 1:,}, with spaces between.",
    )
    try:
        right.code(tokenizer.decode(int(word) for word in back.replace(",", " ").split()) or " ", language=None)
    except (ValueError, BardlabError):
        right.error(
            f"Give whole numbers from 0 to {tokenizer.size - 1:,}, with spaces between.", icon=":material/error:"
        )


@teaching.part("frequencies")
def frequencies(corpus: Corpus) -> None:
    """How often each character occurs."""
    st.header("How often each character occurs")
    counts = corpus.character_counts()
    if len(counts) > COMMONEST:
        st.caption(f"The {COMMONEST} commonest of {len(counts)}.")
        counts = dict(list(counts.items())[:COMMONEST])
    found = {character_class(c) for c in counts}
    kinds = [kind for kind in CLASSES if kind in found]
    series = {kind: [n if character_class(c) == kind else None for c, n in counts.items()] for kind in kinds}
    hues = class_colours()
    palette = [hues[kind] for kind in kinds]
    figure = character_bars("".join(counts), series, "character", "occurrences", stacked=True, palette=palette)
    plot(figure, "frequencies")


@teaching.part("reader")
def reader(corpus: Corpus) -> None:
    """The text itself, a page at a time."""
    st.header("The text itself")
    page_size = 4000
    pages = (len(corpus.text) + page_size - 1) // page_size
    page = 1
    if pages > 1:
        page = st.slider(
            "Page",
            1,
            pages,
            1,
            key=f"corpus.page.{corpus.name}" if texts_own.is_own(corpus.name) else "corpus.page",
            bind="query-params",
            help=f"{page_size:,} characters a page.",
        )
    start = (page - 1) * page_size
    split = "training" if start < len(corpus.train_ids) else "validation"
    st.caption(f"Characters {start:,} to {min(start + page_size, len(corpus.text)):,}, in the {split} split")
    with st.container(height=420):
        st.code(corpus.text[start : start + page_size], language=None, wrap_lines=True)


state.notices()
left, right = st.columns([5, 11], gap="medium", vertical_alignment="bottom")
with left:
    name = text_picker("Text", "Every rung can learn from any of these; what is shown below is of this one.")
try:
    corpus = loaders.corpus(name)
except BardlabError as error:
    st.error(plain(str(error)), icon=":material/error:")
    st.button("Delete", icon=":material/delete:", on_click=drop, args=(name, name), help="Makes room to add it again.")
    add_text()
    st.stop()
with right:
    figures(len(corpus.text), corpus.tokenizer.size, len(corpus.train_ids), len(corpus.val_ids))
about(corpus)
never_trained_on(corpus.only_judged)
to_numbers(corpus, corpus.tokenizer)
frequencies(corpus)
add_text()
reader(corpus)
st.caption(f"SHA-256 {inline(corpus.sha256)}")
