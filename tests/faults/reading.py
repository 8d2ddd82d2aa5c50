"""Faults in what is read: damaged files, and very many of them."""

import json
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from core import paths
from core.errors import BardlabError
from core.jobs import work
from core.runs import checkpoints, layout, reading, records, state
from core.runs import folder as runs_folder
from core.runs.folder import State
from core.runs.metrics import CHARACTERS, SECONDS, TRAIN_LOSS, VAL_LOSS, MetricsReader, MetricsWriter
from core.runs.state import Run
from tests.conftest import make_run
from tests.pages.test_pages import draw

FRAME = Path(__file__).parents[2] / "pages" / "frame.py"
HARMS = {
    "truncated": lambda content: content[: len(content) // 2],
    "bit flipped": lambda content: (
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 4]) + content[len(content) // 2 + 1 :]
    ),
    "empty": lambda content: b"",
}


def said_of(run: Run) -> str | None:
    """What is said of a run's damage: in the list, when its weights are loaded, or when its curves are drawn."""
    if run.damage:
        return run.damage
    try:
        checkpoints.load_model(run)
    except BardlabError as error:
        return str(error)
    read = MetricsReader(run.path).refresh()
    steps, _ = read.curve(TRAIN_LOSS)
    if read.damage or not len(steps) or steps[-1] < run.status.step:
        return read.damage or "its curves are not whole"
    return None


def damaged_files(pages: bool = True) -> dict[str, Any]:
    """Damage each file of a finished run in turn: the run says so, the one beside it is not affected."""
    source = work.work(make_run("transformer").path)
    good = reading.read(shutil.copytree(source.path, paths.runs() / "transformer-good-run"))
    events = next(source.path.glob("events.out.tfevents.*")).name
    said: dict[str, str | None] = {}
    unaffected = drawn = 0
    for name in (events, runs_folder.STATUS, runs_folder.CONFIG, layout.WEIGHTS):
        content = (source.path / name).read_bytes()
        for how, harm in HARMS.items():
            (source.path / name).write_bytes(harm(content))
            bad = reading.read(source.path)
            said[f"{name.split('.')[0]} {how}"] = said_of(bad)
            unaffected += said_of(good) is None and reading.read(good.path) == good and good in reading.list_runs()
            if pages:
                draw("use/runs.py")
                app = draw("ladder/transformer.py", run=bad.slug)
                drawn += any("amaged" in said.value for said in (*app.error, *app.warning))
            (source.path / name).write_bytes(content)
    assert said_of(reading.read(source.path)) is None
    silent = [where for where, text in said.items() if not text]
    return {
        "damaged": len(said),
        "told": len(said) - len(silent),
        "not told": silent,
        "others unaffected": unaffected,
        "shown on its page": drawn if pages else None,
        "ok": unaffected == len(said) and not silent and (drawn == len(said) or not pages),
    }


def many_runs(count: int = 100, points: int = 100_000, updates: int = 10) -> dict[str, Any]:
    """Put many long runs on disk; time the Runs page and an update of the live view, which sends only what is new.

    The event file is written once and shared between the runs as a hard link: a run's folder, as it is read, does not
    tell the difference.
    """
    first = make_run("bigram", steps=100_000)
    writer = MetricsWriter(first.path)
    for step in range(points):
        values = {TRAIN_LOSS: 2.5 + 1.0 / (1 + step), SECONDS: step * 0.001, CHARACTERS: step * 64.0}
        writer._writer.add_event(_event(step, values | {"train/lr": 1e-3, "train/grad_norm": 0.5}))
    writer.add(points, {VAL_LOSS: 2.5})
    writer.close()
    events = next(first.path.glob("events.out.tfevents.*"))
    update = {"state": State.FINISHED, "step": points, "of": points, "seconds": 100.0, "val_loss": 2.5}
    state.write_status(first.path, first.status.model_copy(update=update))
    for number in range(1, count):
        folder = paths.runs() / f"bigram-many-{number:03d}"
        folder.mkdir()
        for name in (runs_folder.CONFIG, runs_folder.STATUS):
            shutil.copy(first.path / name, folder / name)
        os.link(events, folder / events.name)
    listed = len(reading.list_runs())
    listing = _median(lambda: reading.list_runs(), 5)
    draw("use/runs.py")  # loads the libraries
    page = _median(lambda: draw("use/runs.py"), 3)
    began = time.perf_counter()
    reader = MetricsReader(first.path).refresh()
    opening = time.perf_counter() - began
    with runs_folder.hold(first.path):
        running = first.status.model_copy(update={**update, "state": State.RUNNING, "of": 2 * points})
        state.write_status(first.path, running)
        app = draw("ladder/bigram.py", run=first.slug)
        times, sizes = [], []
        more = MetricsWriter(first.path)
        for number in range(updates):
            more.add(points + 1 + number, {TRAIN_LOSS: 2.4, SECONDS: 101.0 + number, CHARACTERS: 1e7})
            more.flush()
            took, size = _fragment(app)
            times.append(took)
            sizes.append(size)
        more.close()
    assert len(reader.curve(TRAIN_LOSS)[0]) == points
    return {
        "runs": count,
        "points a run": points,
        "listing s": round(listing, 3),
        "Runs page s": round(page, 3),
        "first reading of a curve s": round(opening, 2),
        "live update, median s": round(statistics.median(times), 3),
        "live update, longest s": round(max(times), 3),
        "largest update, bytes": max(sizes),
        "ok": listed == count and max(sizes) < 5000,
    }


def _event(step: int, values: dict[str, float]) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    rows = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(step=step, wall_time=1.7e9 + step, summary=Summary(value=rows))


def _fragment(app: AppTest) -> tuple[float, int]:
    """Do what an update of the live view does on the server, read what is new and make the message: seconds, bytes."""
    from pages.ui.components.charts.curves import pack
    from pages.ui.run.run_curves import loss_curves

    run = reading.find(json.loads(json.dumps(app.selectbox(key="run").value)))
    have = {curve.id: len(curve.value) - 1 for curve in loss_curves(run)}
    began = time.perf_counter()
    run = reading.find(run.slug)
    others = reading.list_runs(shipped=True)
    message = pack({}, loss_curves(run), have)
    records.samples(run.path)
    assert len(message) and others
    return time.perf_counter() - began, len(message)


def _median(action: Any, times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    return statistics.median(took)
