"""The picture of a run's curves."""

import csv
import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest

from core import files as core_files
from core.errors import BardlabError
from core.exchange import export
from core.exchange.export import smoothed, training_plot
from core.runs import editing, folder, reading
from core.runs.metrics import TRAIN_LOSS, VAL_LOSS, MetricsWriter
from core.runs.state import Run
from core.studies import report
from tests.conftest import make_run


def with_curve(points: int, *, validation: bool = True) -> Run:
    """A run with a made-up curve."""
    run = make_run("bigram")
    writer = MetricsWriter(run.path)
    for step in range(points):
        writer.add(step, {TRAIN_LOSS: 2 + math.exp(-step / 50) + 0.1 * math.sin(step)})
        if validation and step % 100 == 0:
            writer.add(step, {VAL_LOSS: 2.1 + math.exp(-step / 50)})
    writer.close()
    return run


def size(file: Path) -> tuple[int, int]:
    """Width and height of a whole PNG, colours checked to be more than an empty frame."""
    from PIL import Image

    with Image.open(file) as image:
        image.load()
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20
        return image.size


def test_a_finished_run_is_drawn(finished: Run):
    """A PNG of a size fit for a page, in the run's own folder; drawn again, it takes the old one's place."""
    first = training_plot(finished)
    again = training_plot(finished)

    assert first == again == finished.path / "export" / "training_plot.png"
    assert size(first) == (1500, 900)
    assert 10_000 < first.stat().st_size < 500_000
    assert [p.name for p in first.parent.iterdir()] == ["training_plot.png"]


def test_the_axes_say_what_they_show(monkeypatch: pytest.MonkeyPatch):
    """Names of axes, title, legend and the landmark, read off the figure that is saved."""
    from matplotlib.figure import Figure

    saved: list[Figure] = []
    original = Figure.savefig

    def keep(figure: Figure, *args: object, **options: object) -> None:
        saved.append(figure)
        original(figure, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", keep)
    run = editing.rename(with_curve(300), "My run: 漢 (50 %)")
    training_plot(run)
    axes = saved[0].axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]

    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss (nats per character)")
    assert axes.get_title() == "My run: ? (50 %)"
    assert labels == [
        "training loss",
        "training loss, smoothed (0.83)",
        "validation loss, last 2.1183",
        "uniform: ln 65 = 4.174",
    ]
    assert [len(line.get_xdata()) for line in axes.get_lines()] == [300, 300, 3, 2]  # type: ignore[arg-type]
    assert axes.get_lines()[3].get_ydata()[0] == pytest.approx(math.log(65))  # type: ignore[index]


@pytest.mark.parametrize("points", [1, 2, 12_345])
def test_curves_of_any_length_are_drawn(points: int):
    """One point, two, and more than there are pixels."""
    assert size(training_plot(with_curve(points, validation=points > 1))) == (1500, 900)


def test_the_smoothed_curve_is_the_debiased_mean():
    """Equal to the weighted mean of everything so far, newest heaviest."""
    values = np.array([4.0, 1.0, 3.0, 2.0])
    weights = [0.9**i for i in range(4)]
    expected = [np.average(values[: i + 1], weights=weights[: i + 1][::-1]) for i in range(4)]

    assert smoothed(values, 0.9) == pytest.approx(expected)
    assert smoothed(values, 0.0) == pytest.approx(values)


def test_a_run_without_a_curve_is_refused():
    """Nothing to plot, nothing left behind; points that are not numbers do not count."""
    run = make_run("bigram")
    with pytest.raises(BardlabError, match="has no curve to draw yet"):
        training_plot(run)
    writer = MetricsWriter(run.path)
    writer.add(1, {TRAIN_LOSS: math.nan})
    writer.close()
    with pytest.raises(BardlabError, match="has no curve to draw yet"):
        training_plot(run)
    assert not (run.path / "export").exists()


def test_a_place_that_cannot_be_written_is_refused():
    """One line, as for everything else."""
    run = with_curve(3)
    (run.path / "export").touch()
    with pytest.raises(BardlabError, match="cannot write"):
        training_plot(run)


def test_several_threads_may_draw_at_once():
    """As two visitors of a page do."""
    drawn = [with_curve(20) for _ in range(2)]
    files: list[Path] = []
    threads = [threading.Thread(target=lambda r=r: files.append(training_plot(r))) for r in (*drawn, *drawn)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(files) == 4
    assert {size(file) for file in files} == {(1500, 900)}


def test_tables_and_reports_take_what_a_strangers_curves_hold(finished: Run):
    """Time that is no number is left blank, a name is no formula, and $ in a run's name is no mathematics."""
    writer = MetricsWriter(finished.path)
    writer.add(9, {"=HYPERLINK(1)": 1.0, "time/seconds": float("inf"), "time/characters": float("nan")})
    writer.close()
    head, *rows = list(csv.reader(export.curves_csv(finished).read_text().splitlines()))
    broken = next(row for row in rows if row[0] == "9")
    core_files.replace(finished.path / folder.LABEL, json.dumps({"name": r"a $\frac$"}).encode())
    other = make_run("transformer", seed=3)

    assert "'=HYPERLINK(1)" in head and broken[1:3] == ["", ""]
    assert "<svg" in report.lab_report([reading.read(finished.path), other]).read_text()
