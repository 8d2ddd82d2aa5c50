"""Finds the claims: every module of core/studies/claims/declared that declares one."""

import importlib
import pkgutil

from core.errors import BardlabError
from core.ladder import registry
from core.studies.claims import declared
from core.studies.claims.claim import Claim


def _found() -> dict[str, Claim]:
    claims = []
    for module in pkgutil.iter_modules(declared.__path__):
        values = vars(importlib.import_module(f"{declared.__name__}.{module.name}")).values()
        claims += [value for value in values if isinstance(value, Claim)]
    rungs = list(registry.RUNGS)
    there = [claim for claim in claims if all(arm.rung in rungs for arm in claim.arms)]
    there.sort(key=lambda claim: (rungs.index(claim.arms[0].rung), claim.year, claim.place))
    return {claim.key: claim for claim in there}


CLAIMS = _found()
"""By key, in the order of the ladder."""


def get(key: str) -> Claim:
    """Return a claim by its key. Raises BardlabError if there is none."""
    if key not in CLAIMS:
        raise BardlabError(f"no claim is called {key!r}; choose one of {', '.join(CLAIMS)}")
    return CLAIMS[key]
