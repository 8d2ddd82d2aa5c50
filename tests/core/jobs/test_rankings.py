"""Rankings as jobs: processes of their own that can be watched, cancelled, killed and taken up again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from core import paths
from core.cli.main import cli
from core.errors import BardlabError
from core.inspect.interventions import price_list
from core.jobs import queue, rankings, turns
from core.jobs.rankings import Ranking
from core.runs import editing, folder, layout, reading
from core.runs.folder import State
from core.runs.state import Run
from core.system import Lock
from tests.conftest import make_run

SLOWLY = """
import sys, time
from core.inspect.interventions import ablation
from core.jobs import waiting
true = ablation.rank
def slowly(*what):
    for found in true(*what):
        yield found
        time.sleep(float(sys.argv[3]))
ablation.rank = slowly
waiting.main(sys.argv[1:3])
"""


def until(reached: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.02)
    assert reached()


def ended(run: Run, method: str = "mean") -> Ranking:
    until(lambda: (found := rankings.read(run, None, method)) and not found.active)
    found = rankings.read(run, None, method)
    assert found
    return found


def slow_worker(run: Run, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.1) -> subprocess.Popen[bytes]:
    """Start a ranking by a real worker that takes a rest after every part."""
    made: list[subprocess.Popen[bytes]] = []

    def launch(path: Path, device: str, name: str) -> None:
        command = [sys.executable, "-c", SLOWLY, str(path), device, str(seconds)]
        made.append(subprocess.Popen(command, cwd=paths.ROOT, stdin=subprocess.DEVNULL))
        folder.announce(path, made[-1].pid)

    with monkeypatch.context() as patch:
        patch.setattr(rankings.control, "launch", launch)
        rankings.start(run, None, "zero")
    return made[0]


def prices(run: Run, method: str = "zero") -> bytes:
    return layout.knockouts_path(run.path, None, method).read_bytes()


@pytest.fixture
def whole(finished: Run) -> bytes:
    """The price list of a ranking that nobody interrupted; it is taken away again."""
    rankings.work(finished, None, "zero", lambda job: None)
    content = prices(finished)
    layout.knockouts_path(finished.path, None, "zero").unlink()
    return content


def test_a_ranking_is_a_process_of_its_own_and_one_for_all_who_ask(finished: Run, monkeypatch: pytest.MonkeyPatch):
    worker = slow_worker(finished, monkeypatch, 0.02)
    for _ in range(3):
        rankings.start(finished, None, "zero")  # would start a second process
    seen = [0.0]

    def on_the_way() -> bool:
        found = rankings.read(finished, None, "zero")
        assert found
        seen.append(found.share)
        return not found.active

    until(on_the_way)
    worker.wait()
    listed = price_list.read(finished, None, "zero")

    assert ended(finished, "zero") == Ranking(State.FINISHED, 1.0, "")
    assert listed and listed.whole
    assert seen == sorted(seen) and any(0 < share < 1 for share in seen)
    log = (layout.ranking_path(finished.path, None, "zero") / folder.LOG).read_text()
    assert log.count("ranking the parts") == 1
    before = prices(finished)
    rankings.start(finished, None, "zero")
    assert ended(finished, "zero").state is State.FINISHED and prices(finished) == before


def test_started_from_here_it_lives_elsewhere(finished: Run):
    rankings.start(finished, None, "mean")
    rankings.start(finished, None, "mean")
    assert ended(finished).state is State.FINISHED
    status = folder.read_status(layout.ranking_path(finished.path, None, "mean"))
    listed = price_list.read(finished, None, "mean")

    assert status["pid"] not in (None, os.getpid())
    assert listed and listed.whole
    assert not (layout.ranking_path(finished.path, None, "mean") / layout.SUMS).exists()


def test_a_cancelled_ranking_keeps_its_windows_and_goes_on(
    finished: Run, whole: bytes, monkeypatch: pytest.MonkeyPatch
):
    worker = slow_worker(finished, monkeypatch)
    until(lambda: price_list.read(finished, None, "zero"))
    rankings.cancel(finished, None, "zero")
    worker.wait()
    kept = price_list.read(finished, None, "zero")
    job = ended(finished, "zero")

    assert kept and not kept.whole and 0 < kept.windows < kept.of
    assert job.state is State.STOPPED and kept.windows / kept.of <= job.share < 1

    shares: list[float] = []
    rankings.work(finished, None, "zero", lambda now: shares.append(now.share))
    assert prices(finished) == whole and min(shares) >= job.share


def test_a_killed_ranking_goes_on_to_the_same_bits(finished: Run, whole: bytes, monkeypatch: pytest.MonkeyPatch):
    worker = slow_worker(finished, monkeypatch)
    sums = layout.ranking_path(finished.path, None, "zero") / layout.SUMS
    until(lambda: sums.exists() and price_list.read(finished, None, "zero"))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    job = rankings.read(finished, None, "zero")
    assert job and job.state is State.LOST and 0 < job.share < 1

    shares: list[float] = []
    rankings.work(finished, None, "zero", lambda now: shares.append(now.share))
    assert prices(finished) == whole and min(shares) > 0.2
    assert ended(finished, "zero").state is State.FINISHED


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY"])
def test_sums_that_cannot_be_read_are_measured_again(finished: Run, whole: bytes, content: bytes):
    (layout.ranking_path(finished.path, None, "zero") / layout.SUMS).write_bytes(content)
    rankings.work(finished, None, "zero", lambda job: None)

    assert prices(finished) == whole


def test_it_waits_for_its_turn_and_can_be_cancelled_there(finished: Run):
    """Behind whoever has the device, in the line that all see; the queue of runs is not confused by it."""
    with Lock(turns.slots("cpu")[0].lock_path):
        rankings.start(finished, None, "mean")
        path = layout.ranking_path(finished.path, None, "mean")
        until(lambda: turns.queue("cpu") == [path])
        until(lambda: "waiting for the cpu" in getattr(rankings.read(finished, None, "mean"), "message", ""))
        assert queue.queue("cpu") == [] and folder.name(path) == f"the ranking of {finished.name}"
        rankings.cancel(finished, None, "mean")
        assert ended(finished).state is State.STOPPED
    assert price_list.read(finished, None, "mean") is None


def test_a_deleted_run_ends_its_ranking(finished: Run, monkeypatch: pytest.MonkeyPatch):
    worker = slow_worker(finished, monkeypatch)
    until(lambda: getattr(rankings.read(finished, None, "zero"), "share", 0))
    editing.delete(finished)
    worker.wait()

    assert not finished.path.exists() and reading.list_runs() == []
    assert not list(paths.runs().glob(".deleted-*"))
    with pytest.raises(BardlabError, match="no weights yet"):
        rankings.start(finished, None, "zero")


def test_what_cannot_be_ranked_says_why(finished: Run):
    with pytest.raises(BardlabError, match="no weights of step 3 any more"):
        rankings.start(finished, 3, "mean")
    with pytest.raises(BardlabError, match="no weights yet"):
        rankings.start(make_run("transformer"), None, "mean")


def test_the_command_ranks_in_the_foreground(finished: Run):
    step = layout.snapshot_steps(finished.path)[0]
    said = CliRunner().invoke(cli, ["rank", finished.slug, "--step", str(step), "--method", "zero", "--json"])
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    listed = price_list.read(finished, step, "zero")

    assert listed and listed.whole and found["windows"] == found["of"] == listed.of
    assert found["parts"] == {k: {"delta": p.delta, "se": p.se} for k, p in listed.parts.items()}
    told = CliRunner().invoke(cli, ["rank", finished.slug, "--step", str(step), "--method", "zero"])
    assert told.exit_code == 0 and all(key in told.stdout for key in listed.parts)


def test_the_command_follows_a_ranking_that_is_under_way(finished: Run, monkeypatch: pytest.MonkeyPatch):
    worker = slow_worker(finished, monkeypatch, 0.02)
    said = CliRunner().invoke(cli, ["rank", finished.slug, "--method", "zero", "--json"])
    worker.wait()

    assert said.exit_code == 0 and json.loads(said.stdout)["windows"] == json.loads(prices(finished))["of"]
    log = (layout.ranking_path(finished.path, None, "zero") / folder.LOG).read_text()
    assert log.count("ranking the parts") == 1


def test_the_command_says_why_there_is_nothing_to_rank():
    run = make_run("bigram")
    said = CliRunner().invoke(cli, ["rank", run.slug])
    assert isinstance(said.exception, BardlabError) and "no weights yet" in str(said.exception)
