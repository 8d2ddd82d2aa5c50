"""A lab report: one HTML file that asks a question and answers it; it opens without network and runs no script."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from core import files
from core.errors import BardlabError
from core.exchange import export
from core.runs import openings, plan, reading, records
from core.runs.state import BROKEN, Run, Sample
from core.settings import shown
from core.studies import differences, findings, landmarks
from core.studies.findings import Finding
from core.studies.report_words import Words
from core.texts.corpus import available

REPORT = "report.html"
LAYOUT = Path(__file__).with_name("report.html.jinja")
MOST_TEXTS = 6  # side by side
PAIRED = "Differences in validation loss, paired by seed; ± is half the 95 % t interval of their mean."
HEAD = ("run", "rung", "state", "seed", "steps", "parameters", "validation loss", "bits", "seconds", "device")


@dataclass(frozen=True)
class Written:
    """A piece of text with the line above it."""

    head: str
    text: str


def lab_report(compared: Sequence[Run], target: Path | None = None, words: Words | None = None) -> Path:
    """Write a report on one or several runs, by default to `export/report.html` in the first one's folder.

    Returns the file. Raises BardlabError if a run is damaged or the file cannot be written.
    """
    content = html(compared, words).encode("utf-8", "replace")
    if target is None:
        return export.written(compared[0], REPORT, content)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, content)
    except OSError as error:
        raise BardlabError(f"cannot write {target}: {files.explain(error)}") from None
    return target


def html(compared: Sequence[Run], words: Words | None = None) -> str:
    """Return the report as the text of an HTML document. Everything that comes from a run or a person is escaped.

    Raises BardlabError if there is no run, or one is damaged.
    """
    if not compared:
        raise BardlabError("choose at least one run to report on")
    words = words or Words()
    labels = differences.labels(compared)
    worth = findings.findings(compared) if len(compared) > 1 else []
    name = compared[0].name if len(compared) == 1 else f"{len(compared)} runs compared"
    figure, problem = _figure(compared, labels)
    now = datetime.now(UTC).astimezone()
    return _layout().render(
        title=words.title or name,
        author=words.author,
        date=f"{now.day} {now:%B %Y}",
        notes=[{"run": labels[run.slug], "text": run.note} for run in compared if run.note],
        question=words.question or _question(compared, worth),
        guess=words.guess,
        finding=[_verdict(finding) for finding in worth] or _standing(compared, labels),
        conclusion=words.conclusion,
        remark=PAIRED if worth else "",
        figure=figure,
        changed=_changed(compared, labels),
        lineage=[f"{labels[slug]}: {sentence}" for slug, sentence in differences.lineage(compared).items()],
        texts=_before_and_after(compared, labels),
        overviews=list(_overviews(compared, labels)),
        runs=[_appendix(run, labels[run.slug], alone=len(compared) == 1, problem=problem) for run in compared],
    )


@cache
def _layout() -> Template:
    known = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return known.from_string(LAYOUT.read_text(encoding="utf-8"))


def _question(compared: Sequence[Run], worth: Sequence[Finding]) -> str:
    if worth:
        return f"What is it worth to change {' or '.join(finding.change for finding in worth)}, all else as it was?"
    if len(compared) > 1:
        return "In what do these runs differ, and which of them predicts the next character better?"
    config = compared[0].need()
    text = available().get(config.corpus, "its text")
    return f"How well does this {config.rung.title_of(config.model_config_)} predict the next character of {text}?"


def _verdict(finding: Finding) -> str:
    """A finding in words: whether the change makes it better or worse, by how much, and how sure that is."""
    direction = "worse" if finding.mean > 0 else "better"
    size, seeds = f"{abs(finding.mean):.3f}", len(finding.seeds)
    if seeds == 1:
        return (
            f"{finding.change} made it {direction} by {size} nats a character with one seed, which proves nothing yet."
        )
    known = f"{size} ± {finding.half_width:.3f} nats a character over {seeds} seeds"
    if finding.trusted:
        return f"{finding.change} makes it {direction} by {known}."
    return f"{finding.change} makes no difference that can be trusted: {direction} by {known}."


def _standing(compared: Sequence[Run], labels: dict[str, str]) -> list[str]:
    """Where each run's loss stands among the landmarks of its text."""
    sentences = []
    for run in compared:
        loss, text = run.status.val_loss, openings.text_of(run)
        which = "" if len(compared) == 1 else f"{labels[run.slug]}: "
        if loss is None or not math.isfinite(loss):
            sentences.append(f"{which}no validation loss was measured.")
            continue
        choices = f"{math.exp(loss):.1f} of {len(run.need().characters)}" if loss < 20 else "countless"
        line = f"{which}validation loss {loss:.4f} nats a character: it hesitates between {choices} characters."
        if run.broken:
            sentences.append(f"{which}validation loss {loss:.4f} nats a character, {BROKEN}: it stands in no ranking.")
            continue
        marks = landmarks.all_of(text) if text else []
        line = line if which else line[:1].upper() + line[1:]
        sentences.append(f"{line} {landmarks.verdict(loss, marks, _shipped_loss(run))}")
    return sentences


def _shipped_loss(run: Run) -> float | None:
    """The validation loss of the rung's shipped run on the same text; None for that run itself."""
    shipped = next((each for each in reading.list_runs(shipped=True) if each.shipped and _same(each, run)), None)
    return None if shipped is None or run.shipped else shipped.status.val_loss


def _same(one: Run, other: Run) -> bool:
    a, b = one.config, other.need()
    return not one.damage and a is not None and (a.rung_key, a.corpus_sha256) == (b.rung_key, b.corpus_sha256)


def _figure(compared: Sequence[Run], labels: dict[str, str]) -> tuple[str | None, str]:
    """The picture that answers: of one run its curves, of several their validation losses if they read one text."""
    if len(compared) == 1:
        try:
            return export.plot_svg(compared[0]), ""
        except BardlabError as error:
            return None, str(error)
    if len({run.need().corpus_sha256 for run in compared}) > 1:
        return None, ""
    return export.overlay_svg(compared, [labels[run.slug] for run in compared]), ""


def _changed(compared: Sequence[Run], labels: dict[str, str]) -> dict[str, Any] | None:
    """What differs between the runs; of one, what it has otherwise than its preset."""
    if len(compared) > 1:
        rows = [[name, *map(shown, values)] for name, values in differences.differences(compared).items()]
        return {"head": ["setting", *labels.values()], "rows": rows} if rows else None
    config = compared[0].need()
    rung = config.rung
    if config.preset is not None and config.preset not in rung.presets:
        return None
    base = dict(zip(("model", "train"), rung.settings(config.preset, {}, {}), strict=True))
    changes = rung.changes(config.preset, config.model_config_, config.train)
    rows = []
    for name, value in changes.items():
        group, _, field = name.partition(".")
        rows.append([name, shown(getattr(base[group], field)), shown(value)])
    preset = f"preset {rung.title_of_preset(config.preset)}" if config.preset else "default"
    return {"head": ["setting", preset, "this run"], "rows": rows} if rows else None


def _before_and_after(compared: Sequence[Run], labels: dict[str, str]) -> list[Written]:
    """What the first run wrote at its first evaluation, and what each wrote at its last."""
    kept = {run.slug: records.samples(run.path) for run in compared}
    kept = {slug: samples for slug, samples in kept.items() if samples}
    if not kept:
        return []
    first = next(iter(kept.values()))[0]
    last = [(slug, samples[-1]) for slug, samples in kept.items()][:MOST_TEXTS]
    after = [_written(sample, "After" if len(compared) == 1 else labels[slug]) for slug, sample in last]
    return [_written(first, "Before"), *after] if len(last) > 1 or last[0][1] != first else after


def _written(sample: Sample, head: str) -> Written:
    loss = f", validation loss {sample.val_loss:.4f}" if sample.val_loss is not None else ""
    return Written(f"{head}: step {sample.step:,}{loss}", sample.text)


def _overviews(compared: Sequence[Run], labels: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One table a text: losses on different texts are not to be compared."""
    titles = available()
    for name in dict.fromkeys(run.need().corpus for run in compared):
        rows = []
        for run in (r for r in compared if r.need().corpus == name):
            s, config = run.status, run.need()
            loss = s.val_loss
            figures = [f"{loss:.4f}", f"{loss / math.log(2):.4f}"] if loss is not None else ["–", "–"]
            count = f"{s.parameters:,}" if s.parameters else "–"
            row = [labels[run.slug], config.rung.title, run.state, config.train.seed, f"{s.step:,} of {s.of:,}", count]
            rows.append([*row, *figures, f"{s.seconds:.1f}", s.device or "–"])
        yield {"text": titles.get(name, f"{name}, no longer here"), "head": HEAD, "rows": rows}


def _appendix(run: Run, label: str, *, alone: bool, problem: str) -> dict[str, Any]:
    config = run.need()
    figure = None
    if not alone:  # of a single run it stands above
        try:
            figure = export.plot_svg(run)
        except BardlabError as error:
            problem = str(error)
    chosen = [(name, value) for name, value in differences.settings(run).items() if name != "device"]
    versions = [(f"version of {name}", version) for name, version in config.versions.items()]
    about = [("text, SHA-256", config.corpus_sha256), ("made", config.created), ("folder", run.slug), *versions]
    samples = records.samples(run.path)
    kept = {s.step: s for s in [*samples[:1], *samples[len(samples) // 2 :][:1], *samples[-1:]]}.values()
    start = f"Written from the prompt {samples[0].prompt!r}, seed {config.train.seed}" if samples else ""
    return {
        "name": label,
        "figure": figure,
        "problem": problem,
        "command": plan.command(
            config.rung, config.preset, config.model_config_, config.train, config.device, config.corpus
        ),
        "settings": [(name, shown(value)) for name, value in [*chosen, *about]],
        "samples": [_written(sample, start) for sample in kept],
    }
