"""What a run wrote down along the way: text samples, validation losses, alerts, its log."""

import contextlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

from core import files
from core.files import replace
from core.runs.folder import (
    LOG,
    SAMPLES,
)
from core.runs.state import Sample
from core.training.watch import Alert

FILE = "alerts.jsonl"


def alerts(path: Path) -> list[Alert]:
    """Return a run's alerts, oldest first; what is not whole is passed over."""
    found = []
    with contextlib.suppress(OSError):
        for line in (path / FILE).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
                row = json.loads(line)
                found.append(Alert(int(row["step"]), str(row["kind"]), str(row["text"])))
    return found


def append(path: Path, alert: Alert) -> None:
    """Add an alert."""
    with (path / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(alert), ensure_ascii=False) + "\n")


def drop_after(path: Path, step: int) -> None:
    """Forget alerts of steps that a resumed run will take again."""
    if (path / FILE).exists():
        kept = [alert for alert in alerts(path) if alert.step <= step]
        text = "".join(json.dumps(asdict(alert), ensure_ascii=False) + "\n" for alert in kept)
        files.replace(path / FILE, text.encode())


def samples(path: Path) -> list[Sample]:
    """Return the text written at each evaluation so far, oldest first; a half-written last line is passed over."""
    found = []
    with contextlib.suppress(OSError):
        for line in (path / SAMPLES).read_text(encoding="utf-8", errors="replace").split("\n"):
            with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
                row = json.loads(line)
                loss = None if row["val_loss"] is None else float(row["val_loss"])
                found.append(Sample(int(row["step"]), loss, str(row["prompt"]), str(row["text"])))
    return found


def written(path: Path) -> int:
    """How many bytes of text samples there are: another number after each evaluation."""
    try:
        return (path / SAMPLES).stat().st_size
    except OSError:
        return 0


_EVALUATION = re.compile(rb'^\{"step": (\d{1,12}), "val_loss": ([0-9.e+-]{1,30}),', re.MULTILINE)


def validation_curve(path: Path) -> list[tuple[int, float]]:
    """Return (step, validation loss) of each evaluation, read off the samples, which is far faster than the events."""
    found = []
    with contextlib.suppress(OSError):
        for step, loss in _EVALUATION.findall((path / SAMPLES).read_bytes()):
            with contextlib.suppress(ValueError):
                found.append((int(step), float(loss)))
    return found


_BAR = re.compile(r"^[^\n]*\](?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  )")
"""A progress bar in the way of a dated line that another has added behind it."""


def log_tail(path: Path, characters: int = 4000) -> str:
    """Return the end of what the worker printed."""
    try:
        with (path / LOG).open("rb") as file:
            file.seek(-min(4 * characters, file.seek(0, os.SEEK_END)), os.SEEK_END)
            text = file.read(4 * characters).decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.rsplit("\r", 1)[-1] for line in text.split("\n")]  # a progress bar rewrites its line: keep the last
    return "\n".join(_BAR.sub("", line) for line in lines)[-characters:]


def append_sample(path: Path, sample: Sample) -> None:
    """Add the text of one evaluation."""
    with (path / SAMPLES).open("a", encoding="utf-8") as file:
        file.write(_sample_line(sample))


def _sample_line(sample: Sample) -> str:
    row = {"step": sample.step, "val_loss": sample.val_loss, "prompt": sample.prompt, "text": sample.text}
    return json.dumps(row, ensure_ascii=False) + "\n"


def drop_samples_after(path: Path, step: int) -> None:
    """Forget text of evaluations that a resumed run will make again."""
    kept = [s for s in samples(path) if s.step <= step]
    replace(path / SAMPLES, "".join(_sample_line(sample) for sample in kept).encode())
