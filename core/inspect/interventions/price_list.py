"""What each part of a model is worth, as it was measured and stored with the run."""

import contextlib
from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from core import files
from core.errors import BardlabError
from core.inspect.interventions.ablation import METHODS, Effect, Method, Ranked
from core.runs import checkpoints, layout
from core.runs.state import Run


class Price(BaseModel):
    """What one part is worth: `core.inspect.interventions.ablation.Effect`, as it is stored."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    delta: float
    se: float
    classes: dict[str, tuple[float, float]]
    windows: list[float]

    def effect(self) -> Effect:
        """Return it as it was measured, to six digits."""
        return Effect(self.delta, self.se, self.classes, np.array(self.windows))


class PriceList(BaseModel):
    """All parts of one model, by one method, and the weights for which that holds."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    weights: str
    method: Method
    base: float
    windows: int
    of: int
    parts: dict[str, Price]

    @property
    def whole(self) -> bool:
        """True if all windows were looked at."""
        return self.windows == self.of


def read(run: Run, step: int | None, method: Method) -> PriceList | None:
    """Return the stored price list, or None if there is none for the weights as they are now.

    Raises BardlabError if the run has no weights.
    """
    weights = checkpoints.fingerprint(run, step)
    with contextlib.suppress(OSError, ValidationError, UnicodeDecodeError):
        found = PriceList.model_validate_json(layout.knockouts_path(run.path, step, method).read_bytes())
        if (found.weights, found.method) == (weights, method):
            return found
    return None


def prices(run: Run, step: int | None = None) -> Mapping[tuple[int, int], tuple[float, float]] | None:
    """Return what each head is worth, (layer, head) -> (change of the loss in nats, standard error).

    By mean ablation if that was measured, else by zero ablation. None if neither was, or if the weights have changed.
    """
    for method in METHODS:
        with contextlib.suppress(BardlabError):
            if listed := read(run, step, method):
                heads = {tuple(map(int, key.split("."))): p for key, p in listed.parts.items() if _is_head(key)}
                return {(layer, head): (price.delta, price.se) for (layer, head), price in heads.items()} or None
    return None


def _is_head(key: str) -> bool:
    return all(word.isdigit() for word in key.split(".")) and key.count(".") == 1


def as_list(found: Ranked, weights: str, method: Method, of: int) -> PriceList:
    """Turn a ranking into what is stored."""
    listed = {
        key: Price(
            delta=round(e.delta, 7),
            se=round(e.se, 7),
            classes={name: (round(d, 6), round(se, 6)) for name, (d, se) in e.classes.items()},
            windows=[round(float(w), 6) for w in e.windows],
        )
        for key, e in found.effects.items()
    }
    return PriceList(weights=weights, method=method, base=found.base, windows=found.windows, of=of, parts=listed)


def write(run: Run, step: int | None, prices: PriceList) -> None:
    """Keep a price list with the run. Raises BardlabError if it cannot be written."""
    file = layout.knockouts_path(run.path, step, prices.method)
    try:
        if not run.path.is_dir():
            raise BardlabError(f"run {run.slug} is gone; its prices were not kept")
        file.parent.mkdir(exist_ok=True)
        files.replace(file, prices.model_dump_json().encode())
    except OSError as error:
        raise BardlabError(f"the prices of {run.slug} cannot be kept: {files.explain(error, naming=True)}") from None
