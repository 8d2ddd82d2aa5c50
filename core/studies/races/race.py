"""A race: who takes part, what is made equal, and the runs that this comes to.

A race is nothing but its runs: each of them says what the whole race is, so the others can be found, or made again.
"""

import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from core.errors import BardlabError
from core.jobs import timing
from core.ladder import cost, registry, sizing
from core.ladder.cost import Cost
from core.ladder.rung import Rung
from core.ladder.sizing import Sized
from core.models.footprint import weightless
from core.runs import plan as runs_plan
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Race, Run, RunConfig
from core.settings import Settings
from core.studies import sweeps, together
from core.texts.corpus import Corpus
from core.texts.corpus import load as load_corpus
from core.training.config import TrainConfig

FEWEST, MOST = 2, 7
EVALUATIONS = 12
"""Along each run, so that there is something to rank by while it lasts."""
LONGEST = 100_000
"""Steps of a run that goes by the clock: more than it comes to."""
EVEN: Mapping[str, Any] = dict(cooldown=0.0, short_first=0.0, schedule=0, afterwards=0.0, patience=0)
"""What would depend on how long a run is going to be is off: the loss at any place is then what it is there, however
long the race, and places in mid-race are fair."""


@dataclass(frozen=True)
class Entrant:
    """A rung with a preset."""

    rung: Rung
    preset: str

    @property
    def key(self) -> str:
        """How it is called in a race."""
        return f"{self.rung.key}:{self.preset}"

    @property
    def title(self) -> str:
        """What a page calls it."""
        usual = self.preset == self.rung.default_preset
        return self.rung.title if usual else f"{self.rung.title}, {self.rung.title_of_preset(self.preset)}"


def entrants() -> list[Entrant]:
    """List who can take part: every rung with every preset that is trained step by step, the usual presets first."""
    each = [Entrant(rung, preset) for rung in registry.RUNGS.values() for preset in rung.presets]
    learning = [one for one in each if not _fitted(one.rung.key, one.preset)]
    return sorted(learning, key=lambda one: one.preset != one.rung.default_preset)


@lru_cache(maxsize=256)
def _fitted(rung_key: str, preset: str) -> bool:
    """True if the model is found in one step: it has nowhere to run."""
    rung = registry.get(rung_key)
    with weightless():
        return rung.build(rung.settings(preset, {}, {})[0], 2).closed_form


def entrant(name: str) -> Entrant:
    """Return who is called `mlp` or `mlp:minutes`. Raises BardlabError if nobody is, or it is nobody to race."""
    key, _, preset = name.partition(":")
    rung = registry.get(key)
    one = Entrant(rung, preset or rung.default_preset)
    rung.settings(one.preset, {}, {})  # raises, listing the presets
    if _fitted(rung.key, one.preset):
        raise BardlabError(f"{one.key} is counted in one step and runs no race; choose a preset that is learned")
    return one


def title_of(name: str) -> str:
    """Return what a page calls an entrant, also one that this version does not know."""
    try:
        return entrant(name).title
    except BardlabError:
        return name


def draw_up(
    names: Sequence[str],
    *,
    parameters: int = 0,
    steps: int = 0,
    seconds: int = 0,
    seeds: int = 1,
    first_seed: int = 1337,
) -> Race:
    """Declare a new race. Raises BardlabError on too few or too many entrants, seeds or runs, or no length."""
    keys = tuple(dict.fromkeys(entrant(name).key for name in names))
    if not FEWEST <= len(keys) <= MOST:
        counted = "1 entrant" if len(keys) == 1 else f"{len(keys)} entrants"
        raise BardlabError(f"a race of {counted} is none; choose {FEWEST} to {MOST} different ones")
    if bool(steps) == bool(seconds):
        raise BardlabError("a race is as long as its steps or its seconds; give one of the two")
    if not 1 <= seeds <= sweeps.MOST_SEEDS:
        raise BardlabError(f"{seeds} seeds are not accepted; give 1 to {sweeps.MOST_SEEDS}")
    if len(keys) * seeds > sweeps.MOST_RUNS:
        raise BardlabError(
            f"{len(keys)} entrants with {seeds} seeds are {len(keys) * seeds} runs; at most {sweeps.MOST_RUNS} start "
            "together, take fewer"
        )
    for value in (parameters, steps, seconds):
        if value < 0:
            raise BardlabError(f"{value:,} is not accepted; give a number from 1 on")
    return Race(
        key=f"race-{secrets.token_hex(3)}",
        entrants=keys,
        parameters=parameters,
        steps=steps,
        seconds=seconds,
        first_seed=first_seed,
        seeds=seeds,
    )


def fair_by(race: Race) -> str:
    """Say what is equal in a race."""
    length = f"{race.steps:,} steps each" if race.steps else f"{race.seconds:,} s each"
    return f"{race.parameters:,} parameters, {length}" if race.parameters else length


# --- the line-up -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """An entrant as it would start on a text."""

    entrant: Entrant
    sized: Sized | None
    """How near its size comes to what is asked for, if anything is."""
    model: Settings
    train: TrainConfig
    cost: Cost
    seconds: float | None
    """What one of its runs takes on this machine; None if its speed is not known."""
    problem: str = ""
    """Why it cannot start, in a sentence without its dot."""
    remarks: tuple[str, ...] = ()
    """What the text means for it, in a sentence each; nothing for an ordinary one."""


def line_up(race: Race, text: str) -> list[Place]:
    """Return everybody as they would start. Raises BardlabError if the text is not here, or a number out of range."""
    corpus = load_corpus(text)
    return [_place(race, entrant(name), corpus) for name in race.entrants]


def _place(race: Race, one: Entrant, corpus: Corpus) -> Place:
    rung, vocab = one.rung, corpus.tokenizer.size
    found = sizing.sized(rung, one.preset, race.parameters, vocab) if race.parameters else None
    changed = found.changed if found else {}
    model, train = rung.settings(one.preset, changed, {**EVEN, **_length(race)})
    kind = timing.best_device()
    built = cost.cost(rung, model, train, vocab, kind, len(corpus.text))
    step = timing.seconds_per_step(rung, kind, built, train)
    seconds: float | None = float(race.seconds)
    if race.steps:
        train = train.model_copy(update={"eval_every": _apart(race.steps)})
        seconds = timing.estimate_seconds(rung, model, built, train, kind, len(corpus.val_ids), vocab)
    elif step:
        train = train.model_copy(update={"eval_every": _apart(race.seconds / step)})
    problem = ""
    if found and not found.fits:
        direction = "more" if found.off > 0 else "fewer"
        problem = (
            f"{one.title} cannot have {race.parameters:,} parameters: the nearest is {found.parameters:,}, "
            f"{abs(found.off):.0%} {direction}"
        )
    counted = (
        train if race.steps else train.model_copy(update={"steps": max(1, int(race.seconds / step)) if step else 1})
    )
    remarks = tuple(runs_plan.remarks(rung, model, counted, corpus))
    return Place(one, found, model, train, built, seconds, problem, remarks)


def _length(race: Race) -> dict[str, int]:
    return {"steps": race.steps} if race.steps else {"steps": LONGEST, "seconds": race.seconds}


def _apart(steps: float) -> int:
    """Steps between two evaluations, of so many."""
    return int(min(10_000, max(1, steps // EVALUATIONS)))


def seconds_of(race: Race, places: Iterable[Place]) -> float | None:
    """Estimate what all runs of a race take on this machine, one after another; None if its speed is not known."""
    each = [place.seconds for place in places]
    if any(seconds is None for seconds in each):
        return None
    return race.seeds * sum(seconds + together.START_SECONDS for seconds in each if seconds is not None)


# --- its runs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lane:
    """One run of a race."""

    entrant: str
    seed: int
    config: RunConfig

    @property
    def title(self) -> str:
        """What it is called among the others."""
        return f"{title_of(self.entrant)}, seed {self.seed}"

    def is_met_by(self, run: Run) -> bool:
        """True if a run is this one."""
        theirs = run.config
        return theirs is not None and place_of(theirs) == place_of(self.config) is not None


def place_of(config: RunConfig) -> tuple[str, str, int] | None:
    """Return in which race, as whom and with which seed a run starts; None if it races nobody."""
    if config.race is None or config.entrant is None or config.fault or config.off:
        return None
    return config.race.key, config.entrant, config.train.seed


def lanes(race: Race, text: str, among: Iterable[Run] = ()) -> list[Lane]:
    """List the runs of a race, seed by seed. What `among` them is there already keeps its settings in further seeds.

    Raises BardlabError, telling of everybody who cannot start, if anybody cannot.
    """
    known: dict[str, RunConfig] = {}
    for run in among:
        if run.config and not run.damage and (at := place_of(run.config)) and at[0] == race.key:
            known[at[1]] = run.config
    places = [place for place in line_up(race, text) if place.entrant.key not in known]
    if wrong := [place.problem for place in places if place.problem]:
        told = "; ".join(wrong)
        raise BardlabError(f"{told[:1].upper()}{told[1:]}. Choose other numbers or another text, or leave them out")
    settings = {place.entrant.key: (place.model, place.train) for place in places}
    settings |= {name: (config.model_config_, config.train) for name, config in known.items()}
    found = []
    for seed in range(race.first_seed, race.first_seed + race.seeds):
        for name in race.entrants:
            one, (model, train) = entrant(name), settings[name]
            plan = runs_plan.plan(
                one.rung.key,
                preset=one.preset,
                model=model.model_dump(),
                train={**train.model_dump(), "seed": seed},
                corpus_name=text,
            )
            found.append(Lane(name, seed, plan.model_copy(update={"race": race, "entrant": name})))
    return found


def weighed(lanes: Sequence[Lane], text_length: int) -> list[Lane]:
    """Return the lanes with the memory noted that each run will need, for a text of so many characters."""
    plans = sweeps.weighed([lane.config for lane in lanes], text_length)
    return [replace(lane, config=plan) for lane, plan in zip(lanes, plans, strict=True)]


def _cause(race: Race) -> together.Cause:
    return together.Cause(f"the race {race.key}", race.key)


def begin(race: Race, lanes: Sequence[Lane]) -> list[Run]:
    """Start, or go on with, all runs that a race lacks, through the queue. Returns those that were started.

    Raises BardlabError if there is no memory for another process, or one cannot be started; what was started goes on.
    """
    return together.begin(_cause(race), lanes)


def run_here(race: Race, lanes: Sequence[Lane], say: Callable[[str], None]) -> None:
    """Do all runs of a race in this process, one after another. Raises BardlabError if one has stopped or failed."""
    together.work_off(_cause(race), lanes, say)


def cancel(field: "Field") -> int:
    """Ask all runs of a race that are under way to stop. Returns how many; what they have is kept."""
    return together.cancel(field.active)


# --- how far it is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field(together.Gathered):
    """A race and its runs, at the moment of reading."""

    race: Race
    text: str
    created: str
    runs: Mapping[tuple[str, int], Run | None]
    """By entrant and seed, None for one that is not there."""

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return sum(_share(self.race, run) for run in self.there) / len(self.runs)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order in which they start."""
        return list(dict.fromkeys(seed for _, seed in self.runs))

    def runs_of(self, name: str) -> list[Run]:
        """The runs of one entrant."""
        return [run for (each, _), run in self.runs.items() if run and each == name]

    @property
    def title(self) -> str:
        """The race in words."""
        who = ", ".join(title_of(name) for name in self.race.entrants)
        seeds = "" if self.race.seeds == 1 else f", {self.race.seeds} seeds"
        return f"{who}: {fair_by(self.race)}{seeds}, {self.created[:16].replace('T', ' ')}"

    @property
    def waiting(self) -> int:
        """How many wait for their turn on the device."""
        return sum(run.state is State.QUEUED for run in self.there)

    @property
    def lacking(self) -> list[str]:
        """What keeps the race from coming to its end by itself, in a line each."""
        lines = []
        for (name, seed), run in self.runs.items():
            who = title_of(name) + (f" with seed {seed}" if self.race.seeds > 1 else "")
            if run is None:
                lines.append(f"{who} was deleted, or never started")
            elif not run.state.active and run.state is not State.FINISHED:
                why = f": {run.status.message}" if run.status.message else ""
                lines.append(f"{who} is {run.state} at step {run.status.step:,}{why}")
        return lines


def _share(race: Race, run: Run) -> float:
    if run.state is State.FINISHED:
        return 1.0
    of = race.seconds or max(1, run.status.of)
    share = (run.status.seconds if race.seconds else run.status.step) / of
    return min(1.0, share) if math.isfinite(share) else 0.0


def races(among: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of each race, the newest race first, by its key."""
    found: dict[str, list[Run]] = {}
    for run in among:
        if run.config and not run.damage and not run.shipped and (at := place_of(run.config)):
            found.setdefault(at[0], []).append(run)
    return dict(sorted(found.items(), key=lambda item: min(run.need().created for run in item[1]), reverse=True))


def field_of(members: Sequence[Run]) -> Field:
    """Return how a race stands, given its runs as they were listed: one at least. Each is read anew."""
    configs = [run.need() for run in members]
    races = [config.race for config in configs if config.race]
    race, text = max(races, key=lambda race: race.seeds), configs[0].corpus
    runs: dict[tuple[str, int], Run | None] = {}
    for seed in range(race.first_seed, race.first_seed + race.seeds):
        for name in race.entrants:
            fits = [run for run in members if place_of(run.need()) == (race.key, name, seed)]
            runs[name, seed] = together.current(fits)
    return Field(race, text, min(config.created for config in configs), runs)


def find(key: str) -> Field:
    """Return how the race called `key` stands. Raises BardlabError if there is none."""
    members = races(reading.list_runs()).get(key)
    if not members:
        raise BardlabError(f"there is no race {key!r}; list them with: python -m core race")
    return field_of(members)


def more_seeds(race: Race, more: int) -> Race:
    """Return a race with so many more seeds, as many as are allowed."""
    most = min(sweeps.MOST_SEEDS, sweeps.MOST_RUNS // len(race.entrants))
    return race.model_copy(update={"seeds": max(race.seeds, min(most, race.seeds + more))})
