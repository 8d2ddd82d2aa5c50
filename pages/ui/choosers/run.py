"""Choosing a run. The choice lives in the URL as `?run=`: a link, a refresh or a second tab comes back to it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice

import streamlit as st

from core.errors import BardlabError
from core.ladder.registry import RUNGS
from core.runs import reading
from core.runs.state import Run
from pages.ui import state, tell
from pages.ui.choosers import chosen
from pages.ui.wording import plain

MOST_LISTED = 200
"""Runs in a picker; of more, some are found by typing."""
STOOD = "run.stood"
"""The page, and the run that it shows though none that it can show was chosen: it stays the same while one is there."""


def run_picker(label: str, by_slug: Mapping[str, Run], default: str, describe: Callable[[Run], str], help: str) -> Run:
    """Draw the picker and return the run to show: the one chosen, else, without choosing it, the default."""
    asked, kept = st.query_params.get(state.RUN), chosen.chosen()
    if asked in by_slug:
        st.session_state[chosen.CHOSEN] = kept = asked
    shown = kept if kept in by_slug else _standing(by_slug, default)
    listed = narrowed(by_slug, [shown or default], f"{state.RUN}.find")
    st.session_state[state.RUN] = shown
    slug = st.selectbox(
        label,
        listed,
        format_func=lambda s: describe(by_slug[s]) if s in by_slug else s,
        key=state.RUN,
        on_change=choose_of,
        args=(state.RUN, by_slug),
        help=help,
    )
    slug = slug if slug in by_slug else default
    if kept in by_slug:
        if asked != slug:
            st.query_params[state.RUN] = slug
    elif kept:
        _instead(kept, by_slug[slug], by_slug)
    elif asked:
        missing(asked, f"; this is {plain(by_slug[slug].name)}")
    run = by_slug[slug]
    st.session_state[chosen.SHOWN] = (run.slug, run.name, str(run.state), run.usable)
    if st.session_state.get("looking.told", kept) != kept:
        st.rerun()  # chosen in a fragment: let the sidebar name it
    return run


def narrowed(by_slug: Mapping[str, Run], keep: Sequence[str], key: str) -> list[str]:
    """The slugs that a picker lists: all, or of very many those to `keep` and those that fit what is typed above it."""
    if len(by_slug) <= MOST_LISTED:
        return list(by_slug)
    needle = st.text_input(
        "Find a run",
        key=key,
        max_chars=60,
        placeholder=f"part of a name; {MOST_LISTED} of {len(by_slug):,} are listed",
        label_visibility="collapsed",
        help="The list below holds the newest runs whose name, address, note or owner has this in it.",
    ).casefold()
    fits = (
        slug
        for slug, run in by_slug.items()
        if slug not in keep and any(needle in part.casefold() for part in (run.name, slug, run.note, run.owner))
    )
    return [*(slug for slug in keep if slug in by_slug), *islice(fits, MOST_LISTED)]


def _standing(by_slug: Mapping[str, Run], default: str) -> str:
    page = st.session_state.get("page")
    before, slug = st.session_state.get(STOOD, (None, ""))
    slug = slug if before == page and slug in by_slug else default
    st.session_state[STOOD] = (page, slug)
    return slug


def _instead(kept: str, run: Run, by_slug: Mapping[str, Run]) -> None:
    """Say that the chosen run cannot be shown here, which stays chosen."""
    try:
        other = reading.find(kept)
    except (BardlabError, OSError):
        return
    if other.damage:
        missing(kept, f"; this is {plain(run.name)}")
        return
    elsewhere = {each.rung_key for each in by_slug.values()} == {run.rung_key} != {other.rung_key}
    if other.usable or elsewhere:
        what = f"is a {RUNGS[other.rung_key].title}"
    else:
        what = "has no weights yet; they come with its first evaluation"
    tell.caption(f"{other.name}, the run you look at, {what}. Here is {run.name}; another can be chosen above.")


def missing(asked: str, instead: str = "") -> None:
    """Say that the run of the URL cannot be shown here: it is too damaged to tell its rung. One that is not there at
    all is told at the top of the page."""
    try:
        found = reading.find(asked)
    except BardlabError:
        return
    if found.slug == asked and found.damage:  # not one whose name only begins so
        st.warning(
            f"The run “{plain(asked)}” is damaged: {plain(found.damage)}{instead}.", icon=":material/broken_image:"
        )


def choose_of(key: str, by_slug: Collection[str]) -> None:
    """Choose the run that a picker holds.

    A browser that has not heard yet that a run has ended answers with its line of before, which is nobody's choice.
    """
    if (slug := st.session_state[key]) in by_slug:
        chosen.choose(slug)
