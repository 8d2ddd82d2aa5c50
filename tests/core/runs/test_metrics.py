"""Curves: what is written is read back, a little at a time, by this reader and by TensorBoard's own."""

import time
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from core.runs.metrics import MetricsReader, MetricsWriter


def write(folder: Path, steps: range, resume_step: int | None = None, factor: float = 1.0) -> None:
    writer = MetricsWriter(folder, resume_step)
    for step in steps:
        writer.add(step, {"train/loss": factor * step, "train/lr": 0.5})
    writer.close()


def points(reader: MetricsReader, tag: str = "train/loss") -> list[tuple[float, float]]:
    steps, values = reader.refresh().curve(tag)
    assert len(steps) == len(values)
    return list(zip(steps.tolist(), values.tolist(), strict=True))


def by_tensorboard(folder: Path, tag: str = "train/loss") -> list[tuple[float, float]]:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def event_file(folder: Path) -> Path:
    (file,) = folder.glob("events.out.tfevents.*")
    return file


def test_what_is_written_is_read_back(tmp_path: Path):
    """As 32-bit numbers, the format's own."""
    writer = MetricsWriter(tmp_path)
    values = {"val/loss": 1.25, "train/lr": 3e-4, "tiny": 1e-30, "huge": -1e30}
    writer.add(3, values)
    writer.close()
    reader = MetricsReader(tmp_path).refresh()

    assert reader.tags() == sorted(values)
    for tag, value in values.items():
        assert points(reader, tag) == [(3, np.float32(value))]


def test_the_first_point_is_seen_at_once_and_every_record_has_its_time(tmp_path: Path):
    began = time.time()
    writer = MetricsWriter(tmp_path, resume_step=3)
    writer.add(4, {"train/loss": 2.0})
    assert points(MetricsReader(tmp_path)) == [(4, 2.0)]
    writer.close()
    events = [Event.FromString(record) for record in RawEventFileLoader(str(event_file(tmp_path))).Load()]

    assert len(events) >= 2 and all(began - 1 <= event.wall_time <= time.time() for event in events)


def test_nothing_there_is_an_empty_curve(tmp_path: Path):
    reader = MetricsReader(tmp_path / "nowhere").refresh()

    assert reader.tags() == [] and points(reader) == []
    assert reader.at("train/loss", np.array([1.0, 2.0])).tolist() == [0, 0]


def test_each_refresh_adds_what_is_new(tmp_path: Path):
    """After every flush a reader sees exactly the points so far, and arrays handed out before stay as they were."""
    writer, reader = MetricsWriter(tmp_path), MetricsReader(tmp_path)
    handed: list[np.ndarray] = []
    for step in range(20):
        writer.add(step, {"train/loss": 10.0 - step})
        writer.flush()
        assert points(reader) == [(s, 10.0 - s) for s in range(step + 1)]
        handed.append(reader.curve("train/loss")[0])
    writer.close()

    assert [len(steps) for steps in handed] == list(range(1, 21))
    assert reader.generation == 0
    assert points(MetricsReader(tmp_path)) == points(reader)


def test_values_between_points_are_interpolated(tmp_path: Path):
    write(tmp_path, range(0, 30, 10))

    assert MetricsReader(tmp_path).refresh().at("train/loss", np.array([5.0, 20.0, 99.0])).tolist() == [5, 20, 20]


def test_resuming_takes_later_points_back(tmp_path: Path):
    """Both a reader that watched and one that comes later see one curve without a step twice, also TensorBoard's."""
    write(tmp_path, range(10))
    watcher = MetricsReader(tmp_path)
    before = points(watcher)
    write(tmp_path, range(6, 12), resume_step=5, factor=100.0)
    expected = [*before[:6], *((float(s), 100.0 * s) for s in range(6, 12))]

    assert points(watcher) == expected and watcher.generation > 0
    assert points(MetricsReader(tmp_path)) == expected
    assert by_tensorboard(tmp_path) == expected


def test_resuming_again_and_again_keeps_the_order(tmp_path: Path):
    """Resumes within seconds: the files are read in the order in which they were written."""
    write(tmp_path, range(4))
    for turn in range(1, 4):
        write(tmp_path, range(2, 4), resume_step=1, factor=float(10**turn))

    expected = [(0, 0), (1, 1), (2, 2000), (3, 3000)]
    assert points(MetricsReader(tmp_path)) == expected == by_tensorboard(tmp_path)


def test_resuming_from_the_start_takes_everything_back(tmp_path: Path):
    write(tmp_path, range(5))
    write(tmp_path, range(3), resume_step=-1, factor=7.0)

    assert points(MetricsReader(tmp_path)) == [(0, 0), (1, 7), (2, 14)] == by_tensorboard(tmp_path)


@pytest.mark.parametrize("cut", [1, 30, 90])
def test_a_cut_file_keeps_what_is_before_the_cut(tmp_path: Path, cut: int):
    """A worker that died in the middle of writing loses at most the records that the cut touches."""
    write(tmp_path, range(50))
    file = event_file(tmp_path)
    whole = file.read_bytes()
    record = len(whole) // 51
    file.write_bytes(whole[:-cut])
    reader = MetricsReader(tmp_path)
    found = points(reader)

    assert found == [(s, s) for s in range(len(found))]
    assert 50 - len(found) <= 1 + cut // (record // 2)
    assert len(found) < 50
    write(tmp_path, range(40, 43), resume_step=39, factor=2.0)
    assert points(reader) == [(s, s) for s in range(40)] + [(s, 2 * s) for s in range(40, 43)]


def test_a_record_that_comes_in_two_parts_is_read_when_it_is_whole(tmp_path: Path):
    """The reader looks while the writer is in the middle of a record."""
    write(tmp_path, range(20))
    file = event_file(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(b"")
    reader, found = MetricsReader(tmp_path), []
    for end in range(0, len(whole) + 13, 13):
        with file.open("ab") as out:
            out.write(whole[end - 13 : end] if end else b"")
        found = points(reader)
        assert found == [(s, s) for s in range(len(found))]
        assert reader.damage is None, "half a record may yet become a whole one"

    assert len(found) == 20


@pytest.mark.parametrize("content", [b"", b"junk", bytes(range(256)) * 20, b"\xff" * 64])
def test_a_damaged_file_raises_nothing(tmp_path: Path, content: bytes):
    """Junk has no points, and the file after it is still read."""
    (tmp_path / "events.out.tfevents.0000000001.host.1.0").write_bytes(content)
    reader = MetricsReader(tmp_path)
    assert points(reader) == []
    write(tmp_path, range(3))

    assert points(reader) == points(MetricsReader(tmp_path)) == [(0, 0), (1, 1), (2, 2)]


def test_a_flipped_bit_loses_no_earlier_point(tmp_path: Path):
    write(tmp_path, range(30))
    file = event_file(tmp_path)
    whole = file.read_bytes()
    at = len(whole) // 2
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    found = points(MetricsReader(tmp_path))

    assert found[:13] == [(s, s) for s in range(13)]
    assert points(MetricsReader(tmp_path), "train/lr")[:13] == [(s, 0.5) for s in range(13)]


def test_tensorboard_reads_the_same_points(tmp_path: Path):
    """`tensorboard --logdir` shows what the lab shows."""
    write(tmp_path, range(100))

    for tag in ("train/loss", "train/lr"):
        assert by_tensorboard(tmp_path, tag) == points(MetricsReader(tmp_path), tag)


def test_a_resume_within_the_same_second_comes_after(tmp_path: Path):
    """The older file's name may sort last within its second (another process number): the order is still kept."""
    write(tmp_path, range(5))
    file = event_file(tmp_path)
    file.rename(file.with_name(f"{file.name[:30]}.zzz.99999.99"))
    write(tmp_path, range(2, 4), resume_step=1, factor=10.0)

    expected = [(0, 0), (1, 1), (2, 20), (3, 30)]
    assert points(MetricsReader(tmp_path)) == expected == by_tensorboard(tmp_path)
