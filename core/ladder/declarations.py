"""Loads the declarations of the rungs, each on its own: a broken one is told in one line, and the others work."""

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType

from core.errors import BardlabError
from core.ladder.rung import Rung
from core.models.contract import LanguageModel

REQUIRED = ("context", "forward")
"""What a model has to answer itself; the contract has an answer to everything else."""


@dataclass(frozen=True)
class Ladder:
    """What the declarations came to."""

    rungs: dict[str, Rung] = field(default_factory=dict)
    """By key, in the order of their declarations."""
    files: dict[str, str] = field(default_factory=dict)
    """By key: where each is declared, such as core/ladder/mlp.py."""
    problems: list[str] = field(default_factory=list)
    """A line on each declaration that cannot be used."""


def load(modules: Iterable[str]) -> Ladder:
    """Import the modules and collect the rungs that they declare. Of two rungs with one key the first stays."""
    ladder = Ladder()
    for module in modules:
        name, file = module.rpartition(".")[2], module.replace(".", "/") + ".py"
        try:
            rung = declared(importlib.import_module(module))
            if rung.key in ladder.files:
                raise BardlabError(f"its key {rung.key!r} is that of {ladder.files[rung.key]}; choose another")
            check(rung)
        except Exception as error:  # whatever a file with a mistake in it raises
            ladder.problems.append(f"the rung {name!r} ({file}) is left out: {in_one_line(error)}")
        else:
            ladder.rungs[rung.key], ladder.files[rung.key] = rung, file
    return ladder


def declared(module: ModuleType) -> Rung:
    """Return the rung that a module declares. Raises BardlabError unless there is exactly one."""
    rungs = [value for value in vars(module).values() if isinstance(value, Rung)]
    if len(rungs) != 1:
        raise BardlabError(f"it declares {len(rungs)} rungs; declare one, as core/ladder/mlp.py does")
    return rungs[0]


def check(rung: Rung) -> None:
    """Raise BardlabError if the declaration cannot be used, naming what is missing."""
    if not (isinstance(rung.model, type) and issubclass(rung.model, LanguageModel)):
        raise BardlabError("its model is no LanguageModel; derive it from the class in core/models/contract.py")
    for method in REQUIRED:
        if getattr(rung.model, method) is getattr(LanguageModel, method):
            raise BardlabError(f"its model {rung.model.__name__} has no {method}; see core/models/contract.py")
    if not rung.presets:
        raise BardlabError("it has no preset; declare one at least")
    for name, preset in rung.presets.items():
        try:
            rung.settings(name, {}, {})
        except BardlabError as error:
            raise BardlabError(f"its preset {name!r} is no set of settings: {error}") from None
        if not preset.help:
            raise BardlabError(f"its preset {name!r} has no help")
    if not rung.experiments:
        raise BardlabError("it has no experiment; declare one at least")
    for experiment in rung.experiments:
        if experiment.preset not in rung.presets:
            raise BardlabError(
                f"its experiment {experiment.title!r} starts from {experiment.preset!r}, no preset of it"
            )
    sizes = {field.name for field in rung.config.fields() if field.kind == "int"}
    if unknown := [name for name in rung.widths if name not in sizes]:
        raise BardlabError(f"its width {unknown[0]!r} is no whole number among its model's settings")
    if rung.ships not in rung.presets:
        raise BardlabError(f"it ships {rung.ships!r}, which is none of its presets: {', '.join(rung.presets)}")


def in_one_line(error: Exception) -> str:
    """Say what went wrong in a declaration, and which fields it lacks in the reader's own terms."""
    if missing := re.search(r"(\w+)\.__init__\(\) missing .*arguments?: (.+)", str(error)):
        return f"{missing[1]}(...) lacks {missing[2]}; add it"
    if isinstance(error, BardlabError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
