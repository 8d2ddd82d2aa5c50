"""Many runs at once: one run with one thing changed, over several seeds; and sweeps over one or two settings.

Everything is planned and checked before the first run exists; then each is a job of its own that waits its turn for the
device, so there is nothing here that has to stay alive.
"""

import itertools
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import BardlabError
from core.jobs import control, timing
from core.ladder import registry
from core.ladder.rung import Rung
from core.runs import editing, reading
from core.runs import plan as runs_plan
from core.runs.folder import State
from core.runs.state import Run, RunConfig
from core.settings import FieldInfo
from core.studies import differences
from core.training import devices
from core.training.config import TrainConfig

MOST_RUNS = 36
"""Each waits in a process of its own, of which torch takes some 200 MB."""
MOST_SEEDS = 10
Method = Literal["grid", "search"]


# --- one thing changed -----------------------------------------------------------------------------------------------


def fork(run: Run, changes: Mapping[str, Any], seeds: int = 1) -> list[RunConfig]:
    """Plan a run again with `changes` (dotted names), all else and the seed as they were.

    With several `seeds`, plan it with the run's seed and those that follow, and also the unchanged run with the seeds
    that are new, so that each changed run has a twin to be compared with. What is there already is not planned again.
    Raises BardlabError if nothing would change, a setting is unknown or out of range, or the run is damaged.
    """
    config = run.need()
    if not 1 <= seeds <= MOST_SEEDS:
        raise BardlabError(f"{seeds} seeds are not accepted; give 1 to {MOST_SEEDS}")
    if differences.SEED in changes:
        raise BardlabError("the seed stays as it is in a fork; ask for several seeds instead")
    model_changes, train_changes = runs_plan.split_settings(changes)
    model = {**config.model_config_.model_dump(), **model_changes}
    train = {**config.train.model_dump(), **train_changes}
    device = config.device
    try:
        devices.resolve(device)
    except BardlabError:  # it was trained on another machine
        device = "auto"

    def plan(model: Mapping[str, Any], train: Mapping[str, Any], seed: int) -> RunConfig:
        return runs_plan.plan(
            config.rung_key,
            preset=config.preset if config.preset in config.rung.presets else None,
            model=model,
            train={**train, "seed": seed},
            device=device,
            corpus_name=config.corpus,
            parent=run.slug,
        )

    first = config.train.seed
    changed = [plan(model, train, first + i) for i in range(seeds)]
    if _identity(changed[0]) == _identity(config):
        raise BardlabError("nothing would change; give a setting another value than the run has")
    twins = [plan(config.model, config.train.model_dump(), first + i) for i in range(1, seeds)]
    planned = [p for pair in itertools.zip_longest(changed, twins) for p in pair if p is not None]
    trainings = [p.train for p in planned]
    alike = [
        run.config
        for run in reading.list_runs(shipped=True)
        if run.config and run.config.train in trainings and not run.damage and _counts(run)
    ]
    there = {_identity(each) for each in [config, *alike]}
    wanted = [p for p in planned if _identity(p) not in there]
    if not wanted:
        raise BardlabError("all of these runs are there already; compare them, or ask for more seeds")
    return wanted


def twins(config: RunConfig, setting: str, values: Sequence[Any], seeds: int = 1) -> list[RunConfig]:
    """Plan a run once for each value of a setting of its model and each of several seeds, its own and those after it.

    The runs of one seed stand together. Raises BardlabError if a value does not fit the other settings.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise BardlabError(f"{seeds} seeds are not accepted; give 1 to {MOST_SEEDS}")
    return [
        runs_plan.plan(
            config.rung_key,
            preset=config.preset,
            model={**config.model, setting: value},
            train={**config.train.model_dump(), "seed": config.train.seed + i},
            device=config.device,
            corpus_name=config.corpus,
        )
        for i in range(seeds)
        for value in values
    ]


def _identity(config: RunConfig) -> str:
    """What decides a run's result, device aside."""
    model = config.model_config_.model_dump_json()
    about = f"{config.rung_key} {config.fault} {config.start} {config.off} {config.corpus_sha256}"
    return f"{about} {model} {config.train.model_dump_json()}"


def _counts(run: Run) -> bool:
    return run.state.active or run.state is State.FINISHED


def weighed(plans: Sequence[RunConfig], text_length: int) -> list[RunConfig]:
    """Return the plans with the memory noted that each will need on its device, for a text of so many characters."""
    return [
        plan.model_copy(update={"memory_needed": timing.total_bytes(plan, timing.place(plan), text_length)})
        for plan in plans
    ]


def shortage(plans: Sequence[RunConfig]) -> str | None:
    """Say in one line that some of the weighed plans are likely to need more memory than there is; None if none is."""
    short = [plan for plan in plans if timing.too_little(plan.memory_needed or 0.0, timing.place(plan))]
    if not short:
        return None
    worst = max(short, key=lambda plan: plan.memory_needed or 0.0)
    who = "this run" if len(plans) == 1 else f"{len(short)} of these {len(plans)} runs will hardly fit: the largest"
    return timing.too_little(worst.memory_needed or 0.0, timing.place(worst), who)


def start(plans: Sequence[RunConfig]) -> list[Run]:
    """Make the runs and queue a job for each. Raises BardlabError, taking back what has not begun, if one cannot be."""
    if len(plans) > MOST_RUNS:
        raise BardlabError(f"{len(plans)} runs at once are too many; at most {MOST_RUNS}, take fewer values")
    for plan in plans[:1]:  # the others differ in nothing that would keep them out
        control.check_place(plan)
    return [control.start(run) for run in editing.create_all(plans)]


# --- sweeps ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """One setting and the values to try; a search takes the smallest and the largest for the ends of its range."""

    name: str
    values: tuple[Any, ...]


def field(rung: Rung, name: str) -> FieldInfo:
    """Return a rung's setting by its dotted name. Raises BardlabError if it has none of that name."""
    group, _, rest = name.partition(".")
    fields = {"model": rung.config.fields, "train": TrainConfig.fields}.get(group, list)()
    for one in fields:
        if one.name == rest:
            return one
    raise BardlabError(f"{rung.title} has no setting {name!r}; write model.NAME or train.NAME (see: show RUN)")


def axis(rung: Rung, text: str) -> Axis:
    """Read `model.n_head=1,2,4`. Raises BardlabError on an unknown setting, no values, or one that is not accepted."""
    name, equals, listed = (part.strip() for part in text.partition("="))
    about = field(rung, name)
    words = list(dict.fromkeys(word.strip() for word in listed.split(",") if word.strip()))
    if not equals or not words:
        raise BardlabError(f"{text!r} has no values; write NAME=VALUE,VALUE,...")
    values = [_number(about.kind, word) for word in words]
    for word, value in zip(words, values, strict=True):
        if not about.accepts(value):
            raise BardlabError(f"{name}: {word} is not accepted; give {about.range}")
    return Axis(name, tuple(values))


def _number(kind: str, word: str) -> Any:
    """A word as the kind of value that a setting takes; what is none is left for the setting itself to refuse."""
    try:
        return {"int": int, "float": float}[kind](word)
    except (KeyError, ValueError):
        return {"true": True, "false": False}.get(word.lower(), word) if kind == "bool" else word


def points(
    rung: Rung, axes: Sequence[Axis], method: Method = "grid", trials: int = 8, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the settings to try, each a dict by dotted name.

    `grid` takes every combination. `search` takes `trials` points of a scrambled Sobol sequence (Sobol 1967, Owen
    1998), which covers the ranges more evenly than chance does; ranges of a hundredfold and more are covered on a
    logarithmic scale, whole numbers are rounded, and settings that are not numbers are drawn from the values given.
    Raises BardlabError on anything but one or two different settings, or more runs than are allowed.
    """
    if not 1 <= len(axes) <= 2 or len({a.name for a in axes}) != len(axes):
        raise BardlabError("a sweep goes over one or two different settings; name them")
    count = math.prod(len(a.values) for a in axes) if method == "grid" else trials
    if not 2 <= count <= MOST_RUNS:
        counted = "1 run" if count == 1 else f"{count} runs"
        raise BardlabError(f"this would be {counted}; take 2 to {MOST_RUNS}")
    if method == "grid":
        return [dict(zip([a.name for a in axes], values, strict=True)) for values in itertools.product(*_values(axes))]
    from scipy.stats import qmc

    sobol = qmc.Sobol(len(axes), rng=seed)
    found: list[dict[str, Any]] = []
    for row in sobol.random(2 ** math.ceil(math.log2(4 * trials))).tolist():  # more than wanted: some come out alike
        point = {a.name: _place(field(rung, a.name), a, share) for a, share in zip(axes, row, strict=True)}
        if point not in found:
            found.append(point)
    return found[:trials]


def _values(axes: Sequence[Axis]) -> list[tuple[Any, ...]]:
    return [a.values for a in axes]


def _place(about: FieldInfo, axis: Axis, share: float) -> Any:
    """Return the value at `share`, 0 to 1, of an axis' range."""
    if about.kind not in ("int", "float") or not all(isinstance(v, int | float) for v in axis.values):
        return axis.values[min(len(axis.values) - 1, int(share * len(axis.values)))]
    low, high = min(axis.values), max(axis.values)
    steep = low > 0 and high / low >= 100
    value = low * (high / low) ** share if steep else low + share * (high - low)
    return round(value) if about.kind == "int" else float(f"{value:.3g}")


def sweep(
    rung_key: str,
    axes: Sequence[Axis],
    *,
    method: Method = "grid",
    trials: int = 8,
    preset: str | None = None,
    base: Run | None = None,
    model: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    device: str = "auto",
    corpus_name: str = "tinyshakespeare",
) -> list[RunConfig]:
    """Plan a sweep around a preset, or around a run (`base`), whose text it then keeps. All plans share one `group`.

    Points that contradict the model's own rules (five heads in a width of 64) are left out. Raises BardlabError as
    `points` and `launch.plan` do, and if fewer than two points remain.
    """
    rung = registry.get(rung_key)
    model, train = dict(model or {}), dict(train or {})
    if base is not None:
        config = base.need()
        if config.rung_key != rung.key:
            raise BardlabError(f"{base.name} is a {config.rung_key}; a sweep around it is one of that rung")
        model, train = {**config.model, **model}, {**config.train.model_dump(), **train}
        preset, corpus_name = None, config.corpus
    group = f"sweep-{secrets.token_hex(3)}"
    plans: list[RunConfig] = []
    problem: BardlabError | None = None
    for point in points(rung, axes, method, trials, seed=int(train.get("seed", 0) or 0)):
        model_point, train_point = runs_plan.split_settings(point)
        try:
            plan = runs_plan.plan(
                rung.key,
                preset=preset,
                model={**model, **model_point},
                train={**train, **train_point},
                device=device,
                corpus_name=corpus_name,
                parent=base.slug if base else None,
                group=group,
            )
        except BardlabError as error:
            problem = error
        else:
            if all(_identity(plan) != _identity(other) for other in plans):
                plans.append(plan)
    if len(plans) < 2:
        raise problem or BardlabError("fewer than two different runs would remain; give other values")
    return plans


def swept(members: Sequence[Run]) -> list[str]:
    """Return the settings in which a sweep's runs differ."""
    return [name for name in differences.differences(members) if "." in name]


def groups(found: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each sweep, the newest sweep first, its runs in the order of their making."""
    sweeps: dict[str, list[Run]] = {}
    for run in found:
        if run.config and run.config.group and not run.damage and not run.broken:
            sweeps.setdefault(run.config.group, []).insert(0, run)
    return sweeps
