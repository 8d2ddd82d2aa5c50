"""What differs between runs, and what the difference is worth: settings, findings with their uncertainty, fits."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from core.errors import BardlabError
from core.runs import reading
from core.runs.state import BROKEN, Run
from core.settings import shown
from core.texts.corpus import available

SEED = "train.seed"
BEGUN = "first weights from"
ARROW = "→"
MACHINE = ("device", "number format")
"""What a run was computed on and in: a difference that is told, but no setting to label a run by."""


def settings(run: Run) -> dict[str, Any]:
    """Return everything that was chosen for a run, by dotted name: rung, text, device, model.*, train.*.

    Raises BardlabError if the run is damaged.
    """
    config = run.need()
    found: dict[str, Any] = {
        "rung": config.rung_key,
        "text": config.corpus,
        "device": run.status.device or config.device,
    }
    if run.broken:
        found[BROKEN] = config.title or config.rung_key
    if config.start:
        found[BEGUN] = f"{config.start.name}, step {config.start.step:,}"
    found |= {f"model.{name}": value for name, value in config.model_config_.model_dump().items()}
    return found | {f"train.{name}": value for name, value in config.train.model_dump().items()}


def differences(compared: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs: for each its value in every run, None for none."""
    each = [settings(run) for run in compared]
    if all(run.status.device_name and run.status.precision for run in compared):  # older runs do not tell
        each = [
            {**one, "device": run.status.device_name, "number format": run.status.precision}
            for one, run in zip(each, compared, strict=True)
        ]
    names = dict.fromkeys(name for one in each for name in one)
    rows = {name: [one.get(name) for one in each] for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values[1:])}


def changes(old: Run, new: Run) -> str:
    """Return what `new` has different, such as `n_head 4 → 8, seed 1337 → 1338`; empty if nothing."""
    parts, titles = [], available()
    found = differences([old, new])
    if old.rung_key != new.rung_key:  # what one rung alone has says no more than that
        had = settings(old).keys() & settings(new).keys()
        found = {name: values for name, values in found.items() if name in had or not name.startswith("model.")}
    for name, (before, after) in found.items():
        if name == "text":
            before, after = titles.get(before, before), titles.get(after, after)
        parts.append(f"{name.split('.')[-1]} {shown(before)} {ARROW} {shown(after)}")
    most = 6 if old.rung_key == new.rung_key else 4
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")


def against(new: Run, old: Run) -> str:
    """Return one sentence on what `new` has different from `old`."""
    if old.rung_key != new.rung_key:
        return f"another rung than {old.name}: {old.need().rung.title} {ARROW} {new.need().rung.title}"
    what = changes(old, new)
    return f"{what}, everything else as in {old.name}" if what else f"the same settings and seed as {old.name}"


def against_parent(run: Run) -> str | None:
    """Return one sentence on what a run has different from the run it was made from; None if it was made from none."""
    parent = run.config.parent if run.config else None
    if run.damage or not parent:
        return None
    try:
        return against(run, reading.find(parent))
    except BardlabError:
        return f"made from {parent}, which is no longer here or cannot be read"


def lineage(compared: Sequence[Run]) -> dict[str, str]:
    """Return one sentence for each run, by slug: against its parent, else against the first run that has none."""
    parents = {run.config.parent for run in compared if run.config}
    roots = sorted((r for r in compared if not against_parent(r)), key=lambda r: r.slug not in parents)
    found = {}
    for run in compared:
        sentence = against_parent(run)
        if sentence is None and run.slug != roots[0].slug:
            sentence = against(run, roots[0])
        if sentence is not None:
            found[run.slug] = sentence
    return found


def labels(compared: Sequence[Run]) -> dict[str, str]:
    """Return a label for each run, by slug, no two alike, that says what sets it apart if one or two settings do."""
    rows = {name: values for name, values in differences(compared).items() if name not in MACHINE} if compared else {}
    found = {run.slug: run.name for run in compared}
    if 1 <= len(rows) <= 2:
        for i, run in enumerate(compared):
            told = [f"{name.split('.')[-1]} {shown(values[i])}" for name, values in rows.items()]
            told = [what for what in told if f"{what}," not in f"{run.name},"]
            found[run.slug] += f" ({', '.join(told)})" if told else ""
    often = Counter(found.values())
    alike = [run for run in compared if often[found[run.slug]] > 1]
    return found | {run.slug: f"{found[run.slug]} · {run.handle}" for run in alike}


def key(run: Run) -> str:
    """Return what two runs share that differ by nothing but the seed (and the device)."""
    return json.dumps({n: v for n, v in settings(run).items() if n not in (SEED, "device")}, sort_keys=True)


def families(compared: Iterable[Run]) -> list[list[Run]]:
    """Sort runs into families that differ by nothing but the seed, the oldest family first, each by seed."""
    found: dict[str, list[Run]] = {}
    for run in sorted((r for r in compared if not r.damage), key=lambda r: r.need().created):
        found.setdefault(key(run), []).append(run)
    return [sorted(family, key=lambda r: r.need().train.seed) for family in found.values()]


def twins_of(run: Run, setting: str, among: Iterable[Run]) -> list[Run]:
    """Find runs with the settings, text and seed of `run` but for another value of one setting of the model.

    Newest first, as `among` is; at most one for each value.
    """
    config = run.need()
    found: dict[object, Run] = {}
    for other in among:
        theirs = other.config
        if (
            theirs is None
            or other.damage
            or other.broken != run.broken
            or other.path == run.path
            or setting not in config.model
        ):
            continue
        same_training = (theirs.rung_key, theirs.train, theirs.corpus_sha256) == (
            config.rung_key,
            config.train,
            config.corpus_sha256,
        )
        rest = {k: v for k, v in theirs.model.items() if k != setting}
        same_model = rest == {k: v for k, v in config.model.items() if k != setting}
        if same_training and same_model and theirs.model.get(setting) != config.model[setting]:
            found.setdefault(theirs.model.get(setting), other)
    return list(found.values())
