"""What was read of a run is not read again, unless one of its files is another; its worker is looked at every time."""

import os
import time
from pathlib import Path

import pytest

from core.runs import editing, folder, layout, reading, state
from core.runs.folder import State
from core.runs.state import Run


def aged(run: Run, seconds: float = 60.0) -> None:
    """Let a run's files be older than the clock that tells one write from the next is coarse."""
    then = time.time() - seconds
    for file in run.path.iterdir():
        os.utime(file, (then, then))


def test_a_run_that_has_not_changed_is_not_read_again(finished: Run, monkeypatch: pytest.MonkeyPatch):
    aged(finished)
    first = reading.read(finished.path)
    monkeypatch.setattr(reading, "_read", lambda path: pytest.fail("read again"))

    assert reading.read(finished.path) is first
    assert reading.list_runs() == [first]


@pytest.mark.parametrize("file", [folder.CONFIG, folder.STATUS, folder.LABEL, layout.WEIGHTS])
def test_each_file_that_changes_is_seen(finished: Run, file: str):
    """In place or by another file, longer or of the same length."""
    aged(finished)
    assert reading.read(finished.path).damage is None
    path = finished.path / file
    content = path.read_bytes() if path.exists() else b""
    if file == folder.LABEL:
        editing.rename(finished, "another name")
        assert reading.read(finished.path).name == "another name"
    else:
        path.write_bytes(content[: len(content) // 2])
        assert reading.read(finished.path).damage
        path.write_bytes(content)
        assert reading.read(finished.path).damage is None
        path.unlink()
        assert reading.read(finished.path).damage


def test_what_was_written_just_now_is_not_kept(finished: Run):
    """A file's time may be too coarse to tell the next write, of the same length and in place, from this one."""
    path = finished.path / folder.STATUS
    before = path.stat()
    content = path.read_bytes()
    path.write_bytes(content)
    reading.read(finished.path)
    path.write_bytes(b" " * len(content))
    os.utime(path, ns=(before.st_atime_ns, path.stat().st_mtime_ns))

    assert reading.read(finished.path).damage


def test_a_worker_that_dies_is_seen_though_no_file_changes(finished: Run):
    with folder.hold(finished.path):
        state.write_status(
            finished.path, finished.status.model_copy(update={"state": State.RUNNING, "pid": os.getpid()})
        )
        aged(finished)
        assert reading.read(finished.path).state is State.RUNNING
    assert reading.read(finished.path).state is State.LOST


def test_folders_are_listed_by_name_without_hidden_ones(tmp_path: Path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / "all" / name).mkdir(parents=True)
    (tmp_path / "all" / "file").touch()

    assert folder.folders(tmp_path / "all") == [tmp_path / "all" / "a", tmp_path / "all" / "b"]
    assert folder.folders(tmp_path / "gone") == []
