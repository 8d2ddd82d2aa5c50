"""A run of several processes in a cluster: taken out while it waits, told how it ended, heard by its nodes alone.

Needs Ray, and no cluster.
"""

import subprocess
import time
from typing import Any

import psutil
import pytest

from core.errors import BardlabError
from core.jobs.launchers import ray as launching
from core.jobs.waiting import Job
from core.runs import folder, reading
from core.runs.folder import State
from core.runs.state import Run
from tests.conftest import make_run

ray_train = pytest.importorskip("core.jobs.ray_train", reason="Ray is not installed: pip install '.[cluster]'")
pytestmark = [pytest.mark.cluster, pytest.mark.started]


def sent() -> Run:
    """A run of two devices that was sent to nobody."""
    run = make_run("bigram", devices=2)
    folder.put_job(run.path, "http://127.0.0.1:1", "job-7")
    return run


def test_what_waits_for_the_cluster_is_taken_out():
    """Its job, which takes no place, is begun as a node begins it; the cluster gives it no answer."""
    run = sent()
    job = subprocess.Popen(launching.command(run.path, "cpu", "job-7"), shell=True)
    until = time.monotonic() + 120
    while folder.read_status(run.path)["message"] != "waiting for the cluster":
        assert job.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    folder.request_stop(run.path)

    assert job.wait(120) == 0
    run = reading.read(run.path)
    assert (run.state, run.status.message) == (State.STOPPED, "stopped while it waited")


def test_what_ray_says_of_a_team_that_failed_is_told_in_one_line():
    """A reason that we gave ourselves first; else which process died; else what Ray says, in the log."""
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    def told(error: Exception | None) -> tuple[str, list[str]]:
        said: list[str] = []
        job = Job(sent().path, "cpu", None, said.append)
        ray_train._tell_failure(job, error)
        status: dict[str, Any] = folder.read_status(job.path)
        assert status["state"] == State.LOST
        return status["message"], said

    def failed(**failures: Exception) -> WorkerGroupError:
        return WorkerGroupError("two failed", dict(enumerate(failures.values())))

    def raised(error: Exception) -> Exception:
        return UserExceptionWithTraceback(error, "its traceback")

    ended, lost = ray_train.LeftAlone("connection reset"), "Resume goes on from the start"
    with pytest.raises(BardlabError, match="the text is gone"):
        ray_train._tell_failure(
            Job(sent().path, "cpu", None, print), failed(a=raised(ended), b=raised(BardlabError("the text is gone")))
        )
    assert told(failed(a=raised(ended), b=OSError("gone")))[0] == f"process 2 of 2 or its node died; {lost}"
    assert told(failed(a=raised(ended), b=raised(ended)))[0] == f"one of its 2 processes or its node died; {lost}"
    message, said = told(ConnectionError("no cluster answers"))
    assert message == f"its processes were not started, or ended without a word (see the log); {lost}"
    assert said[0] == "Ray Train says: no cluster answers"


def test_the_processes_of_a_team_meet_at_no_other_address_than_the_nodes():
    address, port = ray_train._open()
    places = {(c.laddr.ip, c.laddr.port) for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN}
    ray_train._store = None

    assert (address, port) in places and {ip for ip, at in places if at == port} == {address}
