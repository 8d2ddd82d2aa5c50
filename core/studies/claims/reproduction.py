"""Reproducing a claim: its runs are wanted together, measured and judged.

A run belongs to a claim if it carries its mark and has the settings, the text and the seed that the claim asks for.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from core.errors import BardlabError
from core.jobs import timing
from core.ladder import cost, registry
from core.runs import plan as runs_plan
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Run, RunConfig
from core.studies import sweeps, together
from core.studies.claims import evidence, measuring
from core.studies.claims.claim import Arm, Claim, Judgement, Values
from core.texts import own as texts_own
from core.texts.corpus import TRAIN_SHARE, Corpus
from core.texts.corpus import load as load_corpus
from core.training import devices

SEEDS_MORE = 2
"""How many seeds `More seeds` adds."""
DEFAULT_TEXT = "tinyshakespeare"


@dataclass(frozen=True)
class Wanted:
    """One run that a claim asks for."""

    arm: Arm
    seed: int
    config: RunConfig

    @property
    def title(self) -> str:
        """What it is called among the claim's runs."""
        return f"{self.arm.title}, seed {self.seed}"

    def is_met_by(self, run: Run) -> bool:
        """True if a run is this one."""
        theirs = run.config
        return (
            theirs is not None
            and not run.broken
            and theirs.claim == self.config.claim
            and (theirs.rung_key, theirs.corpus_sha256) == (self.config.rung_key, self.config.corpus_sha256)
            and theirs.train == self.config.train
            and theirs.model_config_ == self.config.model_config_
        )


def whole_text(claim: Claim, name: str) -> Corpus:
    """Return the text named. Raises BardlabError if it is too short for the claim, or is not here."""
    whole = load_corpus(name)
    if len(whole.text) < (needed := max(claim.characters, claim.part)):
        raise BardlabError(
            f"the text {whole.title!r} has {len(whole.text):,} characters and the claim {claim.key!r} needs "
            f"{needed:,}; choose a longer one"
        )
    return whole


def text_of(claim: Claim, name: str, *, make: bool) -> Corpus | None:
    """Return the text that a claim's runs read: the one named, or its beginning, which is kept as an own text.

    None if that was not made yet and is not to be. Raises BardlabError if the text is too short, or is not here.
    """
    whole = whole_text(claim, name)
    if not claim.part or len(whole.text) == claim.part:
        return whole
    content = whole.text[: claim.part].encode()
    part = texts_own.PREFIX + hashlib.sha256(content).hexdigest()[:12]
    if not any(known.name == part for known in texts_own.listing()):
        if not make:
            return None
        texts_own.add(content, f"{whole.title[:30]}, the first {claim.part:,} characters")
    return load_corpus(part)


def wanted(claim: Claim, text: str, seeds: int) -> list[Wanted]:
    """List the runs that a claim asks for, seed by seed. Raises BardlabError if the text does not do."""
    if not 1 <= seeds <= sweeps.MOST_SEEDS:
        raise BardlabError(f"{seeds} seeds are not accepted; give 1 to {sweeps.MOST_SEEDS}")
    corpus = text_of(claim, text, make=True)
    assert corpus is not None
    return _wanted(claim, corpus, seeds)


def _wanted(claim: Claim, corpus: Corpus, seeds: int) -> list[Wanted]:
    found = []
    for seed in claim.run_seeds(seeds):
        for arm in claim.arms:
            train = {**arm.train, "seed": seed}
            plan = runs_plan.plan(arm.rung, model=arm.model, train=train, corpus_name=corpus.name)
            found.append(Wanted(arm, seed, plan.model_copy(update={"claim": claim.key})))
    return found


@dataclass(frozen=True)
class Standing(together.Gathered):
    """How far a claim is on this machine, at the moment of reading."""

    claim: Claim
    text: str
    runs: Mapping[tuple[str, int], Run | None]
    """By arm and seed: the run that counts, None if there is none."""
    problems: tuple[str, ...] = field(default=())
    """What could not be measured, in a line each."""

    @property
    def seeds(self) -> int:
        """How many seeds are asked for."""
        return len({seed for _, seed in self.runs})

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        parts = [1.0 if r.state is State.FINISHED else r.status.step / max(1, r.status.of) for r in self.there]
        return sum(parts) / len(self.runs)

    @property
    def lacking(self) -> list[str]:
        """What keeps the claim from going on by itself, in a line each."""
        titles = {arm.key: arm.title for arm in self.claim.arms}
        lines = []
        if self.there and (gone := [key for key, run in self.runs.items() if run is None]):
            named = ", ".join(f"{titles[arm]} with seed {seed}" for arm, seed in gone[:3])
            more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
            lines.append(f"not run yet, or deleted: {named}{more}")
        for (arm, seed), run in self.runs.items():
            if run and not run.state.active and run.state is not State.FINISHED:
                why = f": {run.status.message}" if run.status.message else ""
                lines.append(f"{titles[arm]} with seed {seed} is {run.state}{why}")
        return [*lines, *self.problems]

    @cached_property
    def figures(self) -> dict[str, dict[int, Values]]:
        """What was measured of the runs that have ended, by arm and seed."""
        found: dict[str, dict[int, Values]] = {}
        for (arm, seed), run in self.runs.items():
            if run and run.state is State.FINISHED:
                with contextlib.suppress(BardlabError):  # `standing` has told it
                    found.setdefault(arm, {})[seed] = measuring.measured(self.claim, run)
        return found

    @property
    def judgement(self) -> Judgement:
        """What the figures say so far."""
        return self.claim.judge(self.figures)


def standing(claim: Claim, text: str, among: Sequence[Run], seeds: int | None = None) -> Standing:
    """Return how far a claim is, given the learner's runs; by default with as many seeds as were begun.

    Raises BardlabError if the text does not do.
    """
    mine = [run for run in among if run.config and run.config.claim == claim.key and not run.damage]
    if seeds is None:
        begun = {run.need().train.seed for run in mine}
        known = [place for place, seed in enumerate(claim.run_seeds(sweeps.MOST_SEEDS), 1) if seed in begun]
        seeds = max([claim.seeds, *known])
    runs: dict[tuple[str, int], Run | None] = {}
    corpus = text_of(claim, text, make=False)
    if corpus is None:
        mine = []
        runs = {(arm.key, seed): None for seed in claim.run_seeds(seeds) for arm in claim.arms}
    for each in _wanted(claim, corpus, seeds) if corpus else ():
        runs[each.arm.key, each.seed] = together.current(run for run in mine if each.is_met_by(run))
    problems = []
    for run in runs.values():
        if run and run.state is State.FINISHED:
            try:
                measuring.measured(claim, run)
            except BardlabError as error:
                problems.append(str(error))
    return Standing(claim, text, runs, tuple(problems))


def _cause(claim: Claim) -> together.Cause:
    return together.Cause(f"the claim {claim.key!r}", f"claim-{claim.key}")


def begin(claim: Claim, text: str, seeds: int) -> list[Run]:
    """Start, or go on with, all runs that a claim lacks, through the queue. Returns those that were started.

    Runs that somebody else has begun are shared. Raises BardlabError if the text does not do, there is no memory for
    another process, or one cannot be started; what was started goes on.
    """
    return together.begin(_cause(claim), wanted(claim, text, seeds))


def cancel(standing: Standing) -> int:
    """Ask all runs of a claim that are under way to stop. Returns how many; what they have is kept."""
    return together.cancel(standing.active)


def reproduce(claim: Claim, text: str, seeds: int, say: Callable[[str], None]) -> Standing:
    """Do all runs of a claim in this process, one after another, and return how it then stands.

    Raises BardlabError if the text does not do, or a run was stopped or has failed.
    """
    together.work_off(_cause(claim), wanted(claim, text, seeds), say)
    return standing(claim, text, reading.list_runs(), seeds)


def expected_seconds(claim: Claim, text: str, seeds: int) -> float | None:
    """Estimate the wall time of all runs of a claim on this machine; None if its speed is not known yet.

    Raises BardlabError if the text does not do.
    """
    whole = whole_text(claim, text)
    read = whole.text[: claim.part or len(whole.text)]
    vocab, judged, kind = len(set(read)), len(read) - int(TRAIN_SHARE * len(read)), timing.best_device()
    total = 0.0
    for arm in claim.arms:
        rung = registry.get(arm.rung)
        model, train = rung.settings(None, arm.model, arm.train)
        built = cost.cost(rung, model, train, vocab, kind, len(read))
        seconds = timing.estimate_seconds(rung, model, built, train, kind, judged, vocab)
        if seconds is None:
            return None
        total += seconds + together.START_SECONDS
    return total * seeds


def machine() -> tuple[str, str]:
    """Return what this machine computes with, and the kind of its device."""
    device = devices.resolve("auto")
    return devices.name_of(device), device.type


def timed(claim: Claim, text: str, seeds: int, say: Callable[[str], None]) -> tuple[Standing, float]:
    """Reproduce a claim as `reproduce` does, and tell the seconds of processor time from its start to its verdict."""
    began = time.process_time()
    found = reproduce(claim, text, seeds, say)
    _ = found.judgement
    return found, time.process_time() - began


def ship(standing: Standing, cpu_seconds: float, began: float) -> None:
    """Put what was measured into the evidence that ships. Raises BardlabError if not all of it was, or on writing.

    Runs that were there already were computed in an earlier call: its time counts too.
    """
    if not standing.whole or standing.problems:
        raise BardlabError(f"the claim {standing.claim.key!r} is not measured in full: {'; '.join(standing.lacking)}")
    name, device = machine()
    run = standing.done[0]
    with contextlib.suppress(BardlabError):  # damaged: it is written anew
        before = evidence.of(standing.claim)
        if before and any(run.status.ended and run.status.ended < began for run in standing.done):
            cpu_seconds += before.cpu_seconds
    evidence.keep(
        standing.claim,
        evidence.Evidence(
            fingerprint=standing.claim.fingerprint,
            figures={arm: {s: dict(v) for s, v in seeds.items()} for arm, seeds in standing.figures.items()},
            machine=name,
            device=device,
            seconds=sum(run.status.seconds for run in standing.done),
            cpu_seconds=cpu_seconds,
            date=datetime.now(UTC).date().isoformat(),
            versions=run.need().versions,
        ),
    )


def summary(standing: Standing) -> dict[str, object]:
    """Return where a claim stands as plain data."""
    judged = standing.judgement
    return {
        "claim": standing.claim.key,
        "title": standing.claim.title,
        "text": standing.text,
        "rule": standing.claim.rule,
        "verdict": str(judged.verdict),
        "sentence": judged.sentence,
        "seeds": standing.seeds,
        "seconds": sum(run.status.seconds for run in standing.done),
        "runs": [run.slug for run in standing.there],
        "lacking": standing.lacking,
        "findings": [
            {
                "what": finding.criterion.what,
                "wanted": finding.criterion.wanted,
                "verdict": str(finding.verdict),
                "sentence": finding.sentence,
                **({} if finding.estimate is None else asdict(finding.estimate)),
            }
            for finding in judged.findings
        ],
    }
