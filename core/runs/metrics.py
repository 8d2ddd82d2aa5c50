"""The curves of a run, kept in TensorBoard's own event files: `tensorboard --logdir checkpoints` reads them too."""

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.event_file_writer import EventFileWriter

TRAIN_LOSS, VAL_LOSS, SECONDS, CHARACTERS = "train/loss", "val/loss", "time/seconds", "time/characters"
TRAIN_EVAL_LOSS = "train/eval_loss"
"""Of a fixed part of the training split, measured as the validation loss is: without dropout, on unmoving weights."""

_CLOCK = "time/clock"
"""When each point was written, by the clock on the wall: kept by every event, and no curve of its own."""


class MetricsWriter:
    """Appends points to a run's event files from a thread of its own."""

    def __init__(self, folder: Path, resume_step: int | None = None) -> None:
        """Open a new event file. With `resume_step`, points of later steps in older files are declared void."""
        _await_next_second(folder)
        self._writer = EventFileWriter(str(folder), flush_secs=3600)
        if resume_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(step=resume_step + 1, wall_time=time.time(), session_log=start))
        self._flushed = 0.0

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to each named curve, as a single record."""
        rows = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=rows)))
        if time.monotonic() - self._flushed > 0.5:
            self.flush()

    def say(self, step: int, tag: str, text: str) -> None:
        """Add a remark, which TensorBoard shows among its texts."""
        about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        one = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, tensor_shape=one, string_val=[text.encode()])
        value = Summary.Value(tag=tag, metadata=about, tensor=tensor)
        self._writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=[value])))

    def flush(self) -> None:
        """Make everything added so far visible to readers. Raises OSError if it cannot be written."""
        self._writer.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and end."""
        self._writer.close()


def _await_next_second(folder: Path) -> None:
    """Wait, a second at most, until a new event file's name, which begins with the time, sorts behind the older ones'.

    Readers, TensorBoard included, take the files in the order of their names.
    """
    newest = max((path.name for path in folder.glob("events.out.tfevents.*")), default="")
    until = time.monotonic() + 1.0
    while f"events.out.tfevents.{int(time.time()):010d}" <= newest and time.monotonic() < until:
        time.sleep(0.02)


class MetricsReader:
    """Follows a run's event files: each `refresh` reads only what is new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generation = 0
        """Grows when points are taken back because the run was resumed from an earlier step."""
        self.damage: str | None = None
        """What cannot be read of the files, if anything; not a last record that is half written."""
        self._loaders: dict[Path, RawEventFileLoader] = {}
        self._read: dict[Path, int] = {}
        self._points: dict[str, tuple[list[int], list[float]]] = {}
        self._arrays: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._lock = Lock()

    def refresh(self) -> "MetricsReader":
        """Read what has been written since the last call."""
        with self._lock:
            for path in sorted(self.folder.glob("events.out.tfevents.*")):
                if path not in self._loaders:
                    self._loaders[path] = RawEventFileLoader(str(path))
                    self._read[path] = 0
                for record in self._loaders[path].Load():
                    self._read[path] += len(record) + 16  # its length and two checksums stand around it
                    self._take(Event.FromString(record))
            self.damage = next((found for path in self._loaders if (found := self._damage(path))), None)
        return self

    def _damage(self, path: Path) -> str | None:
        """Say from where on a file cannot be read."""
        at, size = self._read[path], path.stat().st_size if path.exists() else 0
        if at >= size:
            return None
        with path.open("rb") as file:
            file.seek(at)
            length, check = file.read(8), file.read(4)
        whole = len(check) == 4 and masked_crc32c(length) == int.from_bytes(check, "little")
        if len(check) < 4 or (whole and at + 16 + int.from_bytes(length, "little") > size):
            return None
        return f"{path.name} is damaged: {size - at:,} of its {size:,} bytes cannot be read"

    def _take(self, event: Event) -> None:
        if event.HasField("session_log") and event.session_log.status == SessionLog.START:
            self._purge(event.step)
        for value in event.summary.value:
            if not value.HasField("simple_value"):
                continue
            steps, values = self._points.setdefault(value.tag, ([], []))
            steps.append(event.step)
            values.append(value.simple_value)
            if value.tag == SECONDS:
                steps, times = self._points.setdefault(_CLOCK, ([], []))
                steps.append(event.step)
                times.append(event.wall_time)

    def _purge(self, first_void: int) -> None:
        for tag, (steps, values) in self._points.items():
            keep = [i for i, step in enumerate(steps) if step < first_void]
            if len(keep) < len(steps):
                self.generation += 1
                self._arrays.pop(tag, None)
                self._points[tag] = ([steps[i] for i in keep], [values[i] for i in keep])

    def curve(self, tag: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return steps (n,) and values (n,) of one curve, both empty if it has no points."""
        with self._lock:
            steps, values = self._points.get(tag, ([], []))
            old = self._arrays.get(tag, (np.empty(0), np.empty(0)))
            have = len(old[0])
            if have < len(steps):
                new = np.array(steps[have:], dtype=np.float64), np.array(values[have:], dtype=np.float64)
                self._arrays[tag] = (np.concatenate((old[0], new[0])), np.concatenate((old[1], new[1])))
            return self._arrays.get(tag, (np.empty(0), np.empty(0)))

    def at(self, tag: str, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one curve's values at `steps` (n,), interpolated between its points."""
        known, values = self.curve(tag)
        return np.interp(steps, known, values) if len(known) else np.zeros_like(steps)

    def clock(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when `steps` (n,) were reached, in seconds since 1970."""
        return self.at(_CLOCK, steps)

    def tags(self) -> list[str]:
        """List the names of all curves."""
        with self._lock:
            return sorted(self._points.keys() - {_CLOCK})
