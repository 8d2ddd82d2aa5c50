"""Settings to train with again: kept under a name, taken from a run, or from a file that was exported.

What is kept belongs to who kept it: everybody may load it; its owner, and those who teach, may replace or forget it.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import files, paths
from core.errors import BardlabError
from core.ladder import registry
from core.ladder.rung import Rung
from core.runs import owners
from core.runs.reading import printable
from core.runs.state import Run
from core.settings import QUOTED, Settings
from core.training.config import TrainConfig

LARGEST = 1_000_000
"""Bytes of a file of settings."""
LONGEST_NAME = 60
MOST = 200
"""Set-ups that are kept of one rung."""


@dataclass(frozen=True)
class SetUp:
    """What was asked for once. It may not fit any more: the rung may have changed, or be another one."""

    rung_key: str
    preset: str | None
    model: Mapping[str, Any]
    train: Mapping[str, Any]
    name: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Fitted:
    """As much of a set-up as a rung takes."""

    preset: str
    changes: dict[str, Any]
    """By dotted name, to be laid over the preset."""
    left_out: tuple[str, ...]
    """Settings that the rung does not have, or whose value it does not take."""


def fit(rung: Rung, wanted: SetUp) -> Fitted:
    """Take over what a rung has and accepts. Raises BardlabError if that contradicts itself."""
    preset = wanted.preset if wanted.preset in rung.presets and wanted.rung_key == rung.key else rung.default_preset
    changes, left_out = {}, []
    kinds: tuple[tuple[str, type[Settings], Mapping[str, Any]], ...] = (
        ("model", rung.config, wanted.model),
        ("train", TrainConfig, wanted.train),
    )
    for group, kind, values in kinds:
        fields = {each.name: each for each in kind.fields()}
        for name, value in values.items():
            if name in fields and fields[name].accepts(value):
                changes[f"{group}.{name}"] = value
            else:
                left_out.append(str(name)[:QUOTED])
    rung.settings(preset, _of("model.", changes), _of("train.", changes))
    return Fitted(preset or rung.default_preset, changes, tuple(left_out))


def _of(prefix: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in changes.items() if name.startswith(prefix)}


def of_run(run: Run) -> SetUp:
    """Return what was asked of a run. Raises BardlabError if it is damaged."""
    config = run.need()
    return SetUp(config.rung_key, config.preset, config.model, config.train.model_dump(), run.name)


def of_json(content: bytes) -> SetUp:
    """Read an exported file of settings. Raises BardlabError, in one line, if it is none."""
    what = "give the settings (.json) that Export made of a run"
    if len(content) > LARGEST:
        raise BardlabError(f"a file of {len(content):,} bytes is no file of settings; {what}")
    try:
        settings = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise BardlabError(f"this is not JSON ({reason[:QUOTED]}); {what}") from None
    if not isinstance(settings, dict) or not all(isinstance(settings.get(part), dict) for part in ("model", "train")):
        raise BardlabError(f"this JSON holds no settings of a model and its training; {what}")
    preset, rung_key = settings.get("preset"), settings.get("stage")
    name = " ".join(printable(settings.get("name")).split())[:LONGEST_NAME]
    preset_name = preset if isinstance(preset, str) else None
    owner = settings.get("owner")
    return SetUp(
        rung_key if isinstance(rung_key, str) else "",
        preset_name,
        settings["model"],
        settings["train"],
        name,
        owner if isinstance(owner, str) else "",
    )


# --- kept under a name -----------------------------------------------------------------------------------------------


def folder(rung_key: str) -> Path:
    """Return where the set-ups of a rung are kept, each a JSON file in the form of an exported one."""
    return paths.data() / "set-ups" / rung_key


def keep(name: str, rung: Rung, preset: str, model: Settings, train: TrainConfig) -> str:
    """Keep settings under a name, in place of what was kept under it before. Returns the name as it is kept.

    Raises BardlabError if that is no name, is another's, or there is no room.
    """
    name = " ".join(printable(name).split())
    if not name or len(name) > LONGEST_NAME:
        raise BardlabError(f"settings are kept under a name of 1 to {LONGEST_NAME} characters; give one")
    there = saved_names(rung.key)
    if name not in there and len(there) >= MOST:
        raise BardlabError(f"{MOST} set-ups are kept of this rung already; forget one first")
    _check(rung.key, name, "replace")
    content = {
        "stage": rung.key,
        "name": name,
        "preset": preset,
        "model": model.model_dump(),
        "train": train.model_dump(),
        "owner": _owner(rung.key, name) if name in there else owners.signature(),
    }
    file = _file(rung.key, name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "replace"))
    except OSError as error:
        raise BardlabError(f"cannot write {file}: {files.explain(error)}") from None
    return name


def saved_names(rung_key: str) -> list[str]:
    """List the names under which settings of a rung are kept; a damaged file is left out."""
    names = []
    for file in sorted(folder(registry.get(rung_key).key).glob("*.json")):
        try:
            names.append(of_json(files.read(file)).name)
        except (OSError, BardlabError):
            continue
    return sorted(filter(None, names), key=str.casefold)


def find(rung_key: str, name: str) -> SetUp:
    """Return what is kept under a name. Raises BardlabError if that has gone, such as in another tab."""
    try:
        return of_json(files.read(_file(rung_key, name)))
    except OSError:
        raise BardlabError(f"nothing is kept under {name[:QUOTED]!r} any more; choose another name") from None


def forget(rung_key: str, name: str) -> None:
    """Remove what is kept under a name, if it is still there. Raises OSError, or BardlabError if it is another's."""
    _check(rung_key, name, "forget")
    files.remove(_file(rung_key, name))


def may_change(rung_key: str, name: str) -> bool:
    """Whether whoever acts may replace or forget what is kept under a name."""
    return owners.may_change(_owner(rung_key, name))


def _owner(rung_key: str, name: str) -> str:
    with contextlib.suppress(BardlabError):
        return find(rung_key, name).owner
    return ""


def _check(rung_key: str, name: str, what: str) -> None:
    if _file(rung_key, name).exists():
        owners.check(_owner(rung_key, name), name[:QUOTED], what)


def _file(rung_key: str, name: str) -> Path:
    return folder(rung_key) / f"{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:20]}.json"
