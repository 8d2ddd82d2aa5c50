"""The leader board: who has the lowest validation loss at one place of an axis that all have reached."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.errors import BardlabError
from core.ladder import cost
from core.runs.folder import State
from core.runs.metrics import CHARACTERS, SECONDS, VAL_LOSS, MetricsReader
from core.runs.state import Run
from core.studies import findings
from core.studies.claims.figuring import PAIRED
from core.studies.races.race import Field, title_of

BILLION = 1e9


@dataclass(frozen=True)
class Axis:
    """What a race is looked at over."""

    title: str
    """On a chart."""
    say: Callable[[float], str]
    """A place in words."""


AXES: Mapping[str, Axis] = {
    "steps": Axis("step", lambda at: f"{at:,.0f} steps"),
    "characters": Axis("characters trained on", lambda at: f"{at:,.0f} characters"),
    "seconds": Axis("seconds of its own, waiting left out", lambda at: f"{at:,.1f} s"),
    "flops": Axis("billion floating-point operations", lambda at: f"{at:,.4g} billion FLOPs"),
}
"""By name. Steps and characters say what was seen, seconds and FLOPs what it cost."""


def axis(name: str) -> Axis:
    """Return the axis of a name. Raises BardlabError if there is none."""
    if name not in AXES:
        raise BardlabError(f"there is no axis {name!r}; choose one of {', '.join(AXES)}")
    return AXES[name]


@dataclass(frozen=True)
class Track:
    """The validation losses of one run over an axis."""

    run: Run
    x: NDArray[np.float64]
    loss: NDArray[np.float64]
    """Both (n,)."""

    def at(self, place: float) -> float | None:
        """Return the loss at a place, on the straight line between two evaluations; None where there are none."""
        if not len(self.x) or not self.x[0] <= place <= self.x[-1]:
            return None
        return float(np.interp(place, self.x, self.loss))


def track(run: Run, name: str, reader: MetricsReader | None = None) -> Track:
    """Return a run's validation losses over the axis called `name`. Raises BardlabError if the run is damaged."""
    read = reader or MetricsReader(run.path).refresh()
    steps, loss = read.curve(VAL_LOSS)
    x = steps
    if name == "characters":
        x = read.at(CHARACTERS, steps)
    elif name == "seconds":
        x = read.at(SECONDS, steps)
    elif name == "flops":
        x = steps * (_built(run).flops_per_step / BILLION)
    usable = np.isfinite(loss)
    return Track(run, x[usable], loss[usable])


def _built(run: Run) -> cost.Cost:
    config = run.need()
    return cost.cost(config.rung, config.model_config_, config.train, len(config.characters))


@dataclass(frozen=True)
class Row:
    """One entrant on the board."""

    name: str
    parameters: int | None
    losses: Mapping[int, float]
    """At the place, by seed."""
    furthest: float
    """How far along the axis its runs have come, the furthest of them; 0 if it was not measured yet."""
    standing: str
    """What its runs are doing."""

    @property
    def title(self) -> str:
        """What a page calls it."""
        return title_of(self.name)

    @cached_property
    def mean(self) -> float | None:
        """Mean loss over the seeds; None if it is not ranked."""
        return sum(self.losses.values()) / len(self.losses) if self.losses else None


@dataclass(frozen=True)
class Board:
    """Who is ahead."""

    axis: str
    place: float | None
    """Where on the axis they are compared; None if no two were measured at the same."""
    seeds: tuple[int, ...]
    """Over which."""
    rows: tuple[Row, ...]
    """The lowest loss first; then those that are not ranked, in the order in which they started."""
    over: bool
    """True if nobody runs any more."""

    @property
    def ranked(self) -> list[Row]:
        """Those that are compared, the leader first."""
        return [row for row in self.rows if row.losses]

    @property
    def leader(self) -> Row | None:
        """Who has the lowest loss of two or more."""
        ranked = self.ranked
        return ranked[0] if len(ranked) > 1 else None

    @cached_property
    def margin(self) -> tuple[float, float] | None:
        """By how much the leader is below the next, paired by seed, and half the width of its 95 % interval."""
        if self.leader is None:
            return None
        apart = [self.rows[1].losses[seed] - self.rows[0].losses[seed] for seed in self.seeds]
        return sum(apart) / len(apart), findings.half_width(apart)

    @property
    def trusted(self) -> bool:
        """True if the margin is more than the noise between seeds: its interval does not hold zero."""
        return self.margin is not None and self.margin[0] > self.margin[1]

    @property
    def where(self) -> str:
        """The place in words; empty if there is none."""
        return "" if self.place is None else axis(self.axis).say(self.place)

    @property
    def headline(self) -> str:
        """The same in three words."""
        if self.leader is None:
            return "Nobody is ranked" if self.over else "The race is on"
        if not self.over:
            return f"{self.leader.title} leads"
        if len(self.seeds) > 1:
            return f"{self.leader.title} wins" if self.trusted else "Nobody wins"
        return f"{self.leader.title} is first"

    @property
    def sentence(self) -> str:
        """Who leads, or has won, by how much, and whether that is more than the noise."""
        if self.leader is None or self.margin is None:
            what = "were" if self.over else "have been"
            return f"No two {what} measured at the same place of this axis{'' if self.over else ' yet'}"
        who, second, (mean, half) = self.leader.title, self.rows[1].title, self.margin
        loss = f"{self.leader.mean:.4f} nats a character at {self.where}"
        if not self.over:
            return f"{who} leads with {loss}, {mean:.4f} below {second}"
        if len(self.seeds) == 1:
            return (
                f"{who} is first with {loss}, {mean:.4f} below {second}; one seed cannot tell that from noise, run more"
            )
        method = PAIRED.format(len(self.seeds))
        margin = f"{mean:.4f} ± {half:.4f} below {second} (95 % {method})"
        if self.trusted:
            return f"{who} wins with {loss}, {margin}: more than the noise"
        return f"Nobody wins: {who} is first with {loss}, but {margin} is no more than the noise"


def board(field: Field, name: str, reader: Callable[[Run], MetricsReader] | None = None) -> Board:
    """Return the leader board of a race over the axis called `name`.

    Compared is at the furthest place that all entrants who run, or have finished, were measured up to; where there is
    none, because one ended before another was first measured, at one that most of them share. A seed counts once
    nobody runs with it any more; until the first has come so far, it counts as it is. Who was stopped, failed or is
    not there is not ranked. `reader` gives a run's curves, which are read from its folder by default.
    """
    axis(name)
    tracks: dict[tuple[str, int], Track] = {}
    for at, run in field.runs.items():
        if run and (run.state.active or run.state is State.FINISHED):
            tracks[at] = track(run, name, reader(run) if reader else None)
    whole = [seed for seed in field.seeds if not any(t.run.state.active for (_, s), t in tracks.items() if s == seed)]
    begun = [seed for seed in field.seeds if any(len(t.x) for (_, s), t in tracks.items() if s == seed)]
    heats = [seed for seed in whole if seed in begun] or begun[:1]
    place, seeds, racing = _meeting(tracks, heats)
    rows = []
    for each in field.race.entrants:
        runs = field.runs_of(each)
        losses = {}
        if place is not None and each in racing:
            losses = {seed: loss for seed in seeds if (loss := tracks[each, seed].at(place)) is not None}
        mine = [t for (who, _), t in tracks.items() if who == each and len(t.x)]
        count = _built(runs[0]).parameters if runs else None
        furthest = max((float(t.x[-1]) for t in mine), default=0.0)
        rows.append(Row(each, count, losses, furthest, standing(field, each)))
    rows.sort(key=lambda row: (row.mean is None, row.mean or 0.0))
    return Board(name, place, tuple(seeds), tuple(rows), not field.active)


def _meeting(
    tracks: Mapping[tuple[str, int], Track], heats: Sequence[int]
) -> tuple[float | None, list[int], frozenset[str]]:
    """Return the best place to compare at, the seeds that count there, and who is compared; two of them at least."""
    best: tuple[tuple[int, int, float], float | None, list[int], frozenset[str]] | None = None
    ends = {float(t.x[-1]) for (_, seed), t in tracks.items() if seed in heats and len(t.x)}
    for place in ends:
        present = {
            seed: frozenset(who for (who, s), t in tracks.items() if s == seed and t.at(place) is not None)
            for seed in heats
        }
        racing = max(present.values(), key=lambda who: (len(who), sorted(who)), default=frozenset())
        seeds = [seed for seed in heats if present[seed] >= racing]
        worth = (len(racing), len(seeds), place)
        if len(racing) > 1 and (best is None or worth > best[0]):
            best = (worth, place, seeds, racing)
    return (best[1], best[2], best[3]) if best else (None, [], frozenset())


def standing(field: Field, name: str) -> str:
    """Say what an entrant's runs are doing."""
    runs = [run for (each, _), run in field.runs.items() if each == name]
    if len(runs) == 1:
        return _doing(field, runs[0])
    said = [_doing(field, run) if run and run.state in _UNDER_WAY else _word(run) for run in runs]
    counted = {what: said.count(what) for what in said}
    return ", ".join(what if what.startswith("at ") else f"{count} {what}" for what, count in counted.items())


_UNDER_WAY = (State.RUNNING, State.STOPPING, State.PAUSED)


def _word(run: Run | None) -> str:
    if run is None:
        return "not there"
    return {State.QUEUED: "waiting for its turn"}.get(run.state, str(run.state))


def _doing(field: Field, run: Run | None) -> str:
    if run is None or run.state is State.QUEUED:
        return _word(run)
    status, race = run.status, field.race
    if run.state is State.FINISHED:
        return f"finished: {status.step:,} steps in {status.seconds:,.1f} s"
    of = f"{status.seconds:,.0f} of {race.seconds:,} s" if race.seconds else f"step {status.step:,} of {status.of:,}"
    return f"at {of}" if run.state is State.RUNNING else f"{run.state} at {of}"


def summary(field: Field, board: Board) -> dict[str, object]:
    """Return a race and its board as plain data."""
    race = field.race
    margin = board.margin
    return {
        "race": race.key,
        "title": field.title,
        "text": field.text,
        "equal": {"parameters": race.parameters or None, "steps": race.steps or None, "seconds": race.seconds or None},
        "over": board.over,
        "axis": board.axis,
        "place": board.place,
        "seeds": list(board.seeds),
        "sentence": f"{board.sentence}.",
        "winner": board.leader.name if board.leader and board.over and board.trusted else None,
        "margin": margin[0] if margin else None,
        "half_width": margin[1] if margin else None,
        "method": PAIRED.format(len(board.seeds)) if margin and len(board.seeds) > 1 else None,
        "board": [
            {
                "entrant": row.name,
                "title": row.title,
                "val_loss": row.mean,
                "losses": {str(seed): loss for seed, loss in row.losses.items()},
                "parameters": row.parameters,
                "furthest": row.furthest,
                "standing": row.standing,
                "runs": [run.slug for run in field.runs_of(row.name)],
            }
            for row in board.rows
        ],
        "lacking": field.lacking,
    }


def lines(board: Board) -> Iterable[str]:
    """Yield the board as text, a line each."""
    first = board.leader.mean if board.leader else None
    for place, row in enumerate(board.rows, 1):
        ranked = row.mean is not None and first is not None
        loss = f"{row.mean:8.4f} {row.mean - first:+9.4f}" if row.mean is not None and first is not None else " " * 18
        count = f"{row.parameters:,}" if row.parameters is not None else "-"
        yield f"  {place if ranked else '-'}. {row.title:<28} {loss} {count:>11} parameters  {row.standing}"
