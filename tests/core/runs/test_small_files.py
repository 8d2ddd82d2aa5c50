"""The small files beside a run's weights: requests, changes, alerts, the log, the seal of a status. No worker runs."""

import json
import os
import shutil
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from core import files, paths
from core.errors import BardlabError
from core.runs import checkpoints, editing, folder, layout, reading, records, requests
from core.runs.folder import State
from core.runs.requests import Change
from core.runs.state import Meters, Sample, Status, read_status, write_status
from core.training.config import TrainConfig
from core.training.watch import Alert
from tests.conftest import make_run

# --- requests and changes --------------------------------------------------------------------------------------------


def test_a_run_is_held_from_a_step_until_it_is_let_go():
    run = make_run("bigram")

    assert requests.hold_from(run.path) is None
    requests.hold(run)
    assert requests.hold_from(run.path) == 0
    requests.hold(run, 7)
    assert requests.hold_from(run.path) == 7
    for nothing in ("", "soon"):
        (run.path / folder.PAUSE).write_text(nothing)
        assert requests.hold_from(run.path) == 0
    requests.release(run)
    requests.release(run)
    assert requests.hold_from(run.path) is None


def test_an_order_becomes_changes_of_what_was_in_force():
    run = make_run("mlp", optimizer="muon", learning_rate=0.01, muon_learning_rate=0.02)
    config = run.need().train
    requests.order(run, {"learning_rate": "0.5", "muon_learning_rate": 0.02})

    assert requests.take_order(run.path, config, 3) == [Change(3, "learning_rate", 0.5, 0.01)]  # the other is as it was
    assert not (run.path / requests.ORDER).exists() and requests.take_order(run.path, config, 3) == []
    requests.order(run, {"learning_rate": 0.25, "muon_learning_rate": 0.1})
    assert requests.take_order(run.path, config, 8) == [
        Change(8, "learning_rate", 0.25, 0.5),
        Change(8, "muon_learning_rate", 0.1, 0.02),
    ]
    assert requests.rates(run.path) == {
        3: {"learning_rate": 0.5},
        8: {"learning_rate": 0.25, "muon_learning_rate": 0.1},
    }
    assert requests.current(run) == {"learning_rate": 0.25, "muon_learning_rate": 0.1}
    requests.order(run, {"learning_rate": 0.125})
    assert requests.take_order(run.path, config, 8)[0].text == "learning_rate changed from 0.25 to 0.125"
    assert requests.rates(run.path)[8] == {"learning_rate": 0.125, "muon_learning_rate": 0.1}  # once for each step
    assert [change.step for change in requests.changes(run.path)] == [3, 8, 8]


def test_an_order_that_cannot_be_read_is_taken_away_and_changes_nothing():
    run = make_run("bigram")
    for content in (b"{", b"[]", b'{"values": 3}', b'{"values": {"learning_rate": "x"}}', b'{"values": {"steps": 3}}'):
        (run.path / requests.ORDER).write_bytes(content)
        assert requests.take_order(run.path, run.need().train, 1) == []
        assert not (run.path / requests.ORDER).exists()
    assert requests.changes(run.path) == []


def test_changes_pass_over_what_is_not_whole():
    run = make_run("bigram")
    good = [Change(1, "learning_rate", 0.5, 0.25), Change(2, "learning_rate", 0.75, 0.5)]
    requests.keep(run.path, good)
    lines = (run.path / requests.CHANGES).read_text().splitlines()
    (run.path / requests.CHANGES).write_text("\n".join([lines[0], "junk", "{}", "[1]", lines[1], lines[0][:20]]))

    assert requests.changes(run.path) == good


def test_a_stop_counts_from_the_first_request():
    run = make_run("bigram")

    assert not folder.stop_requested(run.path) and folder.stop_age(run.path) is None
    requests.request_stop(run)
    earlier = time.time() - 50
    os.utime(run.path / folder.STOP, (earlier, earlier))
    requests.request_stop(run)
    age = folder.stop_age(run.path)
    assert folder.stop_requested(run.path) and age is not None and 50 <= age < 5000
    (run.path / folder.PAUSE).touch()
    (run.path / folder.TURN).touch()
    folder.clear_requests(run.path)
    folder.clear_requests(run.path)
    assert not any((run.path / name).exists() for name in (folder.STOP, folder.PAUSE, folder.TURN))


# --- alerts, samples, log --------------------------------------------------------------------------------------------


def test_alerts_of_steps_that_are_taken_again_are_forgotten(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    told = [Alert(step, "spike", f"“{step}”") for step in (1, 5, 9)]

    records.drop_after(folder, 3)
    assert records.alerts(folder) == [] and not list(folder.iterdir())
    for alert in told:
        records.append(folder, alert)
    with (folder / records.FILE).open("a") as file:
        file.write('{}\n[]\n{"step": 11, "ki')
    assert records.alerts(folder) == told
    records.drop_after(folder, 5)
    assert records.alerts(folder) == told[:2]
    assert "“5”" in (folder / records.FILE).read_text(encoding="utf-8")


def test_numbers_and_text_are_read_as_what_they_are_meant_to_be(tmp_path: Path):
    """Whoever edits a file by hand may put a number in quotes, or leave them out."""
    (tmp_path / records.FILE).write_text('{"step": "7", "kind": 1, "text": 2}\n')
    (tmp_path / folder.SAMPLES).write_text('{"step": "8", "val_loss": "1.5", "prompt": 3, "text": 4}\n')
    (tmp_path / requests.CHANGES).write_text('{"step": "9", "name": 5, "value": "0.5", "old": "1"}\n')

    assert records.alerts(tmp_path) == [Alert(7, "1", "2")]
    assert records.samples(tmp_path) == [Sample(8, 1.5, "3", "4")]
    assert requests.changes(tmp_path) == [Change(9, "5", 0.5, 1.0)]


def test_the_validation_curve_is_read_off_the_samples(tmp_path: Path):
    assert records.validation_curve(tmp_path) == []
    for step, loss in ((0, 4.25), (10, None), (20, 2.5e-7), (30, float("inf"))):
        records.append_sample(tmp_path, Sample(step, loss, "\n", '{"step": 5, "val_loss": 1.0,'))
    with (tmp_path / folder.SAMPLES).open("a") as file:
        file.write('{"step": 40, "val_loss": 1.2.3, "prompt"\n')

    assert records.validation_curve(tmp_path) == [(0, 4.25), (20, 2.5e-7)]


def test_the_end_of_a_log_has_so_many_characters(tmp_path: Path):
    (tmp_path / folder.LOG).write_text("äöü\n" * 3000, encoding="utf-8")

    assert records.log_tail(tmp_path, 10) == "ü\näöü\näöü\n"
    assert len(records.log_tail(tmp_path)) == 4000
    folder.note(tmp_path, "it went on")
    stamp, _, line = records.log_tail(tmp_path, 34).rpartition("  ")
    assert line == "it went on\n" and time.strptime(stamp.strip("\n")[-19:], "%Y-%m-%d %H:%M:%S")


# --- the folder ------------------------------------------------------------------------------------------------------


def test_folders_rankings_and_jobs_are_listed_by_name(monkeypatch: pytest.MonkeyPatch):
    assert folder.folders() == folder.jobs() == []
    for name in ("b", "a", ".hidden"):
        (paths.runs() / name).mkdir(parents=True)
    (paths.runs() / "file").touch()
    shipped = paths.pretrained() / "mlp"
    ranked = layout.ranking_path(paths.runs() / "b", None, "mean")
    other = layout.ranking_path(shipped, 7, "zero")
    for path in (ranked, other):
        path.mkdir(parents=True)
    (ranked.parent / "newest-mean.json").touch()

    assert [path.name for path in folder.folders()] == ["a", "b"]
    assert folder.rankings(paths.runs() / "a") == [] and folder.rankings(paths.runs() / "b") == [ranked]
    assert folder.jobs() == [paths.runs() / "a", paths.runs() / "b", ranked, other]
    assert folder.is_ranking(ranked) and not folder.is_ranking(shipped)
    assert folder.name(ranked) == "the ranking of b" and folder.name(shipped) == "mlp"
    assert ranked.name == "newest-mean" and other.name == "step-000007-zero"
    assert layout.knockouts_path(shipped, 7, "zero") == other.with_name("step-000007-zero.json")


def test_a_job_is_shown_by_its_label_in_one_line(tmp_path: Path):
    label = tmp_path / folder.LABEL
    for content, expected in (
        ('{"name": " My \\u202e\\n run "}', "My run"),
        (json.dumps({"name": "x" * 70}), "x" * 60),
        ('{"name": ""}', tmp_path.name),
        ('{"name": 3}', tmp_path.name),
        ("[", tmp_path.name),
    ):
        label.write_text(content)
        assert folder.name(tmp_path) == expected


def test_snapshots_are_listed_in_order(tmp_path: Path):
    for step in (20, 3, 1_000_000):
        layout.snapshot_path(tmp_path, step).parent.mkdir(exist_ok=True)
        layout.snapshot_path(tmp_path, step).touch()
    (tmp_path / layout.SNAPSHOTS / "step-x.safetensors").touch()

    assert layout.snapshot_steps(tmp_path) == [3, 20, 1_000_000]
    assert layout.weights_path(tmp_path) == tmp_path / "model.safetensors"
    assert layout.weights_path(tmp_path, "best") == tmp_path / "best.safetensors"
    assert layout.weights_path(tmp_path, 0) == tmp_path / "snapshots" / "step-000000.safetensors"


def test_a_seal_is_the_checksum_of_all_before_it():
    body = b'{\n  "a": 1\n}'
    content = folder.sealed(body)

    assert json.loads(content) == {"a": 1, "crc32": f"{zlib.crc32(body[:-2]):08x}"}
    assert folder.checked(content) == content and folder.checked(body) == body
    with pytest.raises(ValueError, match="does not match its checksum"):
        folder.checked(content.replace(b"1", b"2", 1))


@pytest.mark.parametrize(
    ("state", "active"),
    [(s, s in (State.QUEUED, State.RUNNING, State.PAUSED, State.STOPPING)) for s in State],
)
def test_a_full_disk_costs_the_reserve_only_to_say_how_it_ended(
    state: State, active: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / folder.RESERVE).write_bytes(bytes(10))
    replace = files.replace

    def full(path: Path, content: bytes, *, durable: bool = False) -> None:
        if (tmp_path / folder.RESERVE).exists():
            raise OSError(next(iter(files.FULL)), "no space left")
        replace(path, content, durable=durable)

    monkeypatch.setattr(files, "replace", full)
    assert state.active == active
    if active:
        with pytest.raises(OSError, match="no space"):
            folder.write_status(tmp_path, {"state": state})
        assert (tmp_path / folder.RESERVE).exists()
    else:
        folder.write_status(tmp_path, {"state": state, "step": 3})
        assert folder.read_status(tmp_path) == {"state": state, "step": 3}
        (tmp_path / folder.RESERVE).write_bytes(bytes(10))
        write_status(tmp_path, Status(state=state, step=4))
        assert read_status(tmp_path).step == 4


def test_a_status_of_another_shape_is_damaged(tmp_path: Path):
    for content in (b"[1]", b"{}", b'{"state": "dancing"}', b"3"):
        (tmp_path / folder.STATUS).write_bytes(content)
        with pytest.raises(ValueError):
            folder.read_status(tmp_path)


def test_from_where_a_job_goes_on():
    assert folder.resumes_from({}) == "the start"
    assert folder.resumes_from({"checkpoint_step": 0}) == "step 0"
    assert folder.resumes_from({"task": folder.RANK, "checkpoint_step": 3}) == "where it was"


def test_a_queued_run_without_a_worker_is_given_some_seconds(tmp_path: Path):
    now = time.time()

    assert folder.worker_comes(tmp_path) is None
    assert folder.seen(tmp_path, State.QUEUED, None, now) is State.QUEUED
    assert folder.seen(tmp_path, State.QUEUED, None, now - folder.START_GRACE - 1) is State.LOST
    assert folder.seen(tmp_path, State.QUEUED, 1, now) is State.LOST  # it had come
    assert folder.seen(tmp_path, State.RUNNING, None, now) is State.LOST
    assert folder.seen(tmp_path, State.FINISHED, None, 0.0) is State.FINISHED
    folder.announce(tmp_path, os.getpid())
    assert folder.worker_comes(tmp_path) is True
    assert folder.seen(tmp_path, State.QUEUED, None, 0.0) is State.QUEUED
    (tmp_path / folder.LAUNCHED).write_text(f"[{os.getpid()}, 1.0]")
    assert folder.worker_comes(tmp_path) is False
    assert folder.seen(tmp_path, State.QUEUED, None, now) is State.LOST
    for nonsense in ("{}", "[1]", '["a", "b"]'):
        (tmp_path / folder.LAUNCHED).write_text(nonsense)
        assert folder.worker_comes(tmp_path) is None
    with folder.hold(tmp_path):
        assert folder.is_alive(tmp_path)
        assert folder.seen(tmp_path, State.RUNNING, 1, 0.0) is State.RUNNING
        folder.request_stop(tmp_path)
        assert folder.seen(tmp_path, State.RUNNING, 1, 0.0) is State.STOPPING
    assert not folder.is_alive(tmp_path)


def test_orders_that_make_no_sense_are_refused():
    run = make_run("bigram")
    for values, reason in (
        (
            {"steps": 3},
            "train.steps cannot be changed while a run is under way; these can: train.learning_rate, train.mu",
        ),
        ({"muon_learning_rate": 0.1}, "train.muon_learning_rate does nothing here: the run's optimiser is adamw"),
        ({"learning_rate": 0.0}, "train.learning_rate"),
    ):
        with pytest.raises(BardlabError, match=rf"\A{reason}"):
            requests.order(run, values)
    assert not (run.path / requests.ORDER).exists()


def test_what_an_older_run_did_not_write_counts_as_nothing():
    """A reading of fewer meters, a status from before impossible pairs were counted; and a plan is not changed."""
    reading, status = Meters.model_validate({"cores": 2}), Status.model_validate({"state": "finished"})

    assert [reading.cpu, reading.machine_cpu, reading.machine_memory, reading.memory] == [0, 0, 0, 0]
    assert reading.machine_memory_total == 0 and status.impossible == 0 and status.step == 0
    run = make_run("bigram")
    assert json.loads((run.path / folder.CONFIG).read_bytes())["stage"] == "bigram"
    with pytest.raises(ValidationError, match="frozen"):
        run.need().preset = "best"


def test_what_is_being_prepared_lies_beside_the_runs_until_it_is_one_of_them_or_its_process_has_died():
    with editing.staging() as folder:
        assert folder.parent == paths.runs() and str(os.getpid()) in folder.name
        os.rename(make_run("bigram").path, folder / "made")
        adopted = editing.adopt(folder / "made", "bigram")
        assert adopted.path.parent == paths.runs() and adopted.rung_key == "bigram"
    assert not folder.exists()
    mine, other = (paths.runs() / f"{editing.STAGING}{pid}-x" for pid in (17, 18))
    for left in (mine, other):
        left.mkdir()
    editing.clear_staging(17)

    assert not mine.exists() and other.exists() and adopted.path.exists()


def test_a_run_that_goes_on_gets_its_reserve_back():
    run = make_run("bigram")
    (run.path / folder.RESERVE).unlink()
    editing.queue_again(run, "cpu")

    assert (run.path / folder.RESERVE).stat().st_size == 65_536


def test_where_no_folder_can_be_made_no_run_is_made():
    config = make_run("bigram").need()
    shutil.rmtree(paths.runs())
    paths.runs().write_text("a file stands in the way")
    with pytest.raises(BardlabError, match="cannot make a run in"):
        editing.create(config)


def test_a_note_and_a_pin_are_read_back_and_a_pin_is_nothing_but_true():
    run = make_run("bigram")
    noted = editing.pin(editing.annotate(run, "slow at first"), True)
    assert (noted.note, noted.pinned) == ("slow at first", True) and not run.pinned
    (run.path / folder.LABEL).write_text('{"note": 3, "pinned": "yes"}')

    assert (reading.read(run.path).note, reading.read(run.path).pinned) == ("", False)


def test_a_file_of_weights_tells_its_shapes_its_numbers_and_what_it_is_of():
    run = make_run("bigram")
    model = run.need().rung.build(run.need().model_config_, 5)
    (run.path / layout.WEIGHTS).write_bytes(checkpoints.weights(model, 3))

    assert checkpoints.tensors(run) == {"logits": (5, 5)}
    read = checkpoints.load_tensor(run, "logits")
    assert read.dtype == np.float64 and np.array_equal(read, model.state_dict()["logits"])
    assert json.loads(checkpoints.about(model.config)[checkpoints.SETTINGS])["stage"] == "bigram"
    assert checkpoints.about(TrainConfig()) == {}
