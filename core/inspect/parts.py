"""What can be switched off in a model: heads, layers, skip connections, positions, the characters looked back on."""

from collections.abc import Iterable, Sequence
from functools import cache

from core.errors import BardlabError
from core.ladder.registry import rungs_whose
from core.models.answers import Part


@cache
def rungs() -> tuple[str, ...]:
    """List the rungs whose models have parts to switch off."""
    return rungs_whose(lambda model: model.parts())


def chosen(board: Sequence[Part], keys: Iterable[str]) -> list[Part]:
    """Return the parts with these addresses, in the board's order. Raises BardlabError naming those it lacks."""
    wanted = set(keys)
    if lacking := wanted - {part.key for part in board}:
        raise BardlabError(f"this model has no part {', '.join(sorted(lacking))}; choose some on the board")
    return [part for part in board if part.key in wanted]
