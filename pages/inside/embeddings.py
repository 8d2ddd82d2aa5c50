"""Embeddings: the tables of vectors that a model holds, as maps, as neighbours and as a table of resemblances."""

import csv
import io
import math
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from core.errors import BardlabError
from core.inspect.embeddings import (
    METHODS,
    Map,
    Method,
    Metric,
    Table,
    class_order,
    classes_of,
    cluster_order,
    cosines,
    distances,
    neighbours,
    position_similarity,
    project,
    rungs_with_positions,
    same_class,
    tables,
    umap_installed,
)
from core.ladder.registry import RUNGS
from core.runs.state import Run
from core.texts.labels import code_point
from core.texts.labels import labels as labels_of
from pages.ui import loaders, state, teaching, tell
from pages.ui.choosers import in_view
from pages.ui.choosers.runs import choose_run
from pages.ui.choosers.weights import choose_weights
from pages.ui.inside_views.links import inside_links
from pages.ui.inside_views.map_bookmarks import drag, isolate_and_keep, isolated, picked
from pages.ui.inside_views.price_tag import price_tag
from pages.ui.navigation import rung_page
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.vectors import by_distance, resemblance, vector_map

MOST = 256  # positions in a heat map: a browser draws a million cells slowly
SHOWN = 8  # neighbours listed


@st.cache_data(max_entries=32, show_spinner="Drawing the map")
def projected(vectors: np.ndarray, method: Method, dimensions: int, near: int) -> Map:
    """A map, drawn once."""
    return project(vectors, method, dimensions, near)


@st.cache_data(max_entries=32, show_spinner=False)
def clustered(vectors: np.ndarray) -> list[int]:
    """An order, found once."""
    return cluster_order(vectors)


def one_of(label: str, options: dict[str, str], name: str, help: str) -> str:
    """A choice of one, with its place in the URL."""
    if st.session_state.get(name) not in (None, *options):
        del st.session_state[name]  # a view that was kept of a run may ask for what another does not have
    chosen = st.segmented_control(
        label,
        list(options),
        format_func=options.__getitem__,
        default=next(iter(options)),
        key=name,
        required=True,
        bind="query-params",
        help=help,
    )
    return chosen or next(iter(options))


def table_csv(table: Table, labels: Sequence[str], kinds: Sequence[str], found: Map) -> bytes:
    """One line a vector: what it is, where the map has it, and its numbers."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    places, numbers = found.places.shape[1], table.vectors.shape[1]
    rows.writerow(["row", "kind", *(f"map{i + 1}" for i in range(places)), *(f"d{i}" for i in range(numbers))])
    for label, kind, place, vector in zip(labels, kinds, found.places, table.vectors, strict=True):
        rows.writerow([label, kind, *(f"{v:.9g}" for v in (*place, *vector))])
    return out.getvalue().encode()


def controls(table: Table, counted: bool) -> tuple[Method, int, int, Metric, str]:
    """Draw what decides the map. Returns method, dimensions, neighbours looked at, metric, colour."""
    with st.popover("View", icon=":material/tune:", help="How the map is drawn, and how neighbours are found."):
        wanted = one_of(
            "Method",
            {str(name): title for name, title in METHODS.items()},
            "method",
            "PCA is a plain view from the side on which the vectors differ most. t-SNE and UMAP bend the space to keep "
            "neighbours together: read who is next to whom, not how far groups lie apart.",
        )
        dimensions = one_of("Dimensions", {"2": "2-D", "3": "3-D"}, "dimensions", "A flat map, or one to turn about.")
        method = next(name for name in METHODS if name == wanted)
        near_by = one_of(
            "Nearness",
            {"cosine": "cosine", "euclidean": "Euclidean"},
            "metric",
            "How neighbours are found, in all dimensions: by the angle between vectors, or by their distance.",
        )
        colours = {"place": "position"} if table.positions else {"class": "class"}
        if counted and not table.positions:
            colours["count"] = "frequency"
        colour = one_of("Colour", colours, "colour", "By kind of character, or by how often it occurs in the text.")
        near = 15
        if method != "pca":
            near = st.slider(
                "Neighbours looked at",
                3,
                50,
                15,
                key="looked",
                bind="query-params",
                width=220,
                help="t-SNE's perplexity, UMAP's n_neighbors: few keep small groups, many the large picture.",
            )
    metric: Metric = "euclidean" if near_by == "euclidean" else "cosine"
    return method, int(dimensions), near, metric, colour


def spread(found: Map, table: Table, method: str, dimensions: int) -> str:
    """What a map keeps, in words."""
    d = table.vectors.shape[1]
    if d == 1:
        return "Each vector is a single number, so there is no plane to draw: they lie on a line."
    if d < dimensions:
        return f"The vectors have {d} numbers each: all there is lies in a plane, and the third axis stays at 0."
    if method != "pca":
        return "Distances between groups mean nothing here, and there are no axes: only neighbourhoods are kept."
    kept = " + ".join(f"{share:.0%}" for share in found.explained)
    return f"This view holds {sum(found.explained):.0%} of the variance of all {d} dimensions ({kept})."


@teaching.part("map")
def the_map(run: Run, table: Table, characters: str) -> None:
    """The map and who is near the chosen one."""
    corpus = loaders.text_of(run)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        method, dimensions, near, metric, colour = controls(table, corpus is not None)
        what = "Positions" if table.positions else "Characters"
        tell.caption(f"{what} that are used alike lie close together; click one to see its neighbours.")
    count = len(table.vectors)
    rows = isolated(table.key, count)
    labels = [str(i) for i in range(count)] if table.positions else labels_of(characters)
    labels = [labels[i] for i in rows]
    table = replace(table, vectors=table.vectors[rows])
    characters = characters if table.positions else "".join(characters[i] for i in rows)
    kinds = ["position"] * len(labels) if table.positions else classes_of(characters)
    if method == "umap" and not umap_installed():
        st.info(
            "UMAP, which comes with Bardlab, is missing here: `pip install umap-learn`, then start Bardlab again. "
            "PCA and t-SNE are here.",
            icon=":material/extension:",
        )
        return
    if method == "umap":
        st.caption("UMAP compiles itself at its first map after a start; that takes about a minute.")
    found = projected(table.vectors, method, dimensions, near)
    left, right = st.columns([2, 1], gap="large")
    event_key = f"map.{run.slug}.{table.key}.{method}.{dimensions}.{zlib.crc32(str(rows).encode())}"
    marked = picked(event_key, rows)
    clicked(event_key, [labels[rows.index(row)] for row in marked], table.positions)
    near_key = f"near.{'position' if table.positions else 'character'}"
    with right:
        chosen = in_view.choice(
            st.selectbox,
            "Nearest to",
            labels,
            name="near",
            default="e" if "e" in labels else labels[0],
            key=near_key,
            help="Or click a point on the map. Neighbours are found in all dimensions, not on the map.",
        )
        at = labels.index(chosen)
        order = neighbours(table.vectors, metric)[at][:SHOWN]
        values = (cosines if metric == "cosine" else distances)(table.vectors)[at]
        name = "cosine" if metric == "cosine" else "distance"
        st.dataframe(
            {
                "nearest": [labels[i] for i in order],
                "kind": [kinds[i] for i in order],
                name: [float(values[i]) for i in order],
            },
            hide_index=True,
            column_config={
                "nearest": st.column_config.TextColumn(alignment="center"),
                name: st.column_config.NumberColumn(format="%.3f"),
            },
        )
    if table.positions:
        colours: list[str] | np.ndarray = np.array(rows, dtype=float)
    elif colour == "count" and corpus is not None:
        counts = corpus.character_counts()
        colours = np.array([math.log10(max(1, counts.get(c, 0))) for c in characters])
    else:
        colours = kinds
    axes = [f"principal component {i + 1}" for i in range(dimensions)] if method == "pca" else [""] * dimensions
    about = [f"{label} ({kind})" for label, kind in zip(labels, kinds, strict=True)]
    if not table.positions:
        about = [f"{each}<br>{code_point(c)}" for each, c in zip(about, characters, strict=True)]
    figure = vector_map(found.places, labels, about, colours, axes, at, order[:5], joined=table.positions)
    with left:
        isolate_and_keep(run, table.key, marked, rows, count)
        flat = {"on_select": "rerun", "selection_mode": ("points", "lasso", "box"), "drag": drag()}
        more: dict[str, Any] = {} if dimensions == 3 else flat
        plot(figure, event_key, f"{table.key}-{method}", **more)
        note = " Colour: log10 of the number of occurrences." if colour == "count" and not table.positions else ""
        tell.caption(spread(found, table, method, dimensions) + note)
    with right:
        if not table.positions:
            hit, chance = same_class(table.vectors, kinds, metric)
            st.metric(
                "Neighbour of own class",
                "–" if math.isnan(hit) else f"{hit:.0%}",
                None if math.isnan(hit) else f"{chance:.0%} by chance",
                delta_color="off",
                delta_arrow="off",
                help="The share of characters whose nearest neighbour is of their own class (vowel, consonant, ...).",
            )
        st.download_button(
            "Numbers (.csv)",
            lambda: table_csv(table, labels, kinds, found),
            f"{table.key}-{run.path.name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="One line a vector: its place on this map and all its numbers.",
        )


def clicked(key: str, marked: Sequence[str], positions: bool) -> None:
    """If a single point of the map was clicked since the last time, choose it; called before the chooser is drawn."""
    if len(marked) == 1 and st.session_state.get(f"{key}.last") != marked:
        st.session_state["near.position" if positions else "near.character"] = marked[0]
    st.session_state[f"{key}.last"] = list(marked)


@teaching.part("resemblance")
def who_resembles_whom(table: Table, characters: str) -> None:
    """The heat map of all pairs."""
    st.header("Who resembles whom")
    metric = st.session_state.get("metric") or "cosine"
    values = (cosines if metric == "cosine" else distances)(table.vectors)
    what = "cosine" if metric == "cosine" else "distance"
    if table.positions:
        every = -(-len(values) // MOST)
        at = list(range(0, len(values), every))
        st.caption(
            "A dark diagonal band means that positions near each other look alike to the model"
            + (f"; every {every:,}th position is drawn." if every > 1 else ".")
        )
        figure = resemblance(values[np.ix_(at, at)], [str(i) for i in at], what, metric == "cosine", "position")
        plot(figure, "resemblance", f"{table.key}-{what}")
        plot(by_distance(values, f"mean {what}"), "by-distance")
        return
    orders = {"class": "by class", "clusters": "by likeness", "alphabet": "alphabet"}
    order = one_of(
        "Order",
        orders,
        "order",
        "Class by class; by clustering (average linkage on the cosines, like beside like); or as numbered.",
    )
    found = {
        "class": lambda: class_order(characters),
        "clusters": lambda: clustered(table.vectors),
        "alphabet": lambda: list(range(len(characters))),
    }[order]()
    if len(found) > MOST:
        every = -(-len(found) // MOST)
        st.caption(f"Every {every:,}th of {len(found):,} characters is drawn.")
        found = found[::every]
    labels = labels_of("".join(characters[i] for i in found))
    figure = resemblance(values[np.ix_(found, found)], labels, what, metric == "cosine", "character")
    plot(figure, "resemblance", f"{table.key}-{what}")


def rotary(run: Run, similarity: np.ndarray) -> None:
    """What rotary positions do, which have no table."""
    config = run.need().model_config_.model_dump()
    d_head = config["d_model"] // config["n_head"]
    context = min(config["context"], MOST)
    st.header("Rotary positions")
    st.markdown(
        f"This model adds no position vectors. It turns each pair of numbers of every query and key by an angle that "
        f"grows with the position: {d_head // 2:,} pairs a head, the fastest by one radian a character, the slowest by "
        f"{10_000 ** (-(d_head - 2) / d_head):.4f}. What is left of a match between a query and a key then depends on "
        "their distance alone: below, for a query and a key with all numbers alike, the mean of cos(distance × rate)."
    )
    values = similarity[:context, :context]
    plot(by_distance(values, "what is left of a match"), "rotary")
    labels = [str(i) for i in range(context)]
    figure = resemblance(values, labels, "match", True, "position")
    plot(figure, "rotary-map")


def page() -> None:
    """Everything of one run."""
    left, middle, right = st.columns([5, 4, 7], gap="medium")
    with left:
        run = choose_run()
    with middle:
        step = choose_weights(run)
    try:
        model, tokenizer = loaders.model(run, step)
    except (BardlabError, OSError) as error:
        tell.error(f"{error}. Choose another run, or other weights, above.", icon=":material/folder_off:")
        return
    found = {table.key: table for table in tables(model)}
    names = {key: table.title for key, table in found.items()}
    if model.position_scheme == "rotary":
        names["rotary"] = "positions (rotary)"
    with right:
        chosen = one_of(
            "Vectors", names, "vectors", "Which of the model's tables: what it reads, what it writes, where."
        )
    if chosen == "rotary" and (similarity := position_similarity(model)) is not None:
        rotary(run, similarity)
    else:
        table = found[chosen]
        the_map(run, table, tokenizer.chars)
        tell.caption(f"{table.about} {len(table.vectors)} vectors of {table.vectors.shape[1]} numbers.")
        price_tag(run, step)
        who_resembles_whom(table, tokenizer.chars)
    if model.position_scheme == "order":
        with st.container(horizontal=True, vertical_alignment="center"):
            title = RUNGS[run.rung_key].title
            st.caption(f"A {title} has no position vectors: it knows places by their order. With:", width="content")
            for key in rungs_with_positions():
                st.page_link(rung_page(key), label=RUNGS[key].title)
    elif model.position_scheme == "none":
        st.caption("This model was trained without positions: it has no vectors for them.")
    inside_links(run)


state.notices()
page()
