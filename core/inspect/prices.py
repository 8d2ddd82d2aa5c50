"""The price list of a run: what each part is worth, ranked in the background and kept in the run's folder."""

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from core import checkpoints, corpus, runs
from core.errors import BardlabError
from core.inspect import ablation
from core.inspect.ablation import METHODS, Effect, Method, Ranked
from core.models.contract import LanguageModel
from core.runs import Run


class Price(BaseModel):
    """What one part is worth: `core.inspect.ablation.Effect`, as it is stored."""

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
        found = PriceList.model_validate_json(runs.knockouts_path(run.path, step, method).read_bytes())
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
    file = runs.knockouts_path(run.path, step, prices.method)
    try:
        if not run.path.is_dir():
            raise BardlabError(f"run {run.slug} is gone; its prices were not kept")
        file.parent.mkdir(exist_ok=True)
        runs.replace(file, prices.model_dump_json().encode())
    except OSError as error:
        raise BardlabError(f"the prices of {run.slug} cannot be kept: {runs.explain(error)}") from None


# --- in the background -----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Ranking:
    """A ranking under way: a thread that outlives the page that started it. What it has found so far can be read."""

    run: Run
    step: int | None
    method: Method
    share: float = 0.0
    """How much is done, from 0 to 1."""
    prices: PriceList | None = None
    """What is known from the windows looked at so far."""
    error: str | None = None
    cancelled: bool = False
    ended: bool = False

    def work(self) -> None:
        """Rank, and keep the result; also that of the first windows, when cancelled after them."""
        try:
            weights, model = self._load()
            text = corpus.load(self.run.need().corpus)
            data = ablation.evaluation_set(model, text)
            board = model.parts()
            if not board:
                raise BardlabError(f"a {self.run.need().rung.title} has no parts to switch off; choose another rung")
            for share, found in ablation.rank(model, data, board, self.method):
                self.share = share
                if found is not None:
                    self.prices = as_list(found, weights, self.method, len(data.inputs))
                if self.cancelled:
                    break
            if self.prices:
                write(self.run, self.step, self.prices)
        except BardlabError as error:
            self.error = str(error)
        except Exception as error:  # a thread that dies silently would look like one that never ends
            self.error = f"ranking failed: {type(error).__name__}: {error}"
            raise
        finally:
            self.ended = True

    def _load(self) -> tuple[str, LanguageModel]:
        while True:
            weights = checkpoints.fingerprint(self.run, self.step)
            model, _ = checkpoints.load_model(self.run, self.step)
            if weights == checkpoints.fingerprint(self.run, self.step):
                return weights, model


_jobs: dict[tuple[Path, int | None, Method], Ranking] = {}
_lock = threading.Lock()
_turn = threading.Lock()  # one at a time: two would only slow each other down


def start(run: Run, step: int | None, method: Method) -> Ranking:
    """Rank all parts in the background. Returns the ranking under way, if there is one already."""
    with _lock:
        job = _jobs.get((run.path, step, method))
        if job is None or job.ended:
            job = _jobs[run.path, step, method] = Ranking(run, step, method)
            threading.Thread(target=_in_turn, args=(job,), daemon=True, name=f"rank {run.slug}").start()
        return job


def _in_turn(job: Ranking) -> None:
    with _turn:
        job.work()


def under_way(run: Run, step: int | None, method: Method) -> Ranking | None:
    """Return the newest ranking that was started here, ended or not."""
    return _jobs.get((run.path, step, method))


def cancel(run: Run, step: int | None, method: Method) -> None:
    """End a ranking after the part it is at; what the windows so far have shown is kept."""
    if job := under_way(run, step, method):
        job.cancelled = True
