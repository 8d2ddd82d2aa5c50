"""Runs on a real Ray cluster of two nodes on this machine: sent, steered, lost with their node, resumed elsewhere."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from core import paths
from core.cli.main import cli
from core.errors import BardlabError
from core.jobs import control, queue, work
from core.jobs.launchers import launcher
from core.runs import folder, reading, records
from core.runs.folder import State
from core.runs.state import Run
from tests.cluster.nodes import LOOPBACK, Cluster, kill
from tests.conftest import make_run
from tests.faults.training import same

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
pytestmark = [pytest.mark.cluster, pytest.mark.long]

SHORT = {"steps": 20, "eval_every": 10, "sample_chars": 5, "seed": 5}
ENDLESS = {"steps": 100_000, "eval_every": 10_000, "sample_chars": 5, "seed": 5}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with (
        tempfile.TemporaryDirectory(prefix="bl-ray-", ignore_cleanup_errors=True) as place,
        Cluster(Path(place)) as found,
    ):
        yield found


@pytest.fixture
def sent(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv(paths.CLUSTER, cluster.address)
    return cluster


def until(run: Run, *states: State, step: int = 0, seconds: float = 180) -> Run:
    """Follow a run as a page does."""
    last = time.monotonic() + seconds
    while (run := control.look_after(reading.read(run.path))).state not in states or run.status.step < step:
        assert time.monotonic() < last, run.status
        time.sleep(0.1)
    return run


def test_a_run_on_the_cluster_is_the_run_that_it_is_here(sent: Cluster, monkeypatch: pytest.MonkeyPatch):
    run = control.start(make_run("bigram", **SHORT))
    assert folder.sent(run.path)["cluster"] == sent.address
    ended = until(run, State.FINISHED)
    assert (ended.status.node, ended.status.device) == ("head", "cpu")
    assert launcher.of(run.path).where(run.path).startswith("127.0.0.1 (")
    assert sent.listening() <= LOOPBACK
    monkeypatch.delenv(paths.CLUSTER)
    here = work.work(make_run("bigram", **SHORT).path)
    assert same(ended, here) and not here.status.node


def test_what_is_asked_of_a_run_there_is_asked_in_its_folder(sent: Cluster):
    run = until(control.start(make_run("bigram", **ENDLESS)), State.RUNNING, step=1)
    paused = until(control.pause(run), State.PAUSED)
    control.change(paused, {"learning_rate": 0.5})
    stepped = until(control.single_step(paused), State.PAUSED, step=paused.status.step + 1)
    assert stepped.status.step == paused.status.step + 1
    until(control.proceed(stepped), State.RUNNING, step=stepped.status.step + 1)
    assert "learning_rate changed" in records.alerts(run.path)[0].text

    waits = control.start(make_run("bigram", **SHORT))
    assert until(waits, State.QUEUED).status.message.startswith("waiting for the cluster")
    assert [each.path for each in queue.queue()] == [waits.path]
    with pytest.raises(BardlabError, match="whose order is the cluster's"):
        queue.move(waits, 1)
    told = json.loads(CliRunner().invoke(cli, ["cluster", "--json"]).stdout)
    assert [node["has"]["CPU"] for node in told["nodes"]] == [1.0]
    assert {row["run"]: bool(row["node"]) for row in told["runs"]} == {run.slug: True, waits.slug: False}
    with pytest.raises(BardlabError, match="no cuda device in the cluster"):
        control.begin(make_run("bigram", **SHORT).need().model_copy(update={"device": "cuda"}))
    taken_out = control.stop(waits)
    assert (taken_out.state, taken_out.status.message) == (State.STOPPED, "stopped; Resume goes on from the start")

    ended = until(control.stop(run), State.STOPPED)
    assert ended.status.checkpoint_step == ended.status.step
    assert until(control.start(taken_out), State.FINISHED).status.step == 20


def test_a_run_whose_node_dies_is_lost_and_goes_on_elsewhere(sent: Cluster, monkeypatch: pytest.MonkeyPatch):
    settings = {**SHORT, "steps": 600, "eval_every": 300}
    other = until(control.start(make_run("bigram", **ENDLESS)), State.RUNNING, step=1)
    second = sent.add()
    lost = until(control.pause(control.start(make_run("bigram", **settings)), 450), State.PAUSED)
    assert (other.status.node, lost.status.node) == ("head", "second")
    kill(second)
    died = time.monotonic()
    lost = until(lost, State.LOST)
    assert time.monotonic() - died < 30
    assert "Resume goes on from step 450" in lost.status.message
    control.stop(until(other, State.RUNNING, step=reading.read(other.path).status.step + 1))
    ended = until(control.start(lost), State.FINISHED)
    assert ended.status.node == "head"
    monkeypatch.delenv(paths.CLUSTER)
    assert same(ended, work.work(make_run("bigram", **settings).path))
