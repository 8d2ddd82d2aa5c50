"""What a training shows of itself while it runs, as a few numbers read off its curves and its weights."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation import evaluate, spread_slice, windows
from core.inspect.activations import health
from core.runs import checkpoints, layout, openings
from core.runs.metrics import TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run
from core.training.monitor import GRAD_NORM, UPDATE_RATIO

LOOKED_AT = 2048
"""Characters of the validation text on which the layers are looked at."""
JUDGED = 20_000
"""Characters on which saved weights are measured again."""
TAIL = 10
"""Reports of the gradient's norm of which the median is taken."""
LATE = 0.25
"""The share of the steps taken, at their end, over which the training loss is averaged."""


@dataclass(frozen=True)
class Signs:
    """What can be seen of one run; losses in nats a character."""

    chance: float
    """The loss of whoever guesses blindly."""
    first: float
    """The training loss before the first step."""
    train: float
    """The training loss at the end: the mean over the last quarter of the steps."""
    val_first: float
    val_lowest: float
    val: float
    """The validation loss at the first evaluation, the lowest, and the latest."""
    norm_first: float
    norm_last: float
    """The norm of the whole gradient at the first and the latest steps: medians of a few reports."""
    quietest: float
    """The smallest gradient norm that any layer had, as a share of the largest at the same step."""
    quiet_layer: str
    jump: float
    """How far the very first step moved the matrix that it moved most: ‖update‖ / ‖weights‖."""


def signs(run: Run, read: MetricsReader) -> Signs | None:
    """Read the signs off a run's curves; None as long as there are too few points."""
    steps, train = read.curve(TRAIN_LOSS)
    _, val = read.curve(VAL_LOSS)
    _, norm = read.curve("train/grad_norm")
    if len(train) < 3 or not len(val) or len(norm) < 3:
        return None
    quiet, layer = _quietest(read)
    return Signs(
        math.log(len(run.need().characters)),
        float(train[0]),
        _late_mean(steps, train),
        float(val[0]),
        float(np.min(val)),
        float(val[-1]),
        float(np.median(norm[1 : 1 + TAIL])),
        float(np.median(norm[-TAIL:])),
        quiet,
        layer,
        _jump(read),
    )


def _late_mean(steps: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """Average reports by how many of the last steps each stands for: how often one comes is up to the machine."""
    begins = steps[-1] - LATE * (steps[-1] - steps[0])
    return float(np.average(losses[1:], weights=np.clip(steps[1:] - np.maximum(steps[:-1], begins), 0, None)))


def _quietest(read: MetricsReader) -> tuple[float, str]:
    """The layer whose gradient is smallest beside the largest one's, at the first look after the start."""
    norms = {tag.removeprefix(GRAD_NORM): read.curve(tag)[1] for tag in read.tags() if tag.startswith(GRAD_NORM)}
    latest = {name: float(np.median(values[1:])) for name, values in norms.items() if len(values) > 1}
    largest = max(latest.values(), default=0.0)
    if not largest:
        return 1.0, ""
    name = min(latest, key=latest.__getitem__)
    return latest[name] / largest, name


def _jump(read: MetricsReader) -> float:
    """The largest relative change of any matrix at the first look."""
    curves = [read.curve(tag)[1] for tag in read.tags() if tag.startswith(UPDATE_RATIO)]
    found = [float(values[0]) for values in curves if len(values)]
    return float(10 ** max(found)) if found else 0.0


@dataclass(frozen=True)
class Inside:
    """What the saved weights themselves show."""

    saturated: float
    """Before the first step: the largest share of a layer's units that pass no gradient."""
    dead: float
    """Now: the largest share of one layer's units that give the same whatever comes in."""
    spread: float
    """Before the first step: the size of the last hidden layer's activations over that of the first one's."""
    again: float
    """The validation loss of the newest weights, measured anew on a part of the text, without dropout."""
    reported: float
    """What the run itself said at its latest evaluation."""


def inside(run: Run) -> Inside | None:
    """Look at a run's weights, at the start and now; None if there are none yet, or its text is gone."""
    text, steps = openings.text_of(run), layout.snapshot_steps(run.path)
    if text is None or not run.usable or not steps or run.status.val_loss is None:
        return None
    start, _ = checkpoints.load_model(run, steps[0])
    now, _ = checkpoints.load_model(run)
    ids = windows(text.val_ids, now.usual_window * 4 if now.slides else now.usual_window, 64)
    ids = (ids[0][: LOOKED_AT // ids[0].shape[1]], ids[1][: LOOKED_AT // ids[1].shape[1]])
    before, after = health(start, *ids), health(now, *ids)
    return Inside(
        max((layer.saturated for layer in before if layer.kind == "tanh"), default=0.0),
        max((layer.dead / layer.units for layer in after), default=0.0),
        before[-1].std / max(before[0].std, 1e-12) if before else 1.0,
        evaluate(now, spread_slice(text.val_ids, JUDGED)).loss,
        run.status.val_loss,
    )
