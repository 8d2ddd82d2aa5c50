"""What is measured of a finished run, once: kept in its folder, sealed, and measured again if that cannot be read."""

import contextlib
import json
import math
from collections.abc import Callable

from core import files
from core.errors import BardlabError
from core.runs import folder
from core.runs.metrics import TRAIN_EVAL_LOSS, MetricsReader
from core.runs.state import Run
from core.studies.claims.claim import Claim, Values

FILE = "claim.json"


def basics(run: Run) -> dict[str, float]:
    """Return what is measured of every run: losses, seconds, parameters."""
    status = run.status
    found = {"seconds": status.seconds, "parameters": float(status.parameters or 0)}
    if status.val_loss is not None:
        found["loss"] = status.val_loss
    _, training = MetricsReader(run.path).refresh().curve(TRAIN_EVAL_LOSS)
    if len(training) and status.val_loss is not None:
        found["gap"] = status.val_loss - float(training[-1])
    return found


def nothing(run: Run) -> Values:
    """Measure nothing beyond that."""
    return {}


def curve(tag: str, name: str) -> Callable[[Run], Values]:
    """Measure one of a run's curves: its points as NAME@STEP, its last as NAME."""

    def measure(run: Run) -> Values:
        steps, values = MetricsReader(run.path).refresh().curve(tag)
        found = {f"{name}@{step:g}": float(value) for step, value in zip(steps, values, strict=True)}
        return {**found, name: float(values[-1])} if len(values) else found

    return measure


def measured(claim: Claim, run: Run) -> Values:
    """Return what a claim measures of a finished run. Raises BardlabError if the run is damaged."""
    run.need()
    about = {"claim": claim.key, "step": run.status.step, "ended": run.status.ended}
    try:
        kept = json.loads(folder.checked(files.read(run.path / FILE)))
        values = {str(name): float(value) for name, value in kept["values"].items()}
        if {name: kept[name] for name in about} == about and all(map(math.isfinite, values.values())):
            return values
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    values = {**basics(run), **claim.measure(run)}
    if strange := [name for name, value in values.items() if not math.isfinite(value)]:
        raise BardlabError(f"run {run.slug}: {strange[0]} is no number; delete the run and reproduce the claim again")
    with contextlib.suppress(OSError):  # it is measured again next time
        files.replace(run.path / FILE, folder.sealed(json.dumps({**about, "values": values}, indent=2).encode()))
    return values
