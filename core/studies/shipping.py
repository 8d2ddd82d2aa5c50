"""The runs that ship: each language-model rung trained by its best preset, thinned, and put beside the product.

`python -m core pretrain` (or `make pretrained`) trains each as an ordinary run in the learner's folder, so that an
interrupted one goes on where it was, and then publishes it: a real run folder with its curves and texts, weights in
bfloat16, and as many snapshots as its share of the size allows. The losses written into it are measured again on the
weights as published.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as load_tensors

from core import files, paths
from core.errors import BardlabError
from core.evaluation import evaluate
from core.jobs import control, work
from core.ladder.registry import RUNGS
from core.ladder.rung import Rung
from core.runs import checkpoints, editing, folder, layout, plan, reading, state
from core.runs.folder import State
from core.runs.state import Run
from core.texts.corpus import load as load_corpus

FIGURES = "README.md"


def pretrain(rung: Rung, say: Callable[[str], None]) -> Run:
    """Train a rung's shipped preset, or go on with it, and publish it. Returns the published run.

    Raises BardlabError if the training ends in anything but `finished`.
    """
    run = _training_run(rung)
    if run.state is not State.FINISHED:
        if run.state is not State.QUEUED:
            control.check_startable(run)
            editing.queue_again(run)
        run = work.work(run.path, log=say)
    if run.state is not State.FINISHED:
        raise BardlabError(f"{rung.key} ended {run.state}: {run.status.message}; the same command goes on with it")
    return publish(run, rung.key)


def _training_run(rung: Rung) -> Run:
    path = paths.runs() / f"pretrained-{rung.key}"
    return reading.read(path) if path.exists() else editing.create(plan.plan(rung.key, preset=rung.ships), path.name)


def publish(run: Run, name: str) -> Run:
    """Copy a finished run to `checkpoints/pretrained/NAME`, thinned; one of that name is replaced.

    Raises BardlabError if the run has not finished or is damaged.
    """
    config = run.need()
    if run.state is not State.FINISHED:
        raise BardlabError(f"run {run.slug} is {run.state}; only a finished run can ship")
    target = paths.pretrained() / name
    part = target.with_name(f".{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / layout.SNAPSHOTS).mkdir(parents=True)
    for file in (folder.CONFIG, folder.SAMPLES, *(f.name for f in run.path.glob("events.out.tfevents.*"))):
        if (run.path / file).exists():
            shutil.copy2(run.path / file, part / file)
    about = checkpoints.about(config.model_config_)
    _shrink(run.path / layout.WEIGHTS, part / layout.WEIGHTS, about)
    for step in kept_snapshots(run, config.rung.snapshot_bytes):
        _shrink(layout.snapshot_path(run.path, step), layout.snapshot_path(part, step), about)
    files.replace(part / folder.LABEL, json.dumps({"name": f"{config.rung.title} (shipped)"}).encode())
    status = run.status.model_copy(update={"pid": None, "message": "", "checkpoint_step": run.status.step})
    state.write_status(part, status)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    published = reading.read(target)
    model, _ = checkpoints.load_model(published)
    loss = evaluate(model, load_corpus(config.corpus).val_ids).loss
    best = {"best_val_loss": loss, "best_step": status.step}
    state.write_status(target, status.model_copy(update={"val_loss": loss, **best}))
    return reading.read(target)


def kept_snapshots(run: Run, budget: float) -> list[int]:
    """Choose which snapshots ship: the first, the last, and between them, ever rarer, what fits into `budget` bytes."""
    steps = layout.snapshot_steps(run.path)
    if not steps:
        return []
    halved = layout.snapshot_path(run.path, steps[-1]).stat().st_size / 2
    room = max(2, int(budget / halved))
    if len(steps) <= room:
        return steps
    wanted = np.geomspace(1, len(steps), room) - 1  # early steps change most
    return [steps[i] for i in sorted({round(float(w)) for w in wanted})]


def _shrink(source: Path, target: Path, about: Mapping[str, str]) -> None:
    """Write the weights of `source` in bfloat16, with their step, a checksum, and the rung and settings they are of."""
    content = source.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    step = int(header.get("__metadata__", {}).get("step", 0))
    half = {
        name: tensor.bfloat16() if tensor.dtype is torch.float32 else tensor
        for name, tensor in load_tensors(content).items()
    }
    files.replace(target, checkpoints.packed(half, step, about))


def figures() -> str:
    """Return what ships as a table in Markdown, read off the published runs."""
    lines = [
        "| rung | preset | parameters | steps | minutes | validation loss | snapshots |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in RUNGS:
        if not (paths.pretrained() / key).is_dir():
            continue
        run = reading.read(paths.pretrained() / key)
        config, s = run.need(), run.status
        lines.append(
            f"| {config.rung.title} | `{config.preset}` | {s.parameters or 0:,} | {s.step:,} | {s.seconds / 60:.1f} | "
            f"{s.val_loss:.4f} | {len(layout.snapshot_steps(run.path))} |"
        )
    return "\n".join(lines) + "\n"


def ladder() -> str:
    """Return the ladder as a table in Markdown: each rung's idea, and what its shipped run took and reached."""
    lines = [
        "| rung | the idea | after | parameters | trained for | validation loss | choices |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for rung in RUNGS.values():
        cited = rung.paper.partition("),")[0].rstrip(")") + ")"
        known = f"| [{rung.title}](docs/rungs/{rung.key}.md) | {rung.idea} | [{cited}]({rung.paper_url}) |"
        if not (paths.pretrained() / rung.key).is_dir():
            lines.append(f"{known} | | | |")
            continue
        s = reading.read(paths.pretrained() / rung.key).status
        took = f"{s.seconds / 60:.0f} min" if s.seconds >= 90 else f"{s.seconds:.0f} s"
        loss = s.val_loss or 0.0
        lines.append(f"{known} {s.parameters or 0:,} | {took} | **{loss:.3f}** | {math.exp(loss):.1f} |")
    return "\n".join(lines) + "\n"


def write_figures() -> Path:
    """Write the table beside the shipped runs."""
    text = (
        "# The runs that ship\n\n"
        "Trained by `make pretrained`, each by its rung's own preset; real run folders, with weights in bfloat16. The "
        "validation loss is measured on the weights as they lie here, in nats a character over the whole split; the "
        "minutes are wall time on a machine with two cores, evaluations included.\n\n" + figures()
    )
    file = paths.pretrained() / FIGURES
    files.replace(file, text.encode())
    return file
