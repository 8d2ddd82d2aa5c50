"""Pictures of a run for use outside the lab."""

import math
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from core import runs
from core.errors import BardlabError
from core.metrics import TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs import Run

EXPORT, PLOT = "export", "training_plot.png"
POINTS = 5000  # more of them cannot be told apart on paper

_drawing = Lock()  # Matplotlib does not promise to draw in two threads at once


def training_plot(run: Run) -> Path:
    """Draw a run's training and validation loss against the step into `export/training_plot.png` in its folder.

    Returns the file. Raises BardlabError if the run is damaged or has no curve yet, Matplotlib is not installed, or
    the file cannot be written.
    """
    characters = len(run.need().characters)
    metrics = MetricsReader(run.path).refresh()
    train_steps, train = _finite(*metrics.curve(TRAIN_LOSS))  # (n,) each
    val_steps, val = _finite(*metrics.curve(VAL_LOSS))  # (m,) each
    if not len(train) and not len(val):
        raise BardlabError(f"run {run.slug} has no curve to draw yet; train it first")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise BardlabError("drawing needs Matplotlib; install it with: pip install matplotlib") from None
    file = run.path / EXPORT / PLOT
    with _drawing:
        figure = Figure(figsize=(10, 6), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        if len(train):
            thin = slice(None, None, math.ceil(len(train) / POINTS))
            axes.plot(train_steps[thin], train[thin], color="tab:blue", alpha=0.25, linewidth=1, label="training loss")
            weight = min(0.98, max(0.6, 1 - 50 / len(train)))  # the mean lags by a fiftieth of the curve
            mean = smoothed(train, weight)[thin]
            label = f"training loss, smoothed ({weight:.2f})"
            marker = "none" if len(train) > 1 else "."  # one point makes no line
            axes.plot(train_steps[thin], mean, color="tab:blue", linewidth=1.75, marker=marker, label=label)
        if len(val):
            label = f"validation loss, last {val[-1]:.4f}"
            axes.plot(val_steps, val, "o", color="tab:orange", markersize=5, label=label)
        uniform = math.log(characters)
        label = f"uniform: ln {characters} = {uniform:.3f}"
        axes.axhline(uniform, color="tab:gray", linestyle="--", linewidth=1, label=label)
        axes.set(xlabel="step", ylabel="loss (nats per character)")
        axes.set_title(_drawable(run.name), parse_math=False)
        axes.grid(alpha=0.2)
        axes.legend(loc="upper right")
        try:
            file.parent.mkdir(exist_ok=True)
            with runs.replacing(file) as out:
                figure.savefig(out, format="png")
        except OSError as error:
            raise BardlabError(f"cannot write {file}: {runs.explain(error)}") from None
    return file


def smoothed(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return the exponential mean (n,) of values (n,), divided by what a start from zero has held back.

    `weight` is how much of the past each point carries: 0 gives the values as they are.
    """
    means, mean, decay = np.empty_like(values), 0.0, 1.0
    for i, value in enumerate(values):
        mean = weight * mean + (1 - weight) * float(value)
        decay *= weight
        means[i] = mean / (1 - decay)
    return means


def _finite(steps: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points (n,) each whose value is a number."""
    keep = np.isfinite(values)
    return steps[keep], values[keep]


def _drawable(text: Iterable[str]) -> str:
    """Put a question mark for each character that Matplotlib's font lacks."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    return "".join(c if font.get_char_index(ord(c)) else "?" for c in text)
