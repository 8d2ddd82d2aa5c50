"""Pages of a lab whose runs go to a cluster that cannot be reached: told in one line, runs on disk stay readable."""

import pytest

from core import paths
from core.jobs import processes
from core.runs import folder, reading
from core.runs.folder import State
from core.runs.state import Run
from tests.conftest import make_run
from tests.pages.test_pages import draw


def test_a_cluster_that_cannot_be_reached_is_told_and_what_is_on_disk_is_shown(
    monkeypatch: pytest.MonkeyPatch, finished: Run
):
    monkeypatch.setattr(processes, "warm", lambda: None)
    gone = "http://127.0.0.1:1"
    monkeypatch.setenv(paths.CLUSTER, gone)
    waits, busy = make_run("bigram"), make_run("bigram")
    for run in (waits, busy):
        folder.put_job(run.path, gone, f"job of {run.slug}")
    running = {"state": State.RUNNING, "pid": 1, "step": 2, "of": 4, "device": "cpu", "node": "bench_3*"}
    folder.write_status(busy.path, folder.read_status(busy.path) | running)
    (busy.path / folder.PULSE).touch()

    app = draw("use/runs.py")
    [told] = [str(each.value) for each in app.warning]
    assert told.startswith("the cluster at http") and "cannot be reached" in told
    table = app.dataframe[0].value.set_index("name")
    assert sorted(table["state"]) == ["finished", "queued", "running"]
    assert "CPU of bench_3*" in list(table["device"])
    words = " ".join(str(each.value) for each in app.markdown)
    assert "Waiting for a device:** 1 run" in words and "cannot be reached" in words
    buttons = [each.key for each in app.button]
    assert f"runs.queue.cancel.{waits.slug}" in buttons and f"runs.queue.first.{waits.slug}" not in buttons

    app = draw("ladder/bigram.py")
    assert any("cannot be reached" in str(each.value) for each in app.warning)
    before = [run.slug for run in reading.list_runs()]
    app.button(key="bigram.train").click().run()
    assert not app.exception and [run.slug for run in reading.list_runs()] == before
    assert app.error
