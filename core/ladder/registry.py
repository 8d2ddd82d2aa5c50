"""The ladder: every rung that `DECLARED` names. Pages, command line, tests and README iterate this registry."""

from collections.abc import Callable

from core.errors import BardlabError
from core.ladder.declarations import load
from core.ladder.rung import Rung
from core.models.contract import LanguageModel
from core.models.footprint import weightless

DECLARED = ("bigram", "mlp", "recurrent", "wavenet", "residual", "transformer")
"""The files of core/ladder that declare a rung each, in the order in which they are climbed."""


def rungs_whose(holds: Callable[[LanguageModel], object]) -> tuple[str, ...]:
    """Return the keys of the rungs for whose models, built with default settings on `meta`, `holds` is true."""
    with weightless():
        return tuple(key for key, rung in RUNGS.items() if holds(rung.build(rung.config(), 2)))


_LADDER = load(f"core.ladder.{name}" for name in DECLARED)
RUNGS: dict[str, Rung] = _LADDER.rungs
FILES: dict[str, str] = _LADDER.files
"""By key: where each rung is declared."""
PROBLEMS: list[str] = _LADDER.problems
"""A line on each declaration that cannot be used: what is wrong with it, and where. The other rungs work."""


def get(key: str) -> Rung:
    """The rung called `key`. Raises BardlabError, listing the rungs, if there is none."""
    if key not in RUNGS:
        raise BardlabError(f"unknown stage {key!r}; choose one of {', '.join(RUNGS)}")
    return RUNGS[key]
