"""What of a map is shown and kept: points picked with the lasso, shown alone; views of the map, kept with the run.

The points that are shown alone stand in the address as `?points=token:3,5,8`, rows of a table, like the rest of a view.
"""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.runs import notebook
from core.runs.state import Run
from pages.ui import state
from pages.ui.address import whole_number
from pages.ui.wording import plain

ONLY = "points"
FEWEST = 3
"""Points that make a map."""
LONGEST = 4000
"""Characters of the address that are read."""
DRAG, DRAGS = "map.drag", {"zoom": "Zoom", "lasso": "Lasso", "select": "Box"}
MOST, LONGEST_NAME = 20, 40
"""Views that are kept of a run, and characters of a name."""
BOUND = ("vectors", "method", "dimensions", "metric", "colour", "looked", "order")
"""The keys of the widgets that decide what the map shows."""


def isolated(table: str, count: int) -> list[int]:
    """The rows of a table of `count` vectors that are shown: all, or those in the address."""
    of, _, asked = st.query_params.get(ONLY, "")[:LONGEST].partition(":")
    parts = asked.split(",") if of == table else []
    kept = sorted({row for part in parts if (row := whole_number(part, 0, count - 1)) is not None})
    return kept if len(kept) >= FEWEST else list(range(count))


def picked(key: str, rows: Sequence[int]) -> list[int]:
    """The rows of the points that lasso, box or click have marked on the chart of this key, which shows `rows`."""
    event = st.session_state.get(key)
    found = []
    for point in event["selection"]["points"] if event else []:
        at = point.get("customdata")
        at = at[0] if isinstance(at, list) else at
        if isinstance(at, int | float) and 0 <= int(at) < len(rows):
            found.append(rows[int(at)])
    return sorted(set(found))


def drag() -> str:
    """What dragging on the map does, as chosen above it."""
    return str(st.session_state.get(DRAG) or "zoom")


def isolate_and_keep(run: Run, table: str, marked: Sequence[int], rows: Sequence[int], count: int) -> None:
    """Draw what can be done with the points that are marked, and the views that were kept."""
    kept = _kept(run)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Dragging",
            list(DRAGS),
            format_func=DRAGS.__getitem__,
            default="zoom",
            required=True,
            key=DRAG,
            persist_state="session",
            help="What dragging on the flat map does: zoom, or mark points by a line around them or a box.",
        )
        if len(rows) < count:
            st.button(
                f"Show all {count:,}",
                icon=":material/zoom_out_map:",
                key="map.all",
                on_click=_show,
                args=(table, ()),
                help="Back to the whole table.",
            )
        st.button(
            f"Isolate {len(marked):,}" if len(marked) >= FEWEST else "Isolate",
            icon=":material/filter_center_focus:",
            key="map.isolate",
            disabled=len(marked) < FEWEST or len(marked) == len(rows),
            on_click=_show,
            args=(table, tuple(marked)),
            help="Mark points with the lasso or the box: the map is drawn anew for them alone.",
        )
        with st.popover("Bookmarks", icon=":material/bookmark:", help="Views of this run's maps, kept with it."):
            with st.form("map.keep", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
                st.text_input("Name", key="map.name", max_chars=LONGEST_NAME, help="In place of its namesake.")
                st.form_submit_button("Keep", on_click=_keep, args=(run,), help="Keeps what the map shows now.")
            for name, view in kept.items():
                with st.container(horizontal=True, horizontal_alignment="distribute", gap="small"):
                    st.button(
                        plain(name),
                        key=f"map.kept.{name}",
                        on_click=_go,
                        args=(view,),
                        type="tertiary",
                        help="Opens it.",
                    )
                    st.button(
                        "Forget",
                        key=f"map.forget.{name}",
                        on_click=_forget,
                        args=(run, name),
                        type="tertiary",
                        help=f"Removes {plain(name)}.",
                    )


def _show(table: str, rows: Sequence[int]) -> None:
    if rows:
        st.query_params[ONLY] = f"{table}:{','.join(map(str, rows))}"
    else:
        st.query_params.pop(ONLY, None)


def _kept(run: Run) -> dict[str, dict[str, str | int]]:
    """The views kept of a run, oldest first; what is in the file and no view is left out."""
    found = {}
    for name, view in notebook.read("bookmarks", [run]).items():
        if isinstance(view, dict):
            known = {key: value for key, value in view.items() if key in (*BOUND, ONLY)}
            found[name[:LONGEST_NAME]] = {k: v for k, v in known.items() if isinstance(v, str | int)}
    return found


def _keep(run: Run) -> None:
    kept = _kept(run)
    name = " ".join(st.session_state["map.name"].split())[:LONGEST_NAME] or f"View {len(kept) + 1}"
    view = {key: st.session_state[key] for key in BOUND if st.session_state.get(key) is not None}
    kept[name] = {**view, ONLY: st.query_params.get(ONLY, "")}
    _write(run, dict(list(kept.items())[-MOST:]))


def _forget(run: Run, name: str) -> None:
    _write(run, {other: view for other, view in _kept(run).items() if other != name})


def _write(run: Run, kept: Mapping[str, Mapping[str, str | int]]) -> None:
    try:
        notebook.write("bookmarks", [run], kept)
    except state.PROBLEMS as error:
        state.say_error(error)


def _go(view: Mapping[str, str | int]) -> None:
    """Set the page as it was when the view was kept."""
    for key in BOUND:
        if key in view:
            st.session_state[key] = view[key]
    if only := str(view.get(ONLY, "")):
        st.query_params[ONLY] = only
    else:
        st.query_params.pop(ONLY, None)
