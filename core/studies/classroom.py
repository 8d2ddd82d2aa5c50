"""A class at one look: who trains, who waits, and how far each learner has come on each rung."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.runs.folder import State
from core.runs.state import Run
from core.studies import standings
from core.studies.standings import Standing
from core.texts.corpus import Corpus


@dataclass
class Learner:
    """One owner of runs."""

    name: str
    runs: list[Run] = field(default_factory=list)
    best: Mapping[str, Standing] = field(default_factory=dict)
    """The best run of each rung on one text, by the keys of `standings`."""

    @property
    def training(self) -> int:
        """How many runs have their place on a device."""
        return sum(run.state.active and run.state is not State.QUEUED for run in self.runs)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(run.state is State.QUEUED for run in self.runs)

    @property
    def latest(self) -> str:
        """When the newest was made, in ISO 8601; empty if none can be read."""
        return max((run.config.created for run in self.runs if run.config), default="")


def learners(among: Iterable[Run], corpus: Corpus) -> list[Learner]:
    """Return everybody who has made a run, by name, with their best on a text."""
    found: dict[str, Learner] = {}
    for run in among:
        if not run.shipped:
            found.setdefault(run.owner, Learner(run.owner)).runs.append(run)
    for one in found.values():
        one.best = standings.standings(one.runs, corpus)
    return sorted(found.values(), key=lambda one: one.name)


def rungs(among: Iterable[Learner]) -> list[tuple[str, str]]:
    """Return the key and the title of every rung on which somebody has a run, in the order of the ladder."""
    there = {key for one in among for key in one.best}
    titles = {key: rung.title if not key.endswith("+") else f"{rung.title} +" for key, rung in standings.rows()}
    return [(key, title) for key, title in titles.items() if key in there]
