"""The terms of the field, one sentence each, with a link to where each can be seen."""

import streamlit as st

from core.studies.course import glossary
from pages.ui import state
from pages.ui.navigation import pages
from pages.ui.wording import plain

state.notices()
st.markdown(
    f"{len(glossary.TERMS)} terms. Wherever one of them stands on a page, point at it: its sentence appears, and a "
    "link to where it can be seen. The first of each on a page is underlined."
)
asked = st.text_input(
    "Find",
    key="term",
    max_chars=60,
    bind="query-params",
    placeholder="a term, or a word of its sentence",
    help="Shows the terms in which it comes up.",
)
found = glossary.find(asked)
if not found:
    st.info("No term has this word. Clear the box to see all.", icon=":material/search_off:")
by_address = {address: page() for address, page in pages().items()}
with st.container(key="terms", gap="xsmall"):
    for term in found:
        left, middle, right = st.columns([4, 11, 5], vertical_alignment="top")
        left.markdown(f"**{plain(term.name)}**")
        middle.markdown(plain(term.sentence))
        if term.page in by_address:
            page = by_address[term.page]
            right.page_link(page, label=page.title, query_params=dict(term.query))
