"""The text: what the models read, and how characters become numbers."""

import pandas as pd
import streamlit as st

from core.corpus import character_class
from core.errors import BardlabError
from pages.ui import cached
from pages.ui.charts import bars, visible

corpus = cached.corpus()
tokenizer = corpus.tokenizer
st.markdown(
    f"**{corpus.title}**: nine plays, rebuilt on this machine from a public-domain edition and checked to be the "
    "very "
    "file that every published result uses."
)
with st.container(horizontal=True, gap="medium"):
    st.metric("Characters", f"{len(corpus.text):,}", help="Length of the whole text.")
    st.metric("Alphabet", f"{tokenizer.size}", help="Distinct characters: the model's vocabulary.")
    st.metric("Training split", f"{len(corpus.train_ids):,}", help="The first 90 %: what models learn from.")
    st.metric(
        "Validation split", f"{len(corpus.val_ids):,}", help="The last 10 %: what they are judged by, never trained on."
    )
st.caption(f"SHA-256 `{corpus.sha256}`")

st.subheader("From characters to numbers")
typed = st.text_input(
    "Type something",
    "First Citizen:",
    key="corpus.typed",
    bind="query-params",
    help="Each character has a number: its place in the alphabet.",
)
unknown = tokenizer.unknown(typed)
if unknown:
    st.warning(
        f"Not in the alphabet: {' '.join(visible(c) for c in unknown)}. Left out below.", icon=":material/spellcheck:"
    )
known = tokenizer.drop_unknown(typed)
ids = tokenizer.encode(known)
if ids:
    frame = pd.DataFrame([ids], columns=[f"{visible(c)}​" + "​" * i for i, c in enumerate(known)])
    st.dataframe(frame, hide_index=True, row_height=38)
back = st.text_input(
    "Or numbers, to turn back into text",
    "18 47 56 57 58",
    key="corpus.ids",
    help=f"Whole numbers from 0 to {tokenizer.size - 1}, with spaces between.",
)
try:
    st.code(tokenizer.decode(int(word) for word in back.replace(",", " ").split()) or " ", language=None)
except (ValueError, BardlabError):
    st.error(f"Give whole numbers from 0 to {tokenizer.size - 1}, with spaces between.", icon=":material/error:")

st.subheader("How often each character occurs")
counts = corpus.character_counts()
kinds = sorted({character_class(c) for c in counts})
series = {kind: [n if character_class(c) == kind else None for c, n in counts.items()] for kind in kinds}
st.plotly_chart(bars([visible(c) for c in counts], series, "character", "occurrences", stacked=True), key="frequencies")

st.subheader("The text itself")
page_size = 4000
pages = (len(corpus.text) + page_size - 1) // page_size
page = st.slider("Page", 1, pages, 1, key="corpus.page", bind="query-params", help=f"{page_size:,} characters a page.")
start = (page - 1) * page_size
split = "training" if start < len(corpus.train_ids) else "validation"
st.caption(f"Characters {start:,} to {min(start + page_size, len(corpus.text)):,}, in the {split} split")
with st.container(height=420):
    st.code(corpus.text[start : start + page_size], language=None)
