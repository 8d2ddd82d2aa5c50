"""Views that several rungs share: each takes a run and draws one thing."""

import numpy as np
import streamlit as st

from core.errors import BardlabError
from core.inspect.embeddings import Film, film, neighbours
from core.runs import checkpoints, layout, reading
from core.runs.state import Run
from core.texts.character_classes import character_class
from core.texts.labels import visible
from pages.ui import loaders, tell, wording
from pages.ui.choosers import in_view
from pages.ui.components.charts.embedding_film import embedding_film
from pages.ui.plots.colours import colours
from pages.ui.rung_views.absent import of_weights

EMBEDDING = "token_embedding.weight"


@st.cache_resource(max_entries=16, show_spinner=False)
def _film(slug: str, moments: tuple[tuple[int | None, float], ...]) -> tuple[Film, list[list[int]]]:
    """The maps of snapshots (step, when written), None the newest weights; each character's nearest in the last one."""
    tables = [_embedding(slug, step, written) for step, written in moments]
    return film(tables), neighbours(tables[-1])


@st.cache_data(max_entries=400, show_spinner=False)
def _embedding(slug: str, step: int | None, version: float) -> np.ndarray:
    return checkpoints.load_tensor(reading.find(slug), EMBEDDING, step)


def _moments(run: Run) -> list[tuple[str, int | None, float]]:
    """(what moment it is, step, when it was written) of every snapshot, and of the newest weights (None) if newer."""
    steps: list[int | None] = list(layout.snapshot_steps(run.path))
    newest = run.status.checkpoint_step
    if run.usable and newest is not None and newest not in steps:
        steps.append(None)
    read = loaders.reader(run)
    known, losses = read.curve("val/loss")
    loss_at = dict(zip(known.astype(int).tolist(), losses.tolist(), strict=True))
    found = []
    for step in steps:
        at = newest if step is None else step
        loss = f", validation {wording.loss(loss_at[at])}" if at in loss_at else ""
        found.append((f"step {at:,}{loss}", step, layout.weights_path(run.path, step).stat().st_mtime))
    return found


@of_weights
def embeddings(run: Run) -> None:
    """The learned vectors of the characters: a map that moves as they are learned."""
    st.header("Which characters are alike")
    every = 6.0 if run.state.active else None
    st.fragment(_moving_map, run_every=every)(run.slug)


def _moving_map(slug: str) -> None:
    try:
        run = reading.find(slug)
        characters = run.need().characters
        moments = _moments(run)
        found, near = _film(slug, tuple((step, written) for _, step, written in moments))
    except (BardlabError, OSError) as error:
        tell.warning(f"The embeddings cannot be read: {error}", icon=":material/broken_image:")
        return
    first, second = found.explained[-1]
    flat = found.dimensions == 1
    where = "a line" if flat else "the plane in which they differ most"
    held = "" if flat else f"; it holds {first + second:.0%} of their variance ({first:.0%} and {second:.0%})"
    st.caption(
        f"Each character is {'one number' if flat else f'a vector of {found.dimensions:,} numbers'}, learned with the "
        f"rest. Here they lie on {where}{held}. Characters that are used alike come to lie close together. Play shows "
        f"how they got there over {len(moments)} saved steps, each map turned to lie like the one before."
    )
    left, right = st.columns([3, 1], gap="large")
    with left:
        embedding_film(
            found.places,
            [visible(c) for c in characters],
            [character_class(c) for c in characters],
            [caption for caption, _, _ in moments],
            colours=colours(),
            line=flat,
            key="embedding-film",
        )
    character = in_view.choice(
        right.selectbox,
        "Nearest to",
        list(characters),
        name="near",
        default=characters[max(0, characters.find("a"))],
        format_func=visible,
        key="embedding.near",
        help="By the angle between the vectors (cosine), in all their dimensions, in the newest weights.",
    )
    at = characters.index(character)
    right.markdown(" ".join(wording.inline(visible(characters[i])) for i in near[at][:8]))
    if flat:
        right.caption("With one number a character, the angle between two is either nothing or half a turn.")
