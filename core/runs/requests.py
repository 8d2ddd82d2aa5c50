"""What others ask of a worker, as small files in its run folder that it looks at whenever it reports.

    stop           finish the step, save, end (core/runs/reading.py)
    pause          the step from which on to hold still, as text; taken away to go on
    order.json     settings to change
    changes.jsonl  what was changed, and after how many steps; a run that is resumed repeats it

Files outlive servers and tabs, and everybody sees the same ones.
"""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core import files
from core.errors import BardlabError
from core.runs import folder
from core.runs import folder as runs_folder
from core.runs.state import Run
from core.training.config import TrainConfig

ORDER, CHANGES = "order.json", "changes.jsonl"
CHANGEABLE = ("learning_rate", "muon_learning_rate")
"""Training settings that may be changed in mid-run."""


@dataclass(frozen=True)
class Change:
    """A setting that was changed on the way."""

    step: int
    """How many steps had been taken."""
    name: str
    value: float
    old: float

    @property
    def text(self) -> str:
        """The change in words."""
        return f"{self.name} changed from {self.old:g} to {self.value:g}"


# --- asked by a page or the command line -----------------------------------------------------------------------------


def hold(run: Run, step: int = 0) -> None:
    """Ask the worker to hold still once it has taken `step` steps: at once, if it has."""
    files.replace(run.path / folder.PAUSE, str(step).encode())


def release(run: Run) -> None:
    """Let the worker go on."""
    (run.path / folder.PAUSE).unlink(missing_ok=True)


def order(run: Run, values: dict[str, object]) -> None:
    """Ask the worker to change settings of the training. Raises BardlabError on what cannot be changed or is no value.

    `values` may be text, as a command line gives it.
    """
    config = run.need().train
    for name in values:
        if name not in CHANGEABLE:
            raise BardlabError(
                f"train.{name} cannot be changed while a run is under way; these can: "
                + ", ".join(f"train.{n}" for n in CHANGEABLE)
            )
    wanted = TrainConfig.parse({**config.model_dump(), **values}, "train.")
    if "muon_learning_rate" in values and config.optimizer != "muon":
        raise BardlabError(f"train.muon_learning_rate does nothing here: the run's optimiser is {config.optimizer}")
    row = {"id": time.time_ns(), "values": {name: getattr(wanted, name) for name in values}}
    files.replace(run.path / ORDER, json.dumps(row).encode())


# --- looked at by the worker -----------------------------------------------------------------------------------------


def hold_from(path: Path) -> int | None:
    """Return the step from which on the run is to hold still, None if nobody asked."""
    try:
        return int((path / folder.PAUSE).read_text() or 0)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return 0


def take_order(path: Path, config: TrainConfig, done: int) -> list[Change]:
    """Turn what was ordered into changes that hold after `done` steps, kept on disk first. Empty if nothing was.

    Changes that a run had made later than `done`, before it was interrupted and went back, are given up for it.
    """
    try:
        row = json.loads((path / ORDER).read_bytes())
        ordered = {str(name): float(value) for name, value in row["values"].items() if name in CHANGEABLE}
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        ordered = {}
    kept = [change for change in changes(path) if change.step <= done]
    now = {**{name: getattr(config, name) for name in CHANGEABLE}, **{c.name: c.value for c in kept}}
    made = [Change(done, name, value, now[name]) for name, value in ordered.items() if value != now[name]]
    if made:
        kept = [c for c in kept if c.step < done or c.name not in ordered]
        keep(path, [*kept, *made])
    (path / ORDER).unlink(missing_ok=True)
    return made


def keep(path: Path, made: Sequence[Change]) -> None:
    """Write down the changes made so far."""
    text = "".join(json.dumps(asdict(change)) + "\n" for change in made)
    files.replace(path / CHANGES, text.encode(), durable=True)


def changes(path: Path) -> list[Change]:
    """Return the changes made so far, oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for line in (path / CHANGES).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
                row = json.loads(line)
                found.append(Change(int(row["step"]), str(row["name"]), float(row["value"]), float(row["old"])))
    return found


def current(run: Run) -> dict[str, float]:
    """Return the rates in force: the configuration's, or what they were changed to."""
    config = run.need().train
    now = {name: float(getattr(config, name)) for name in CHANGEABLE}
    return now | {change.name: change.value for change in changes(run.path)}


def rates(path: Path) -> dict[int, dict[str, float]]:
    """Return the changes made so far as a trainer takes them: after how many steps, which rate, to what."""
    table: dict[int, dict[str, float]] = {}
    for change in changes(path):
        table.setdefault(change.step, {})[change.name] = change.value
    return table


def request_stop(run: Run) -> None:
    """Ask the worker to finish its step, save and end. Raises OSError."""
    runs_folder.request_stop(run.path)
