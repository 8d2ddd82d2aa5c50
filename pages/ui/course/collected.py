"""What a lab report can collect: a line each, with what there is to choose and what is told of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.errors import BardlabError
from core.studies.claims import evidence, registry, reproduction
from core.studies.course import guesses, report, shelf
from core.studies.course.faults import FAULTS
from core.studies.course.guesses import Guessed
from core.studies.course.report import Section
from pages.ui import loaders
from pages.ui.choosers import mine
from pages.ui.choosers.text import DEFAULT
from pages.ui.course import progress
from pages.ui.course.counted import claims_whole
from pages.ui.wording import plain


@dataclass(frozen=True)
class Collected:
    """A kind of thing that goes into a report."""

    key: str
    title: str
    options: Callable[[], dict[str, str]]
    """What there is, by key: how it is called, as Markdown."""
    sections: Callable[[Sequence[str]], list[Section]]
    """What is told of those chosen."""


def _claims() -> dict[str, str]:
    return {key: claim.title for key, claim in registry.CLAIMS.items()}


def _of_claims(keys: Sequence[str]) -> list[Section]:
    whole, sections = claims_whole(), []
    for key in keys:
        claim = registry.get(key)
        if key in whole:
            figures = reproduction.standing(claim, DEFAULT, loaders.listing()).figures
            sections.append(report.of_claim(claim, figures, "Measured on this machine."))
            continue
        try:
            found = evidence.of(claim)
        except BardlabError:
            found = None
        if found is not None:
            where = f"Shipped with the product, measured on {found.date} on {found.machine}; not reproduced here."
            sections.append(report.of_claim(claim, found.figures, where))
    return sections


def _runs() -> dict[str, str]:
    return {run.slug: plain(run.label) for run in mine.shown(loaders.listing()) if not run.damage}


def _of_runs(slugs: Sequence[str]) -> list[Section]:
    there = {run.slug: run for run in loaders.listing() if not run.damage}
    chosen = [there[slug] for slug in slugs if slug in there]
    return [report.of_runs(chosen)] if chosen else []


def _guesses() -> dict[str, str]:
    return {each.guess.key: plain(f"{each.name}: {each.said}") for each in _made()}


def _made() -> list[Guessed]:
    return guesses.guesses(progress.now().guesses, loaders.listing())


def _of_guesses(keys: Sequence[str]) -> list[Section]:
    rows = [(each.name, each.sentence) for each in _made() if each.guess.key in keys]
    return [Section("Guesses", (), ("run", "guess, and what came of it"), rows)] if rows else []


def _faults() -> dict[str, str]:
    return {key: FAULTS[key].title for key in shelf.shelf(progress.now().marks).answers}


def _of_faults(keys: Sequence[str]) -> list[Section]:
    answers = shelf.shelf(progress.now().marks).answers
    rows = [(FAULTS[key].title, f"{answers[key]:,}", FAULTS[key].reason) for key in keys if key in answers]
    return [Section("Faults found", (), ("fault", "answers that it took", "why it shows"), rows)] if rows else []


COLLECTED: tuple[Collected, ...] = (
    Collected("claims", "Claims", _claims, _of_claims),
    Collected("runs", "Runs", _runs, _of_runs),
    Collected("guesses", "Guesses", _guesses, _of_guesses),
    Collected("faults", "Faults found", _faults, _of_faults),
)
