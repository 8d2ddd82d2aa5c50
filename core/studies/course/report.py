"""The learner's own lab report: what was chosen of claims, runs and the rest, and the notes, in one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from core.ladder import registry
from core.runs.state import Run
from core.settings import shown
from core.studies.claims.claim import Claim, Figures

LAYOUT = Path(__file__).with_name("report.html.jinja")


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and a table below them."""

    title: str
    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=list)


def html(author: str, note: str, sections: Sequence[Section]) -> str:
    """Return the report as the text of an HTML document; all that people wrote is escaped."""
    now = datetime.now(UTC).astimezone()
    return _layout().render(
        author=author,
        date=f"{now.day} {now:%B %Y}",
        notes=[part for part in note.split("\n") if part.strip()],
        sections=sections,
    )


@cache
def _layout() -> Template:
    known = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return known.from_string(LAYOUT.read_text(encoding="utf-8"))


def of_claim(claim: Claim, figures: Figures, where: str) -> Section:
    """What is told of a claim: its sentence, the rule, the verdict with every number."""
    judged = claim.judge(figures)
    head = ("criterion", "found", "wanted", "verdict")
    rows = [
        (finding.criterion.what, finding.sentence, finding.criterion.wanted, str(finding.verdict))
        for finding in judged.findings
    ]
    lines = (f"{claim.sentence} ({claim.paper})", claim.rule, judged.sentence, where)
    return Section(f"Claim: {claim.title}", lines, head, rows)


def of_runs(runs: Sequence[Run]) -> Section:
    """What is told of runs: a line each."""
    head = ("run", "rung", "changed from its preset", "steps", "seed", "parameters", "validation loss")
    rows = []
    for run in runs:
        config, status = run.need(), run.status
        rung = registry.get(config.rung_key)
        changes = rung.changes(config.preset, config.model_config_, config.train)
        changed = ", ".join(f"{name} = {shown(value)}" for name, value in changes.items())
        loss = status.best_val_loss if status.best_val_loss is not None else status.val_loss
        rows.append(
            (
                run.label,
                rung.title_of(config.model_config_),
                changed or "nothing",
                f"{status.step:,}",
                str(config.train.seed),
                "–" if status.parameters is None else f"{status.parameters:,}",
                "–" if loss is None else f"{loss:.4f}",
            )
        )
    return Section("Runs", (), head, rows)
