"""The evidence that ships: what the claims measured where the product was made, in one small file of JSON."""

import json
import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from core import files
from core.errors import BardlabError
from core.runs import folder
from core.studies.claims.claim import Claim

FILE = Path(__file__).with_name("evidence.json")


class Evidence(BaseModel):
    """What was measured of one claim, and where."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    fingerprint: str
    """Of the settings that were run."""
    figures: dict[str, dict[int, dict[str, float]]]
    machine: str
    """What computed."""
    device: str
    seconds: float
    """Seconds of training and evaluation, all runs together."""
    cpu_seconds: float
    """Seconds of processor time from start to verdict."""
    date: str
    versions: dict[str, str] = {}

    @field_validator("figures")
    @classmethod
    def _numbers(cls, figures: dict[str, dict[int, dict[str, float]]]) -> dict[str, dict[int, dict[str, float]]]:
        for seeds in figures.values():
            for values in seeds.values():
                if not all(math.isfinite(value) for value in values.values()):
                    raise ValueError("a figure is no number")
        return figures

    @property
    def seeds(self) -> int:
        """How many seeds were run."""
        return len({seed for seeds in self.figures.values() for seed in seeds})


def read() -> dict[str, Evidence]:
    """Return the evidence of each claim by its key. Raises BardlabError if the file is missing or damaged."""
    try:
        content = json.loads(folder.checked(files.read(FILE)))
        return {str(key): Evidence.model_validate(value) for key, value in content["claims"].items()}
    except FileNotFoundError:
        raise BardlabError(f"{FILE.name} is missing; the command claim all --ship measures it again") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = "its content is not what was written" if isinstance(error, ValidationError) else str(error)
        raise BardlabError(
            f"{FILE.name} is damaged: {' '.join(reason.split())[:200]}; reproduce the claims here, "
            "or measure it again with: claim all --ship"
        ) from None


def of(claim: Claim) -> Evidence | None:
    """Return what ships of a claim; None if nothing does, or it is of other settings. Raises as `read` does."""
    found = read().get(claim.key)
    return found if found and found.fingerprint == claim.fingerprint else None


def keep(claim: Claim, found: Evidence) -> None:
    """Put a claim's evidence into the file; what cannot be read of it is given up. Raises BardlabError."""
    try:
        there = read()
    except BardlabError:
        there = {}
    there[claim.key] = found
    rows = {key: value.model_dump(mode="json") for key, value in sorted(there.items())}
    try:
        files.replace(FILE, folder.sealed(json.dumps({"claims": rows}, indent=2).encode()) + b"\n")
    except OSError as error:
        raise BardlabError(f"cannot write {FILE}: {files.explain(error)}") from None
