"""The run folder: found by any of its names, never half-written, and honest about what is broken in it."""

import itertools
import json
import re
import threading
import time
from pathlib import Path

import pytest

from core import files, paths
from core.errors import BardlabError
from core.jobs import control
from core.runs import checkpoints, editing, folder, layout, reading, records, requests
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.state import Run, Sample, Status
from tests.conftest import make_run

FILES = (folder.CONFIG, folder.STATUS)
HARMS = {
    "truncated": lambda content: content[: len(content) // 2],
    "bit flipped": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "empty": lambda content: b"",
    "wrong types": lambda content: b'{"stage": 3, "step": "many", "state": []}',
    "not an object": lambda content: b"[1, 2]",
    "binary junk": lambda content: bytes(range(256)) * 8,
    "not text": lambda content: b'{"stage": "\xff\xfe"}',
    "nested without end": lambda content: b"[" * 100_000,
}


def refused(message: str) -> "pytest.RaisesExc[BardlabError]":
    """Expect one line of refusal."""
    return pytest.raises(BardlabError, match=rf"\A[^\n]*{message}[^\n]*\Z")


def set_status(run: Run, **fields: object) -> Run:
    runs_state.write_status(run.path, run.status.model_copy(update=fields))
    return reading.read(run.path)


# --- create, find, rename, delete ------------------------------------------------------------------------------------


def test_a_new_run_is_queued_and_reads_back():
    """What was asked for comes back as it was, with the rung's own validation."""
    run = make_run("transformer", seed=5)
    again = reading.read(run.path)

    assert again == run and run.damage is None and run.state is State.QUEUED
    assert again.config is not None and again.config.train.seed == 5
    assert again.config.model_config_ == again.config.rung.config.parse(again.config.model)
    assert run.slug == run.path.name and run.given == "" and run.path.parent == paths.runs()
    assert not run.usable and not run.shipped


def test_runs_are_listed_newest_first_each_under_its_own_name():
    made = []
    for _ in range(30):
        made.append(make_run("bigram").slug)
        time.sleep(0.002)

    assert [run.slug for run in reading.list_runs()] == made[::-1]
    assert len(set(made)) == 30


def test_a_run_is_found_by_slug_unique_beginning_and_name():
    run, other = make_run("bigram"), make_run("transformer")
    editing.rename(run, "first try")

    for reference in (run.slug, "big", run.slug[:-1], "first try"):
        assert reading.find(reference).slug == run.slug
    assert reading.find("transformer").slug == other.slug


def test_an_ambiguous_beginning_lists_what_fits():
    slugs = [make_run("bigram").slug for _ in range(2)]

    with refused("fits several runs: ") as caught:
        reading.find("bigram-")
    assert all(slug in str(caught.value) for slug in slugs)
    assert reading.find(slugs[0]).slug == slugs[0]


def test_a_name_given_on_purpose_wins_over_the_beginning_of_a_slug():
    """Otherwise `delete bigram` would remove the wrong run."""
    make_run("bigram")
    called = editing.rename(make_run("transformer"), "bigram")

    assert reading.find("bigram").slug == called.slug


@pytest.mark.parametrize("reference", ["", "nobody", "../runs", "pretrained/nobody", "pretrained/", "pretrained/../x"])
def test_what_is_not_there_is_refused(reference: str):
    make_run("bigram")

    with refused("no run"):
        reading.find(reference)


def test_rename_keeps_the_address():
    run = make_run("bigram")
    renamed = editing.rename(run, "  Puck’s   table, 2 (best) ")

    assert renamed.name == "Puck’s table, 2 (best)"
    assert renamed.slug == run.slug and renamed.path == run.path


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a|b", "a\x00b", "<script>"])
def test_bad_names_are_refused(name: str):
    run = make_run("bigram")

    with refused("a name has 1 to 60"):
        editing.rename(run, name)
    assert reading.read(run.path).given == ""


def test_a_name_belongs_to_one_run():
    """Neither a name nor an address of another run can be taken; one's own can."""
    run, other, third = make_run("bigram"), make_run("transformer"), make_run("transformer")
    editing.rename(other, "mine")
    editing.rename(other, "mine")

    for taken in ("mine", third.slug, other.slug):
        with refused("another run is called"):
            editing.rename(run, taken)


def test_delete_removes_everything(finished: Run):
    other = make_run("bigram")
    editing.delete(finished)

    assert not finished.path.exists()
    assert [run.slug for run in reading.list_runs()] == [other.slug]
    assert not list(paths.runs().glob(".deleted*"))


def test_delete_refuses_while_a_worker_is_busy():
    run = set_status(make_run("bigram"), state=State.RUNNING)
    with folder.hold(run.path):
        with refused("is running; stop it first"):
            editing.delete(reading.read(run.path))
        assert run.path.exists()
    editing.delete(run)
    assert not run.path.exists()


def test_what_ships_cannot_be_changed(finished: Run, monkeypatch: pytest.MonkeyPatch):
    """Runs that came with the product are read like others, by their stage, and never written."""
    shelf = paths.runs().parent / "pretrained"
    monkeypatch.setattr(paths, "pretrained", lambda: shelf)
    shelf.mkdir()
    finished.path.rename(shelf / "transformer")
    run = reading.find("pretrained/transformer")

    assert run.shipped and run.usable and run.slug == "pretrained/transformer"
    assert [r.slug for r in reading.list_runs(shipped=True)] == ["pretrained/transformer"] and not reading.list_runs()
    for change in (editing.delete, lambda r: editing.rename(r, "mine"), control.start):
        with refused("ships with the product"):
            change(run)
    for reference in ("pretrained/bigram", "pretrained/..", "pretrained/.", "pretrained/", "pretrained/../runs"):
        with refused("these do: pretrained/transformer"):
            reading.find(reference)


# --- state -----------------------------------------------------------------------------------------------------------


def test_a_running_run_without_a_worker_is_lost():
    run = make_run("bigram")
    with folder.hold(run.path):
        assert set_status(run, state=State.RUNNING, step=7).state is State.RUNNING
        requests.request_stop(run)
        assert reading.read(run.path).state is State.STOPPING
    lost = reading.read(run.path)

    assert lost.state is State.LOST and not lost.state.active
    assert lost.status.message == "the worker died; Resume goes on from the start"
    (run.path / layout.WEIGHTS).write_bytes(b"x")
    assert set_status(run, state=State.RUNNING, checkpoint_step=5).status.message.endswith("goes on from step 5")


def test_a_queued_run_may_wait_for_its_worker_a_little():
    run = make_run("bigram")

    assert reading.read(run.path).state is State.QUEUED
    assert set_status(run, queued=time.time() - folder.START_GRACE - 1).state is State.LOST
    with folder.hold(run.path):
        assert reading.read(run.path).state is State.QUEUED


def test_a_worker_that_died_before_it_began_is_seen_as_lost_at_once():
    """It had taken the run, as its status says, and waited for the device or was starting."""
    run = make_run("bigram")

    assert set_status(run, pid=12345, born=1.0, message="starting").state is State.LOST


def test_an_ended_run_stays_what_it_was():
    """The lock says nothing about a run that is over."""
    run = make_run("bigram")
    for state in (State.FINISHED, State.STOPPED, State.FAILED):
        assert set_status(run, state=state).state is state
        with folder.hold(run.path):
            assert reading.read(run.path).state is state


def test_a_status_is_replaced_whole():
    """A reader that never pauses sees every status complete, and nothing of the writing stays behind."""
    run = make_run("bigram")
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            found = reading.read(run.path)
            seen.add(found.damage or found.status.message)

    reader = threading.Thread(target=look)
    reader.start()
    messages = [f"{i} " * (1 + i * 37 % 400) for i in range(300)]
    while len(seen) < 2:  # a busy machine may let the reader wait
        for message in messages:
            runs_state.write_status(run.path, Status(queued=time.time(), message=message))
    done.set()
    reader.join()

    assert seen <= {*messages, run.status.message} and len(seen) > 1
    assert not list(run.path.glob("*.part")) and not list(run.path.glob(".*.part"))


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path):
    file = tmp_path / "alone" / "file"
    file.parent.mkdir()
    files.replace(file, b"old")
    with pytest.raises(ValueError, match="half way"), files.replacing(file) as part:
        part.write(b"new")
        raise ValueError("half way")

    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]


# --- samples and log -------------------------------------------------------------------------------------------------


def test_samples_pass_over_what_is_not_whole(tmp_path: Path):
    """A half-written last line, junk and wrong types are skipped; what is before and after stays."""
    whole = [Sample(step, 2.5 if step else None, "\n", f"O!\n“{step}”") for step in (0, 10, 20)]
    for sample in whole:
        records.append_sample(tmp_path, sample)
    bad = ["{}", "[]", "7", "junk", '{"step": "x", "val_loss": 1, "prompt": "", "text": ""}', "[" * 100_000]
    bad += ['{"step": 1e999, "val_loss": 1, "prompt": "", "text": ""}']
    bad += ['{"step": 1, "val_loss": "low", "prompt": "", "text": ""}']
    file = tmp_path / folder.SAMPLES
    lines = file.read_bytes().splitlines(keepends=True)

    for cut in range(1, len(lines[2]) - 1):
        file.write_bytes(lines[0] + lines[1] + lines[2][:cut])
        assert records.samples(tmp_path) == whole[:2]
    file.write_bytes(b"".join(lines[:2]) + "\n".join(bad).encode() + b"\n\xff\xfe\n" + lines[2])
    assert records.samples(tmp_path) == whole


def test_samples_after_a_step_are_forgotten(tmp_path: Path):
    """A resumed run writes them again; a half-written line goes too."""
    for step in (0, 10, 20):
        records.append_sample(tmp_path, Sample(step, None, "\n", "text"))
    with (tmp_path / folder.SAMPLES).open("a") as file:
        file.write('{"step": 30, "val')
    records.drop_samples_after(tmp_path, 10)
    records.append_sample(tmp_path, Sample(20, 1.0, "\n", "again"))

    assert [(s.step, s.text) for s in records.samples(tmp_path)] == [(0, "text"), (10, "text"), (20, "again")]


def test_the_log_shows_a_progress_bar_as_its_last_state(tmp_path: Path):
    assert records.log_tail(tmp_path) == ""
    (tmp_path / folder.LOG).write_bytes(b"start\n 1%\r 50%\r100%\nend \xff\n")

    assert records.log_tail(tmp_path) == "start\n100%\nend \ufffd\n"
    assert records.log_tail(tmp_path, 5).endswith("\ufffd\n")

    bars = b"\rmlp:  5%|x| 1/20 [00:00<00:01]\rmlp: 10%|x| 2/20 [00:01<00:09, val 3.1]"
    (tmp_path / folder.LOG).write_bytes(b"start [1]\n" + bars)
    folder.note(tmp_path, "step 2: validation loss 3.1")
    first, second = records.log_tail(tmp_path).splitlines()
    assert first == "start [1]" and re.fullmatch(r"[\d: -]{19}  step 2: validation loss 3.1", second)


# --- damage ----------------------------------------------------------------------------------------------------------


def unaffected(good: Run) -> None:
    """Another run is read, listed, found and loaded as ever."""
    assert reading.read(good.path) == good
    assert good in reading.list_runs()
    checkpoints.load_model(reading.find(good.slug))


def says_damage(run: Run, file: str) -> None:
    """The run is shown as damaged in one line, refuses to be used, and can be deleted."""
    assert run.damage is not None and run.damage.startswith(file)
    assert "\n" not in run.damage and len(run.damage) < 300
    assert not run.usable
    for use in (checkpoints.load_model, control.start):
        with refused("is damaged"):
            use(run)
    assert run in reading.list_runs() and reading.find(run.slug) == run
    editing.delete(run)
    assert not run.path.exists()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", [*HARMS, "missing", "a folder"])
def test_a_damaged_file_is_named_with_the_reason(file: str, how: str, finished: Run):
    bad = make_run("bigram")
    path = bad.path / file
    if how in HARMS:
        path.write_bytes(HARMS[how](path.read_bytes()))
    else:
        path.unlink()
        if how == "a folder":
            path.mkdir()

    says_damage(reading.read(bad.path), file)
    unaffected(finished)


@pytest.mark.parametrize("file", FILES)
def test_no_flipped_bit_and_no_cut_goes_unnoticed(file: str, finished: Run):
    """Wherever it hits, the run reads as damaged or, where it hit the name of the checksum, as it was."""
    content = (finished.path / file).read_bytes()
    for at in range(len(content)):
        flipped = content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :]
        (finished.path / file).write_bytes(flipped)
        run = reading.read(finished.path)
        assert run.damage or (run == finished and at > content.index(b"crc32") - 6), at
        (finished.path / file).write_bytes(content[:at])
        assert reading.read(finished.path).damage, at


@pytest.mark.parametrize("file", FILES)
def test_a_file_without_a_checksum_is_read_unchecked(file: str, finished: Run):
    """Those of an older version, and those that somebody edited by hand, as the reason says how."""
    content = (finished.path / file).read_bytes()
    (finished.path / file).write_bytes(content.replace(b": 4,", b": 5,", 1))

    assert reading.read(finished.path).damage == (
        f'{file} cannot be read: it does not match its checksum (whoever edits it by hand takes "crc32" out)'
    )
    bare = json.loads(content)
    del bare["crc32"]
    (finished.path / file).write_text(json.dumps(bare))
    assert reading.read(finished.path) == finished


@pytest.mark.parametrize("file", FILES)
def test_no_wrong_type_makes_reading_fail(file: str, finished: Run):
    content = json.loads((finished.path / file).read_bytes())
    values = (None, [], {}, "x", -1, 1e300, True)
    for key, value in itertools.product(content, values):
        (finished.path / file).write_text(json.dumps({**content, key: value}))
        reading.read(finished.path)
        reading.list_runs()

    (finished.path / file).write_text(json.dumps({**content, "step" if file == folder.STATUS else "model": "x"}))
    assert reading.read(finished.path).damage is not None


@pytest.mark.parametrize("rung", ["nobody", ""])
def test_a_run_of_an_unknown_rung_is_damaged(rung: str, finished: Run):
    """A folder from a newer version, say, is listed with the reason."""
    file = finished.path / folder.CONFIG
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "stage": rung}))

    assert "unknown stage" in (reading.read(finished.path).damage or "")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\x00", b'{"name": null}', b"[" * 100_000])
def test_a_damaged_label_costs_only_the_name(content: bytes, finished: Run):
    (finished.path / folder.LABEL).write_bytes(content)
    run = reading.read(finished.path)

    assert run.given == "" and run.damage is None


@pytest.mark.parametrize("how", ["empty", "missing"])
def test_missing_weights_are_damage(how: str, finished: Run):
    good, bad = finished, make_run("bigram")
    bad = set_status(bad, state=State.STOPPED, checkpoint_step=2)
    if how == "empty":
        (bad.path / layout.WEIGHTS).touch()

    says_damage(reading.read(bad.path), layout.WEIGHTS)
    unaffected(good)


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 100, 1000, 8000, -1])
def test_cut_weights_are_named_when_they_are_loaded(cut: int, finished: Run):
    file = finished.path / layout.WEIGHTS
    file.write_bytes(file.read_bytes()[:cut])

    with refused(f"{finished.slug} is damaged: {layout.WEIGHTS}: "):
        checkpoints.load_model(reading.read(finished.path))


@pytest.mark.parametrize("content", [bytes(range(256)) * 99, b"\x02" + bytes(7) + b"{}", b"\x02" + bytes(7) + b"[]"])
def test_foreign_weights_are_named_when_they_are_loaded(content: bytes, finished: Run):
    """Junk, or a valid file with other tensors in it."""
    (finished.path / layout.WEIGHTS).write_bytes(content)

    with refused(f"{finished.slug} is damaged: {layout.WEIGHTS}: "):
        checkpoints.load_model(reading.read(finished.path))


def test_a_flipped_bit_in_the_weights_is_noticed(finished: Run):
    """In the numbers each flip is found; in the description of the file none leads to anything but one line."""
    file = finished.path / layout.WEIGHTS
    content = file.read_bytes()
    numbers = 8 + int.from_bytes(content[:8], "little")
    for at in [*range(numbers, len(content), 997), len(content) - 1]:
        file.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
        with refused("is damaged: "):
            checkpoints.load_model(finished)
    for at in range(0, numbers, 7):
        file.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
        try:
            checkpoints.load_model(finished)
        except BardlabError as error:
            assert "\n" not in str(error)


def test_weights_of_another_model_do_not_fit(finished: Run):
    """Settings and weights that do not belong together are damage, in one line."""
    other = make_run("bigram")
    (other.path / layout.WEIGHTS).write_bytes((finished.path / layout.WEIGHTS).read_bytes())

    with refused(f"{other.slug} is damaged"):
        checkpoints.load_model(other)


def test_strange_folders_are_listed_and_harmless(finished: Run):
    (paths.runs() / "empty").mkdir()
    (paths.runs() / "a file").write_text("x")
    (paths.runs() / ".hidden").mkdir()
    listed = {run.slug: run.damage for run in reading.list_runs()}

    assert listed == {finished.slug: None, "empty": f"{folder.CONFIG} is missing"}
    unaffected(finished)


@pytest.mark.parametrize(("written", "kept"), [("cpu", "cpu"), ("cuda", "cuda"), ("", ""), ("![x](http://a.b/c)", "")])
def test_a_device_is_one_of_those_there_are(written: str, kept: str):
    """A folder from elsewhere can say anything; the word stands in headings."""
    assert Status(device=written).device == kept
