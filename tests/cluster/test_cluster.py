"""Runs on a real Ray cluster of two nodes on this machine: sent, steered, lost with their node, resumed elsewhere.

On Linux alone: a cluster of several nodes is what Ray has for it, and what is kept to 127.0.0.1 is kept there.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from core import paths
from core.cli.main import cli
from core.errors import BardlabError
from core.jobs import control, queue, work
from core.jobs.launchers import launcher
from core.runs import folder, plan, reading, records
from core.runs.folder import State
from core.runs.metrics import VAL_LOSS, MetricsReader
from core.runs.state import Run
from tests.cluster.nodes import LOOPBACK, Cluster, kill
from tests.conftest import make_run
from tests.faults.training import same

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.started]

SHORT = {"steps": 600, "eval_every": 300, "sample_chars": 5, "seed": 5}
ENDLESS = {"steps": 100_000, "eval_every": 10_000, "sample_chars": 5, "seed": 5}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head of one core, to which all jobs go."""
    with (
        tempfile.TemporaryDirectory(prefix="bl-ray-", ignore_cleanup_errors=True) as place,
        Cluster(Path(place)) as found,
    ):
        monkeypatch.setenv(paths.CLUSTER, found.address)
        yield found


def until(run: Run, *states: State, step: int = 0, seconds: float = 180) -> Run:
    """Follow a run as a page does."""
    last = time.monotonic() + seconds
    while (run := control.look_after(reading.read(run.path))).state not in states or run.status.step < step:
        assert time.monotonic() < last, run.status
        time.sleep(0.1)
    return run


def test_runs_on_a_cluster(sent: Cluster, monkeypatch: pytest.MonkeyPatch):
    """One computes on two nodes, one is steered, one waits and is taken out, one loses its node and goes on elsewhere.

    One story in one cluster: its start and each job cost seconds, whatever is asserted of them.
    """
    second = sent.add()
    wide = on_two_nodes(sent)
    run = steered(sent)
    lost = until(control.pause(control.start(make_run("bigram", **SHORT)), 450), State.PAUSED)
    assert (run.status.node, run.status.device, lost.status.node) == ("head", "cpu", "second")
    taken_out_of_the_line(run, lost)
    kill(second)
    os.utime(lost.path / folder.PULSE, (0, 0))  # what its 15 s without a pulse would show
    lost = until(lost, State.LOST)
    assert "Resume goes on from step 450" in lost.status.message

    run = until(control.proceed(run), State.RUNNING, step=run.status.step + 1)
    assert "learning_rate changed" in records.alerts(run.path)[0].text
    stopped = until(control.stop(run), State.STOPPED)
    assert stopped.status.checkpoint_step == stopped.status.step
    ended = until(control.start(lost), State.FINISHED)
    assert ended.status.node == "head"
    monkeypatch.delenv(paths.CLUSTER)
    here = work.work(make_run("bigram", **SHORT).path)
    assert same(ended, here) and not here.status.node
    (steps, ours), (_, theirs) = (MetricsReader(each.path).refresh().curve(VAL_LOSS) for each in (wide, here))
    assert steps.tolist() == [300] and ours[0] == pytest.approx(theirs[0], abs=1e-4)


def steered(cluster: Cluster) -> Run:
    """What is asked of a run there is asked in its folder; it stays paused, so that it computes nothing meanwhile."""
    run = until(control.start(make_run("bigram", **ENDLESS)), State.RUNNING, step=1)
    assert folder.sent(run.path)["cluster"] == cluster.address
    assert launcher.of(run.path).where(run.path).startswith("127.0.0.1 (")
    paused = until(control.pause(run), State.PAUSED)
    control.change(paused, {"learning_rate": 0.5})
    stepped = until(control.single_step(paused), State.PAUSED, step=paused.status.step + 1)
    assert stepped.status.step == paused.status.step + 1
    return stepped


def on_two_nodes(cluster: Cluster) -> Run:
    """A run of two devices computes on both nodes, and is lost with one of its processes; the other ends with it.

    That it goes on when it is resumed is tried by `python -m tests.faults team`: each start takes 16 s of a processor.
    """
    with pytest.raises(BardlabError, match=r"is 3, and the cluster at .* has 2 places of 1 CPU; give at most 2"):
        control.check_place(plan.plan("bigram", train={"devices": 3, "batch_size": 6}, device="cpu"))
    wide = until(control.pause(control.start(make_run("bigram", **SHORT, devices=2)), 450), State.PAUSED)
    assert (wide.status.step, wide.status.node) == (450, "head + second") and cluster.listening() <= LOOPBACK
    assert launcher.of(wide.path).where(wide.path) == "head + second"
    working = cluster.processes("RayTrainWorker")
    assert len(working) == 2
    working[1].kill()
    wide = until(wide, State.LOST, seconds=30)
    assert wide.status.message.endswith("of 2 or its node died; Resume goes on from step 450"), wide.status.message
    assert not psutil.wait_procs(working, 10)[1]
    return wide


def taken_out_of_the_line(*busy: Run) -> None:
    """What does not fit waits in the cluster's line, is told so everywhere, and can be taken out."""
    waits = control.start(make_run("bigram", **SHORT))
    assert until(waits, State.QUEUED).status.message.startswith("waiting for the cluster")
    assert [each.path for each in queue.queue()] == [waits.path]
    with pytest.raises(BardlabError, match="whose order is the cluster's"):
        queue.move(waits, 1)
    told = json.loads(CliRunner().invoke(cli, ["cluster", "--json"]).stdout)
    assert [node["has"]["CPU"] for node in told["nodes"]] == [1.0, 1.0]
    there = {row["run"]: bool(row["node"]) for row in told["runs"]}
    assert there == {**{run.slug: True for run in busy}, waits.slug: False}
    with pytest.raises(BardlabError, match="no cuda device in the cluster"):
        control.begin(make_run("bigram", **SHORT).need().model_copy(update={"device": "cuda"}))
    taken_out = control.stop(waits)
    assert (taken_out.state, taken_out.status.message) == (State.STOPPED, "stopped; Resume goes on from the start")
