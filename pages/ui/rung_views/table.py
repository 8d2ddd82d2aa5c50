"""Every view of a rung's page by name, as the rungs declare them."""

from collections.abc import Callable, Mapping

from core.errors import BardlabError
from core.runs.state import Run
from pages.ui.rung_views.dilations import dilations
from pages.ui.rung_views.embeddings import embeddings
from pages.ui.rung_views.layers import layers
from pages.ui.rung_views.memory import cell_gates, memory_span
from pages.ui.rung_views.novelty import novelty
from pages.ui.rung_views.pairs import pairs
from pages.ui.rung_views.parameters import parameters
from pages.ui.rung_views.positions import positions
from pages.ui.rung_views.reach import receptive_field
from pages.ui.rung_views.twins import by_depth, gap
from pages.ui.rung_views.units import units
from pages.ui.rung_views.updates import gradients, updates


def gradients_of_twins(run: Run) -> None:
    """The gradients of a run beside those of its twin."""
    twins = run.need().rung.twins
    gradients(run, twins.setting if twins else None)


VIEWS: Mapping[str, Callable[[Run], None]] = {
    drawn.__name__: drawn
    for drawn in (
        by_depth,
        cell_gates,
        dilations,
        embeddings,
        gap,
        gradients,
        gradients_of_twins,
        layers,
        memory_span,
        novelty,
        pairs,
        parameters,
        positions,
        receptive_field,
        units,
        updates,
    )
}


TITLES: Mapping[str, str] = {
    "by_depth": "Depth",
    "gap": "Overfitting",
    "gradients_of_twins": "Gradients",
    "novelty": "Copied or new",
    "pairs": "The table",
    "receptive_field": "Reach",
}
"""What the page calls a view, where its name alone does not say it."""


def title_of(name: str) -> str:
    """Return what the page calls a view."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def view(name: str) -> Callable[[Run], None]:
    """Return the view of this name. Raises BardlabError if there is none."""
    if name not in VIEWS:
        raise BardlabError(f"there is no view {name!r}; the rung's declaration may name {', '.join(VIEWS)}")
    return VIEWS[name]
