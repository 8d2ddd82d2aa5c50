"""How the numbers of each weight are spread, and how that changes along a run's snapshots."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.errors import BardlabError
from core.inspect.history import Spread, spread
from core.runs import checkpoints, layout, reading
from core.runs.state import Run
from pages.ui import tell
from pages.ui.choosers import in_view
from pages.ui.plots.colours import SEQUENTIAL
from pages.ui.plots.figure import figure as plot

FEWEST = 16
"""Numbers below which a weight makes no histogram."""


def weights_over_time(run: Run) -> None:
    """Choose a weight; draw its histogram at each snapshot, side by side."""
    steps = layout.snapshot_steps(run.path)
    if not run.usable or len(steps) < 2:
        return
    st.header("Weights over time")
    try:
        shapes = checkpoints.tensors(run)
        size = {name: _count(shape) for name, shape in shapes.items()}
        names = [name for name in shapes if size[name] >= FEWEST]
        if not names:
            st.caption("This model has no weight of more than a few numbers.")
            return
        name = in_view.choice(
            st.selectbox,
            "Weight",
            names,
            name="weight",
            default=max(names, key=size.__getitem__),
            format_func=lambda one: f"{one} ({' × '.join(f'{n:,}' for n in shapes[one])})" if one in shapes else one,
            key="weights.name",
            width=420,
            help="Each matrix or vector of the model, by its path in it. Read from the snapshots now, not in training.",
        )
        moments = tuple((step, layout.snapshot_path(run.path, step).stat().st_mtime) for step in steps)
        found = _spread(run.slug, name, moments)
    except (BardlabError, OSError) as error:
        tell.warning(f"The weights cannot be read: {error}", icon=":material/broken_image:")
        return
    plot(_histograms(found, steps), "weights.histograms")
    tell.caption(
        f"Each column is the histogram of {name} at one snapshot. Its numbers spread by "
        f"{found.deviation[0]:.4f} at step {steps[0]:,} and {found.deviation[-1]:.4f} at step {steps[-1]:,} (standard "
        f"deviation); on the way each moved by {found.moved[-1]:.4f} (root mean square)."
    )


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


@st.cache_data(max_entries=64, show_spinner="Reading the snapshots")
def _spread(slug: str, name: str, moments: tuple[tuple[int, float], ...]) -> Spread:
    run = reading.find(slug)
    return spread([checkpoints.load_tensor(run, name, step) for step, _ in moments])


def _histograms(found: Spread, steps: list[int]) -> go.Figure:
    """Snapshots from left to right, values upwards; the brighter, the more numbers."""
    middle = (found.edges[:-1] + found.edges[1:]) / 2
    figure = go.Figure(
        go.Heatmap(
            z=found.shares.T,
            x=[f"{step:,}" for step in steps],
            y=middle,
            colorscale=SEQUENTIAL,
            zmin=0,
            zmax=float(np.median(found.shares.max(axis=1))),  # a bias begins as a single value: that is no scale
            colorbar={"thickness": 10, "tickformat": ".0%", "title": {"text": "share", "side": "right"}},
            hovertemplate="step %{x}, around %{y:.3g}: %{z:.2%}<extra></extra>",
        )
    )
    figure.update_xaxes(title="step", type="category")
    figure.update_yaxes(title="value")
    figure.update_layout(height=320, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure
