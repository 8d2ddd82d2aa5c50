"""Where jobs are sent to: what is refused in one line, how a run on another machine is seen to live. Needs no Ray."""

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata

import pytest

from core import paths, system
from core.errors import BardlabError
from core.jobs import control, waiting
from core.jobs.launchers import launcher, node, ray
from core.runs import checkpoints, editing, folder, reading
from core.runs.folder import State
from tests.conftest import make_run


class Answers(BaseHTTPRequestHandler):
    """A job address that knows nothing but its version."""

    def do_GET(self) -> None:
        """Answer anything with it."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"ray_version": "1.13.0"}).encode())

    def log_message(self, *about: object) -> None:
        """Say nothing."""


@pytest.fixture
def old_cluster() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ray is not installed, let it seem so: nothing here sends a job."""
    there = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.60.0" if name == "ray" else there(name))


def test_what_cannot_be_sent_is_told_in_one_line_before_there_is_a_run(
    with_ray: None, old_cluster: str, monkeypatch: pytest.MonkeyPatch
):
    run = make_run("bigram")
    config = run.need()
    for address, told in {
        "http://127.0.0.1:1": "the cluster at http://127.0.0.1:1 cannot be reached (Connection refused)",
        "10.0.0.5:8265": "BARDLAB_CLUSTER is '10.0.0.5:8265'; give it as http://HOST:8265, or unset it",
        f"{old_cluster}/": f"the cluster at {old_cluster} runs Ray 1.13.0, this machine has 2.60.0",
    }.items():
        monkeypatch.setenv(paths.CLUSTER, address)
        with pytest.raises(BardlabError) as raised:
            control.begin(config)
        assert str(raised.value).startswith(told) and "\n" not in str(raised.value)
        assert [each.path for each in reading.list_runs()] == [run.path]


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setenv(paths.CLUSTER, "http://127.0.0.1:1")
    with pytest.raises(BardlabError, match=r"Ray is not installed here: pip install '.\[cluster\]'"):
        launcher.chosen().device("auto")


def test_a_run_elsewhere_lives_as_long_as_its_pulse():
    run = make_run("bigram")
    folder.put_job(run.path, "http://127.0.0.1:1", "job-1")
    assert not launcher.of(run.path).here and launcher.chosen().here
    assert reading.read(run.path).state is State.QUEUED  # until the cluster says otherwise
    folder.write_status(run.path, folder.read_status(run.path) | {"state": State.RUNNING, "pid": 1})
    (run.path / folder.PULSE).touch()
    assert reading.read(run.path).state is State.RUNNING
    with pytest.raises(BardlabError, match="stop it first"):
        editing.delete(reading.read(run.path))
    old = time.time() - folder.PULSE_GRACE - 1
    os.utime(run.path / folder.PULSE, (old, old))
    lost = control.look_after(reading.read(run.path))  # whether the cluster answers or not
    assert lost.state is State.LOST
    again = control.claim(lost)
    assert launcher.of(again.path).here and again.state is State.QUEUED


def test_a_node_that_cannot_do_it_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(node.NAME, "bench-3")
    run = make_run("bigram")
    folder.put_job(run.path, "http://127.0.0.1:1", "job-2")
    here = node.fingerprint()
    for job, version, path, told in (
        ("job-2", "00000000", run.path, "bench-3 has another version of Bardlab in "),
        ("job-2", here, run.path / "no", f"bench-3 does not see {run.path / 'no'}: mount BARDLAB_HOME there"),
        ("job-1", here, run.path, f"{run.slug} has been started elsewhere meanwhile; nothing done"),
    ):
        with pytest.raises(SystemExit) as raised:
            node.begin(job, version, path)
        assert str(raised.value.code).startswith(told)
    assert not (run.path / folder.PULSE).exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's writer
def test_a_shared_folder_that_goes_for_a_while_is_told_as_that(monkeypatch: pytest.MonkeyPatch):
    """Its worker waits until it can say so; what was saved is whole, and a run given to another is left to that one."""
    run = make_run("bigram", steps=100_000, eval_every=10, snapshots=0, sample_chars=1)
    folder.put_job(run.path, "http://127.0.0.1:1", "job-4")
    away = run.path.with_name(".away")

    def goes() -> None:
        while not folder.read_status(run.path).get("checkpoint_step"):
            time.sleep(0.01)
        run.path.rename(away)
        waits.wait(60)
        away.rename(run.path)

    waits = threading.Event()
    await_folder = node.await_folder
    monkeypatch.setattr(node, "await_folder", lambda *about: (waits.set(), await_folder(*about)))
    thread = threading.Thread(target=goes)
    thread.start()
    waiting.work(run.path, "cpu")
    thread.join()
    (run.path / folder.PULSE).touch()
    ended = reading.read(run.path)
    assert ended.state is State.FAILED and ended.damage is None
    saved, damage = checkpoints.load_trainer_state(run.path) or ({}, "none")
    assert not damage
    gone = "could not write: its folder was gone for a while; Resume goes on from step"
    assert ended.status.message == f"{gone} {saved['done']}"
    with pytest.raises(system.Taken):
        node.await_folder(run.path, "job-5")


def test_a_worker_with_a_gpu_of_its_own_calls_it_the_first():
    path = make_run("bigram").path
    assert ray.command(path, "cuda", "job-3").endswith(f"{path} cuda:0")
    assert ray.command(path, "cpu", "job-3").endswith(f"{path} cpu")


def test_the_line_that_matters_of_what_ray_says():
    head = "Job entrypoint command failed with exit code 3, last available logs (truncated to 20,000 chars):\n"
    state, told = ray._verdict({"driver_exit_code": 3, "message": f"{head}box has no Bardlab in /srv/lab\n"})
    assert (state, told) == (State.FAILED, "box has no Bardlab in /srv/lab")
    died = {"driver_exit_code": None, "error_type": "JOB_SUPERVISOR_ACTOR_DIED", "message": "Job supervisor actor died"}
    assert ray._verdict(died) == (State.LOST, "its worker or its node died")
