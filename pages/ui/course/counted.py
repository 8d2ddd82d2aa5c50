"""What counts as progress: a line each. Another thing that learners do is a line more."""

from collections.abc import Callable
from dataclasses import dataclass

from core.errors import BardlabError
from core.ladder.registry import RUNGS
from core.studies.claims import registry, reproduction
from core.studies.course import guesses, path, shelf
from core.studies.course.faults import FAULTS
from core.studies.course.progress import Progress
from pages.ui import loaders
from pages.ui.choosers.text import DEFAULT


@dataclass(frozen=True)
class Counted:
    """Something that is counted."""

    title: str
    page: str
    """The url_path of the page where it is done."""
    count: Callable[[Progress], tuple[int, int | None]]
    """How much is done, of how much; None if there is no end to it."""


def claims_tested(progress: Progress) -> tuple[int, int | None]:
    """Claims whose runs have all come to their end on this machine, whatever the verdict."""
    return len(claims_whole()), len(registry.CLAIMS)


def claims_whole() -> list[str]:
    """The keys of these claims."""
    runs = loaders.listing()
    begun = {run.config.claim for run in runs if run.config and run.config.claim and not run.damage}
    found = []
    for key, claim in registry.CLAIMS.items():
        if key in begun:
            try:
                whole = reproduction.standing(claim, DEFAULT, runs).whole
            except BardlabError:
                continue
            found += [key] if whole else []
    return found


def guesses_held(progress: Progress) -> tuple[int, int | None]:
    """Guesses within which the truth fell, of those with a truth."""
    score = guesses.score(guesses.guesses(progress.guesses, loaders.listing()))
    return (score.hits, score.told) if score else (0, None)


COUNTED: tuple[Counted, ...] = (
    Counted("Stations of the tour", "ladder", lambda progress: path.stations_done(progress.marks)),
    Counted("Exercises", next(iter(RUNGS)), lambda progress: path.exercises_done(progress.marks)),
    Counted("Claims reproduced here", "claims", claims_tested),
    Counted("Guesses that held", "guesses", guesses_held),
    Counted("Faults found", "fault", lambda progress: (len(shelf.shelf(progress.marks).answers), len(FAULTS))),
)


def lines(progress: Progress) -> list[tuple[Counted, int, int | None]]:
    """Each with how much is done of how much."""
    return [(each, *each.count(progress)) for each in COUNTED]
