"""Runs on a real Ray cluster of two nodes on this machine: sent, stopped, lost with their node, resumed elsewhere."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs import control, work
from core.jobs.launchers import launcher
from core.runs import folder, reading
from core.runs.folder import State
from core.runs.state import Run
from tests.cluster.nodes import Cluster
from tests.conftest import make_run
from tests.faults.training import same

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with (
        tempfile.TemporaryDirectory(prefix="bl-ray-", ignore_cleanup_errors=True) as place,
        Cluster(Path(place)) as found,
    ):
        yield found


@pytest.fixture
def sent(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv(launcher.CLUSTER, cluster.address)
    return cluster


def until(run: Run, state: State, step: int = 0, seconds: float = 60) -> Run:
    last = time.monotonic() + seconds
    while (run := control.look_after(reading.read(run.path))).state is not state or run.status.step < step:
        assert time.monotonic() < last, run.status
        time.sleep(0.1)
    return run


def test_a_run_on_the_cluster_is_the_run_that_it_is_here(sent: Cluster, monkeypatch: pytest.MonkeyPatch):
    run = control.start(make_run("bigram", steps=20, eval_every=10, sample_chars=5, seed=5))
    assert folder.sent(run.path)["cluster"] == sent.address
    ended = until(run, State.FINISHED)
    assert "127.0.0.1" in launcher.of(run.path).where(run.path)
    monkeypatch.delenv(launcher.CLUSTER)
    here = work.work(make_run("bigram", steps=20, eval_every=10, sample_chars=5, seed=5).path)
    assert same(ended, here)
