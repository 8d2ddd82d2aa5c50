"""The ladder: every rung is declared here, once. Pages, command line, tests and README iterate this registry."""

from collections.abc import Callable

import torch

from core.errors import BardlabError
from core.ladder.bigram import BIGRAM
from core.ladder.mlp import PERCEPTRON
from core.ladder.recurrent import RECURRENT
from core.ladder.residual import RESIDUAL
from core.ladder.rung import Rung
from core.ladder.transformer import TRANSFORMER
from core.ladder.wavenet import WAVENET
from core.models.contract import LanguageModel


def rungs_whose(holds: Callable[[LanguageModel], object]) -> tuple[str, ...]:
    """Return the keys of the rungs for whose models, built with default settings on `meta`, `holds` is true."""
    with torch.device("meta"):
        return tuple(key for key, rung in RUNGS.items() if holds(rung.build(rung.config(), 2)))


RUNGS: dict[str, Rung] = {rung.key: rung for rung in (BIGRAM, PERCEPTRON, RECURRENT, WAVENET, RESIDUAL, TRANSFORMER)}


def get(key: str) -> Rung:
    """The rung called `key`. Raises BardlabError, listing the rungs, if there is none."""
    if key not in RUNGS:
        raise BardlabError(f"unknown stage {key!r}; choose one of {', '.join(RUNGS)}")
    return RUNGS[key]
