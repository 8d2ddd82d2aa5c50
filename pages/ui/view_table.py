"""Every view of a rung's page by name, as the rungs declare them."""

from collections.abc import Callable, Mapping

from core.errors import BardlabError
from core.runs import Run
from pages.ui.blocks import positions
from pages.ui.health import gradients, layers, updates
from pages.ui.pairs import pairs
from pages.ui.reach import dilations, receptive_field
from pages.ui.twins import by_depth, gap
from pages.ui.views import embeddings, parameters


def gradients_of_twins(run: Run) -> None:
    """The gradients of a run beside those of its twin."""
    twins = run.need().rung.twins
    gradients(run, twins.setting if twins else None)


VIEWS: Mapping[str, Callable[[Run], None]] = {
    drawn.__name__: drawn
    for drawn in (
        by_depth,
        dilations,
        embeddings,
        gap,
        gradients,
        gradients_of_twins,
        layers,
        pairs,
        parameters,
        positions,
        receptive_field,
        updates,
    )
}


def view(name: str) -> Callable[[Run], None]:
    """Return the view of this name. Raises BardlabError if there is none."""
    if name not in VIEWS:
        raise BardlabError(f"there is no view {name!r}; the rung's declaration may name {', '.join(VIEWS)}")
    return VIEWS[name]
