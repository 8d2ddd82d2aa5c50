"""Other runs on the chart of a rung's page: found by typing, kept in the address as `?with=`."""

from collections.abc import Mapping, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from core.runs import reading
from core.runs.state import Run
from pages.ui import loaders, teaching
from pages.ui.choosers import mine
from pages.ui.choosers.run import MOST_LISTED
from pages.ui.choosers.runs import WITH, named

MOST = 9
KEY = "compare"
"""Session state: slugs of the runs chosen; the key of their widget."""
_SAID, _MISSING, _FIND = "compare.said", "compare.missing", "compare.find"


def take_from_address() -> str:
    """Take over the runs that the address names; return, in words, which of them are not here."""
    text = st.query_params.get(WITH, "")
    said: list[str] = st.session_state.setdefault(_SAID, [])
    if text and text not in said:
        asked = list(dict.fromkeys(slug for slug in text.split(",") if slug))
        here = {run.slug for run in loaders.listing() if not run.damage}
        st.session_state[KEY] = [slug for slug in asked if slug in here][:MOST]
        st.session_state[_MISSING] = [slug for slug in asked if slug not in here]
        said.append(text)
    missing: list[str] = st.session_state.get(_MISSING, [])
    return ", ".join(f"the run {slug[:60]}" for slug in missing[:5]) + (", …" if len(missing) > 5 else "")


def matching(texts: Sequence[str], pattern: str) -> list[bool]:
    """Which texts a pattern is found in, without regard to case; what is no regular expression is sought as it is.

    RE2's expressions take time in proportion to the text, whatever is typed.
    """
    values = pa.array(texts, pa.string())
    try:
        found = pc.match_substring_regex(values, pattern, ignore_case=True)
    except pa.ArrowInvalid:
        found = pc.match_substring(values, pattern, ignore_case=True)
    return list(map(bool, found.to_pylist()))


def overlay(run: Run) -> None:
    """Draw the chooser, behind a button."""
    by_slug = _comparable(run)
    if teaching.shown("compare"):
        with st.container(key="compare-with"), st.popover("Compare", icon=":material/add:", disabled=not by_slug):
            _choose(by_slug)


def compared(run: Run) -> list[Run]:
    """The runs chosen, all on the text of `run`."""
    by_slug = _comparable(run)
    chosen = [slug for slug in st.session_state.get(KEY, []) if slug in by_slug]
    _to_address(chosen)
    return [r for slug in chosen if not (r := reading.read(by_slug[slug].path)).damage]


def _comparable(run: Run) -> dict[str, Run]:
    text = run.need().corpus_sha256  # losses on different texts are not to be compared
    others = (r for r in mine.shown(loaders.listing(within=1.0)) if r.slug != run.slug and not r.damage)
    return {r.slug: r for r in others if r.need().corpus_sha256 == text}


def _choose(by_slug: Mapping[str, Run]) -> None:
    chosen = [slug for slug in st.session_state.get(KEY, []) if slug in by_slug]
    pattern = st.text_input(
        "Find",
        key=_FIND,
        max_chars=100,
        placeholder="part of a name",
        help="Only runs whose name or rung has this in it are offered. A regular expression will do: mlp.*(64|128)$",
    )
    found = list(by_slug)
    if pattern:
        fits = matching([named(each) for each in by_slug.values()], pattern)
        found = [slug for slug, fitting in zip(found, fits, strict=True) if fitting]
    st.session_state[KEY] = chosen
    st.multiselect(
        "Compare with",
        [*chosen, *islice((slug for slug in found if slug not in chosen), MOST_LISTED)],
        format_func=lambda s: named(by_slug[s]) if s in by_slug else s,
        key=KEY,
        on_change=_chosen,
        max_selections=MOST,
        persist_state="session",
        placeholder="Other runs, of any rung",
        help="Draws the curves of these runs on the same axes. The address of the page names them.",
    )
    more = [slug for slug in found if slug not in chosen][: MOST - len(chosen)]
    if pattern and more:
        label = f"Add {len(more):d} that match" if len(more) > 1 else "Add the one that matches"
        st.button(label, key="compare.add", on_click=_chosen, args=([*chosen, *more],), help=f"{MOST} at most.")


def _chosen(slugs: Sequence[str] | None = None) -> None:
    if slugs is not None:
        st.session_state[KEY] = list(slugs)
    st.session_state.pop(_MISSING, None)


def _to_address(chosen: Sequence[str]) -> None:
    """Let the address name the runs, with those that it named and that are not here, until something is chosen."""
    text = ",".join([*chosen, *st.session_state.get(_MISSING, [])])
    if text == st.query_params.get(WITH, ""):
        return
    st.session_state[_SAID] = [*st.session_state.get(_SAID, [])[-50:], text]
    if text:
        st.query_params[WITH] = text
    else:
        del st.query_params[WITH]
