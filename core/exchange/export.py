"""A run's curves and settings for use outside the lab: a picture, a table, JSON."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import files
from core.errors import BardlabError
from core.runs import layout, plan, records
from core.runs.metrics import CHARACTERS, SECONDS, TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run

EXPORT, PLOT, CURVES, SETTINGS = "export", "training_plot.png", "curves.csv", "config.json"
PLACE = ("step", "seconds", "characters", "flops")
"""Where a point of a curve stands: the first columns of a table of curves."""
POINTS = 5000  # more of them cannot be told apart on paper

_drawing = Lock()  # Matplotlib does not promise to draw in two threads at once


def training_plot(run: Run, target: Path | None = None) -> Path:
    """Draw a run's training and validation loss against the step, by default into `export/training_plot.png`.

    Returns the file. Raises BardlabError if the run is damaged or has no curve yet, Matplotlib is not installed, or
    the file cannot be written.
    """
    file = target or run.path / EXPORT / PLOT
    with _drawing:
        figure = _figure(run)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(file) as out:
                figure.savefig(out, format="png")
        except OSError as error:
            raise BardlabError(f"cannot write {file}: {files.explain(error)}") from None
    return file


def plot_svg(run: Run) -> str:
    """Draw the same picture as the text of an SVG element. Raises BardlabError as `training_plot` does."""
    with _drawing:
        return _svg(_figure(run))


def _svg(figure: Any) -> str:
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bardlab"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()[out.getvalue().index("<svg") :]


def _axes(title: str) -> tuple[Any, Any]:
    """Return a figure and its axes, made without the global state that two threads would share."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise BardlabError("drawing needs Matplotlib; install it with: pip install matplotlib") from None
    figure = Figure(figsize=(10, 6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlabel="step", ylabel="loss (nats per character)")
    axes.set_title(_drawable(title), parse_math=False)
    axes.grid(alpha=0.2)
    return figure, axes


def _figure(run: Run) -> Any:
    characters = len(run.need().characters)
    metrics = MetricsReader(run.path).refresh()
    train_steps, train = _finite(*metrics.curve(TRAIN_LOSS))  # (n,) each
    val_steps, val = _finite(*metrics.curve(VAL_LOSS))  # (m,) each
    if not len(train) and not len(val):
        raise BardlabError(f"run {run.slug} has no curve to draw yet; train it first")
    figure, axes = _axes(run.name)
    if len(train):
        thin = slice(None, None, math.ceil(len(train) / POINTS))
        axes.plot(train_steps[thin], train[thin], color="tab:blue", alpha=0.25, linewidth=0.8, label="training loss")
        weight = min(0.98, max(0.6, 1 - 50 / len(train)))  # the mean lags by a fiftieth of the curve
        mean = smoothed(train, weight)[thin]
        label = f"training loss, smoothed ({weight:.2f})"
        marker = "none" if len(train) > 1 else "."  # one point makes no line
        axes.plot(train_steps[thin], mean, color="tab:blue", linewidth=1.2, marker=marker, label=label)
    if len(val):
        label = f"validation loss, last {val[-1]:.4f}"
        axes.plot(val_steps, val, "o-", color="tab:blue", linewidth=2.5, markersize=6, label=label)
    uniform = math.log(characters)
    axes.axhline(
        uniform, color="tab:gray", linestyle="--", linewidth=1, label=f"uniform: ln {characters} = {uniform:.3f}"
    )
    axes.legend(loc="upper right")
    return figure


def overlay_svg(compared: Sequence[Run], labels: Sequence[str]) -> str | None:
    """Draw the validation losses of several runs as the text of an SVG element; None if none has been evaluated."""
    with _drawing:
        figure, axes = _axes("Validation loss")
        drawn = 0
        for run, label in zip(compared, labels, strict=True):
            points = records.validation_curve(run.path)
            drawn += len(points)
            name = "\u200a" + _drawable(label)  # a label that begins with _ would be left out
            axes.plot([s for s, _ in points], [v for _, v in points], "o-", linewidth=2, markersize=4, label=name)
        for entry in axes.legend(loc="upper right", fontsize="small").get_texts():
            entry.set_parse_math(False)
        return _svg(figure) if drawn else None


def curves_csv(run: Run, target: Path | None = None) -> Path:
    """Write every curve of a run, by default into `export/curves.csv`: a line a step, blank where a curve has none.

    Seconds, characters and FLOPs are those up to the step. Returns the file. Raises BardlabError if the run is damaged
    or has no curve yet, or the file cannot be written.
    """
    tags = _tags(run)
    rows = list(_rows(run, tags))
    if not rows:
        raise BardlabError(f"run {run.slug} has no curve yet; train it first")
    return written(run, CURVES, _table([*PLACE, *tags], rows), target)


def curves_of(runs: Sequence[Run]) -> bytes:
    """Return the curves of several runs as one CSV: which run in the first two columns, then as in `curves_csv`.

    Raises BardlabError if a run is damaged or none has a curve yet.
    """
    tags = sorted({tag for run in runs for tag in _tags(run)})
    rows = [[run.slug, _cell(run.name), *row] for run in runs for row in _rows(run, tags)]
    if not rows:
        raise BardlabError("none of these runs has a curve yet; train one first")
    return _table(["run", "name", *PLACE, *tags], rows)


def _tags(run: Run) -> list[str]:
    run.need()
    return [tag for tag in MetricsReader(run.path).refresh().tags() if tag not in (SECONDS, CHARACTERS)]


def _rows(run: Run, tags: Sequence[str]) -> Iterator[list[str]]:
    """Yield a line a step of a run: its place, then a column for each of `tags`."""
    per_step = plan.flops_per_step(run)
    metrics = MetricsReader(run.path).refresh()
    curves = {tag: dict(zip(*(column.tolist() for column in metrics.curve(tag)), strict=True)) for tag in tags}
    steps = sorted({step for curve in curves.values() for step in curve})
    seconds, characters = metrics.at(SECONDS, np.array(steps)), metrics.at(CHARACTERS, np.array(steps))
    for i, step in enumerate(steps):
        place = [f"{step:.0f}", _figure_of(seconds[i], ".3f"), _figure_of(characters[i], ".0f")]
        values = [f"{curves[tag][step]:.7g}" if step in curves[tag] else "" for tag in tags]
        yield [*place, f"{per_step * step:.6g}", *values]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(name) for name in head])
    writer.writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def _cell(text: str) -> str:
    """A name from a file that no spreadsheet takes for a formula."""
    return text if text[:1].isalnum() else f"'{text}"


def _figure_of(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else ""


def config_json(run: Run, target: Path | None = None) -> Path:
    """Write what was asked for, by default into `export/config.json`. Raises BardlabError as `curves_csv` does."""
    return written(run, SETTINGS, run.need().model_dump_json(indent=2, exclude={"owner"}).encode(), target)


def weights(run: Run, target: Path | None = None) -> Path:
    """Return the file of a run's newest weights, a safetensors file, or copy it. Raises BardlabError if none."""
    run.need()
    if not run.usable:
        raise BardlabError(f"run {run.slug} has no weights yet; train it first")
    file = run.path / layout.WEIGHTS
    return file if target is None else written(run, layout.WEIGHTS, files.read(file), target)


def written(run: Run, name: str, content: bytes, target: Path | None = None) -> Path:
    """Write one export of a run, by default into its folder. Returns the file. Raises BardlabError if it cannot be."""
    file = target or run.path / EXPORT / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, content)
    except OSError as error:
        raise BardlabError(f"cannot write {file}: {files.explain(error)}") from None
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
