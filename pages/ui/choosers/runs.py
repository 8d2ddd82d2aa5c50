"""What the pages that look inside share: the run, its price tag, and a text, each with its place in the URL."""

import math
from collections.abc import Sequence

import streamlit as st

from core.inspect.lens import rungs_with_a_stream
from core.ladder.registry import RUNGS
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Run
from core.studies.standings import key_of, rows
from pages.ui import state, tell
from pages.ui.choosers import mine
from pages.ui.choosers.chosen import chosen
from pages.ui.choosers.run import narrowed, run_picker
from pages.ui.choosers.text import text_picker
from pages.ui.navigation import link_to_first_rung, rung_page

WITH = "with"
"""The URL's name for the runs to compare with."""


def named(run: Run) -> str:
    """A run's name, with its rung if the name does not say it."""
    return run.label if run.rung_key in run.name.lower() else f"{run.label} ({run.rung_key})"


def usable_runs() -> dict[str, Run]:
    """Every run with weights to look at, by slug; the learner's own before those that came with the product."""
    return {run.slug: run for run in mine.shown(reading.list_runs(shipped=True)) if run.usable}


def best(candidates: Sequence[Run]) -> Run:
    """The run of the lowest validation loss, a broken one only if there is no other."""
    return min(candidates, key=lambda r: (r.broken, math.inf if r.status.val_loss is None else r.status.val_loss))


def of_one_text(found: dict[str, Run]) -> dict[str, Run]:
    """Those of the runs whose losses can be compared: on the text chosen last, else on that of the newest run."""
    names = [run.need().corpus for run in found.values()]
    chosen = st.session_state.get(state.TEXT)
    name = chosen if chosen in names else next(iter(names), "")
    return {slug: run for slug, run in found.items() if run.need().corpus == name}


def best_of_the_text(candidates: Sequence[Run]) -> Run:
    """What a page shows if no run was chosen: the best on the text in hand, a failed one only if there is no other."""
    fine = [run for run in candidates if run.state not in (State.FAILED, State.LOST)]
    return best(list(of_one_text({run.slug: run for run in fine or candidates}).values()))


def choose_text(found: dict[str, Run]) -> dict[str, Run]:
    """Draw the choice of a text if the runs read several; return the runs on the one chosen.

    A run that is new in the URL decides which it is.
    """
    names = list(dict.fromkeys(run.need().corpus for run in found.values()))
    asked = [*st.query_params.get(WITH, "").split(","), st.query_params.get(state.RUN, "")]
    new = [slug for slug in asked if slug in found and slug not in st.session_state.get("looking.asked", ())]
    if new:
        st.session_state[state.TEXT] = found[new[0]].need().corpus
        st.query_params.pop(state.TEXT, None)
    st.session_state["looking.asked"] = asked
    if len(names) < 2:
        return found
    name = text_picker("Text", "Only models of one text share an alphabet, and losses that can be compared.", names)
    return {slug: run for slug, run in found.items() if run.need().corpus == name}


def choose_run() -> Run:
    """Draw the run picker. Without a model to look at, say so and end the page."""
    usable = usable_runs()
    if not usable:
        _explain_unusable(usable)
        st.info("No model has been trained yet. Train one first: the bigram takes seconds.", icon=":material/search:")
        link_to_first_rung()
        st.stop()
    return run_picker(
        "Model",
        usable,
        best_of_the_text(list(usable.values())).slug,
        named,
        "Any run with saved weights, of any rung and any text, finished or not.",
    )


def _explain_unusable(usable: dict[str, Run]) -> None:
    """Say why the chosen run cannot be looked at."""
    asked = chosen()
    found = next((run for run in reading.list_runs() if run.slug == asked and asked not in usable), None)
    if found is None:
        return
    if found.damage:
        tell.warning(f"{found.name} is damaged: {found.damage}.", icon=":material/broken_image:")
    else:
        tell.warning(
            f"{found.name} has no weights yet; they come with its first evaluation.", icon=":material/hourglass:"
        )


def choose_runs(
    label: str, fits: dict[str, Run], default: list[str], key: str, help: str, name: str = WITH
) -> list[Run]:
    """Draw a chooser of several runs; the choice lives in the URL by the name of `?with=` or another.

    Without one it shows the default, another one where that has changed.
    """
    asked, given = st.query_params.get(name), f"{key}.given"
    if asked is not None:
        st.session_state[key] = [slug for slug in asked.split(",") if slug]
    elif key not in st.session_state or st.session_state[key] == st.session_state.get(given):
        st.session_state[key] = st.session_state[given] = default
    kept = [slug for slug in st.session_state[key] if slug in fits]
    if st.session_state[key] and not kept:  # they are gone, or read another text
        kept = default
        st.query_params.pop(name, None)
    st.session_state[key] = kept

    def to_url() -> None:
        st.query_params[name] = ",".join(st.session_state[key])

    chosen = st.multiselect(
        label,
        narrowed(fits, kept, f"{key}.find"),
        format_func=lambda s: named(fits[s]) if s in fits else s,
        key=key,
        on_change=to_url,
        max_selections=8,
        placeholder="Runs of any rung",
        help=help,
    )
    return sorted((fits[slug] for slug in chosen), key=ladder_order)


def best_of_each_rung(fits: dict[str, Run]) -> list[str]:
    """The slugs of the best run of each rung, from the bottom of the ladder up. For runs on one text.

    What a rung turns into under some settings, such as a counted 4-gram, is a rung of its own.
    """
    rungs = [[run for run in fits.values() if key_of(run) == key and not run.broken] for key, _ in rows()]
    return [best(found).slug for found in rungs if found]


def ladder_order(run: Run) -> tuple[int, float]:
    """Rungs from the bottom up; within one, the better run later."""
    return [key for key, _ in rows()].index(key_of(run)), -(run.status.val_loss or 0.0)


def link_rungs_with_a_stream() -> None:
    """Lead to the rungs whose runs have a residual stream."""
    with st.container(horizontal=True):
        for key in rungs_with_a_stream():
            st.page_link(rung_page(key), label=RUNGS[key].title)
