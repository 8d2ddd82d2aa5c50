"""Who stands where on the ladder: the best run of each rung on one text."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from core.ladder import registry
from core.ladder.registry import RUNGS
from core.ladder.rung import Rung
from core.runs import records
from core.runs.folder import State
from core.runs.state import Run
from core.studies.landmarks import COUNTED, Counted
from core.texts.corpus import Corpus


@dataclass(frozen=True)
class Standing:
    """The best run of one rung."""

    title: str
    """What its model is called: the rung's title, or what its settings make of it, such as a counted 5-gram."""
    run: Run
    loss: float
    """Its lowest validation loss, nats a character over the whole split."""

    @property
    def bits(self) -> float:
        """The same in bits a character."""
        return self.loss / math.log(2)

    @property
    def choices(self) -> float:
        """e^loss: how many equally likely characters would leave one as unsure."""
        return math.exp(self.loss)

    @property
    def imported(self) -> bool:
        """True if the weights were trained elsewhere: no step of theirs was taken here."""
        return self.run.state is State.FINISHED and self.run.status.of == 0

    def line(self, longest: int = 90) -> str | None:
        """Return a line that the run has written, or None if it has written nothing yet."""
        written = records.samples(self.run.path)
        lines = [line.strip() for line in written[-1].text.split("\n")] if written else []
        first = next((line for line in lines if len(line) > 20), max(lines, key=len, default=""))
        return first[:longest] or None


@dataclass(frozen=True)
class Place:
    """One line of the ladder: what ships, what the learner has reached, and what was counted without any run."""

    key: str
    rung: Rung
    shipped: Standing | None
    own: Standing | None
    counted: Counted | None = None

    @property
    def best(self) -> float | None:
        """The lowest loss of all that stands here, or None if nothing does."""
        losses = [standing.loss for standing in (self.shipped, self.own) if standing]
        return min([*losses, *([self.counted.loss] if self.counted else [])], default=None)

    @property
    def title(self) -> str:
        """What is called so: the rung, or the best of what it turns into."""
        if not self.key.endswith("+"):
            return self.rung.title
        found = [each for each in (self.shipped, self.own) if each]
        best = min(found, key=lambda each: each.loss, default=None)
        if self.counted and (best is None or self.counted.loss <= best.loss):
            return f"Counted {self.counted.order}-gram"
        return best.title if best else "Counted n-gram"


def key_of(run: Run) -> str:
    """Return the key of the line on which a run stands: of its rung, with `+` if its settings make it another model."""
    config = run.need()
    return _key(config.rung_key, json.dumps(config.model, sort_keys=True))


@lru_cache(maxsize=10_000)
def _key(rung_key: str, model: str) -> str:
    """Find the key by the settings of a model as JSON: to check those of thousands of runs each time takes long."""
    rung = registry.get(rung_key)
    return rung_key + ("+" if rung.variant_of(rung.config.parse(json.loads(model), "model.")) else "")


def title_of(run: Run) -> str:
    """Return what a run's model is called."""
    config = run.need()
    return config.rung.title_of(config.model_config_)


def standings(found: Iterable[Run], corpus: Corpus) -> dict[str, Standing]:
    """Return the best run of each rung on a text, by the rung's key; what a rung turns into has `key+`."""
    best: dict[str, Standing] = {}
    for run in found:
        loss = run.status.best_val_loss
        if run.damage or run.broken or run.config is None or loss is None or not math.isfinite(loss):
            continue
        if run.config.corpus_sha256 != corpus.sha256:
            continue
        key = key_of(run)
        if key not in best or loss < best[key].loss:
            best[key] = Standing(title_of(run), run, loss)
    return best


def places(found: Iterable[Run], corpus: Corpus, counted: Iterable[Counted]) -> list[Place]:
    """Return the ladder of one text, the lowest loss first; behind them what nobody has trained, the latest rung first.

    The learner's own best of a rung stands beside the shipped one, whichever is the better.
    """
    there = list(found)
    shipped = standings((run for run in there if run.shipped), corpus)
    own = standings((run for run in there if not run.shipped), corpus)
    best = min(counted, key=lambda each: each.loss, default=None)
    ladder = [
        Place(key, rung, shipped.get(key), own.get(key), best if key == COUNTED else None)
        for key, rung in reversed(rows())
        if not key.endswith("+") or key == COUNTED or key in shipped or key in own
    ]
    return sorted(ladder, key=lambda place: math.inf if place.best is None else place.best)


def rows() -> list[tuple[str, Rung]]:
    """The rungs in order, each what it turns into right behind it, with the keys of `standings`."""
    found = []
    for rung in RUNGS.values():
        found.append((rung.key, rung))
        if rung.variant:
            found.append((rung.key + "+", rung))
    return found
