"""Who stands where on the ladder: the best run of each rung on one text."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from core.ladder.registry import RUNGS
from core.ladder.rung import Rung
from core.runs import records
from core.runs.folder import State
from core.runs.state import Run
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


def standings(found: Iterable[Run], corpus: Corpus) -> dict[str, Standing]:
    """Return the best run of each rung on a text, by the rung's key; what a rung turns into has `key+`."""
    best: dict[str, Standing] = {}
    for run in found:
        loss = run.status.best_val_loss
        if run.damage or run.config is None or loss is None or run.config.corpus_sha256 != corpus.sha256:
            continue
        rung, settings = run.config.rung, run.config.model_config_
        key = rung.key + ("+" if rung.variant_of(settings) else "")
        if key not in best or loss < best[key].loss:
            best[key] = Standing(rung.title_of(settings), run, loss)
    return best


def rows() -> list[tuple[str, Rung]]:
    """The rungs in order, each what it turns into right behind it, with the keys of `standings`."""
    found = []
    for rung in RUNGS.values():
        found.append((rung.key, rung))
        if rung.variant:
            found.append((rung.key + "+", rung))
    return found
