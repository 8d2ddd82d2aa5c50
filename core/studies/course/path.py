"""What to do next: the tour, then the exercises rung by rung, then the claims."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.ladder.registry import RUNGS
from core.studies.course import judging, tour
from core.studies.course.tour import STATIONS

EXERCISES = "exercises"
"""The view of a rung's page that holds them, by its name in the address."""


@dataclass(frozen=True)
class Next:
    """Something to do, and where."""

    label: str
    page: str
    query: Mapping[str, str] = field(default_factory=dict)
    station: str = ""
    """The station of the tour that it is."""


def next_up(marks: Mapping[str, str]) -> Next:
    """Return what a learner who has done this does next."""
    if station := tour.first_open(marks):
        place = list(STATIONS).index(station.key)
        begun = any(each.mark in marks for each in STATIONS.values())
        label = f"Tour, {place + 1} of {len(STATIONS)}: {station.title}" if begun else "Take the tour"
        return Next(label, station.page, station.query, station.key)
    for rung in RUNGS.values():
        for place, exercise in enumerate(rung.exercises):
            if judging.mark(rung, place) not in marks:
                return Next(f"{rung.title}: {exercise.title}", rung.key, {"tab": EXERCISES})
    return Next("Reproduce a claim", "claims")


def stations_done(marks: Mapping[str, str]) -> tuple[int, int]:
    """How many stations are done, and how many there are."""
    return sum(station.mark in marks for station in STATIONS.values()), len(STATIONS)


def exercises_done(marks: Mapping[str, str]) -> tuple[int, int]:
    """How many exercises are done, and how many there are."""
    done = sum(judging.done_of(rung, marks) for rung in RUNGS.values())
    return done, sum(len(rung.exercises) for rung in RUNGS.values())
