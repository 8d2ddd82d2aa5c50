"""A lab report: one HTML file with curves, settings, samples and seeds. It opens without network and runs no script."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from core import files
from core.errors import BardlabError
from core.exchange import export
from core.runs import plan, records
from core.runs.state import Run
from core.studies import differences, findings
from core.texts.corpus import available

REPORT = "report.html"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { font-family: Georgia, serif; font-weight: 600; line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; padding-bottom: .3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid #8883; vertical-align: top; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .8rem; border-radius: .3rem; }
figure { margin: 1rem 0; background: #fff; border-radius: .3rem; }
svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; } small { opacity: .75; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def lab_report(compared: Sequence[Run], target: Path | None = None) -> Path:
    """Write a report on one or several runs, by default to `export/report.html` in the first one's folder.

    Returns the file. Raises BardlabError if a run is damaged or the file cannot be written.
    """
    if not compared:
        raise BardlabError("choose at least one run to report on")
    content = html(compared).encode("utf-8", "replace")
    if target is None:
        return export.written(compared[0], REPORT, content)
    try:
        files.replace(target, content)
    except OSError as error:
        raise BardlabError(f"cannot write {target}: {files.explain(error)}") from None
    return target


def html(compared: Sequence[Run]) -> str:
    """Return the report as the text of an HTML document. Everything that comes from a run is escaped."""
    title = compared[0].name if len(compared) == 1 else f"{len(compared)} runs compared"
    labels = differences.labels(compared)
    parts = [_overview(compared)]
    if len(compared) > 1:
        overlay = export.overlay_svg(compared, [labels[run.slug] for run in compared])
        same_text = len({run.need().corpus_sha256 for run in compared}) == 1
        parts += [f"<figure>{overlay}</figure>"] if overlay and same_text else []
        parts += [_changed(compared)]
    parts += [_run(run) for run in compared]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    top = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _overview(compared: Sequence[Run]) -> str:
    """One table a text: losses on different texts are not to be compared."""
    parts, titles = [], available()
    head = ["run", "rung", "state", "seed", "steps", "parameters", "validation loss", "bits", "seconds", "device"]
    for name in dict.fromkeys(run.need().corpus for run in compared):
        rows = []
        for run in (r for r in compared if r.need().corpus == name):
            s, config = run.status, run.need()
            loss = s.val_loss
            figures = [f"{loss:.4f}", f"{loss / math.log(2):.4f}"] if loss is not None else ["–", "–"]
            count = f"{s.parameters:,}" if s.parameters else "–"
            row = [run.name, config.rung.title, run.state, config.train.seed, f"{s.step:,} of {s.of:,}", count]
            rows.append([*row, *figures, f"{s.seconds:.1f}", s.device or "–"])
        parts.append(f"<p>Text: {escape(titles.get(name, f'{name}, no longer here'))}</p>{_rows(head, rows)}")
    note = "Validation loss: mean cross-entropy in nats a character over the whole validation split (the last tenth)."
    return "".join(parts) + f"<p><small>{note}</small></p>"


def _changed(compared: Sequence[Run]) -> str:
    differing = differences.differences(compared)
    rows = [[name, *(differences.shown(value) for value in values)] for name, values in differing.items()]
    parts = ["<h2>What differs</h2>"]
    parts.append(_rows(["setting", *(run.name for run in compared)], rows) if rows else "<p>Nothing.</p>")
    names = {run.slug: run.name for run in compared}
    lines = [f"{names[slug]}: {sentence}" for slug, sentence in differences.lineage(compared).items()]
    parts += [f"<p>{escape(line)}.</p>" for line in lines]
    if found := findings.findings(compared):
        parts.append("<h3>Findings</h3>" + "".join(f"<p>{escape(finding.sentence)}.</p>" for finding in found))
        parts.append(
            "<p><small>Differences in validation loss, paired by seed; ± is half the 95 % t interval of their "
            "mean.</small></p>"
        )
    return "".join(parts)


def _run(run: Run) -> str:
    config = run.need()
    parts = [f"<h2>{escape(run.name)}</h2>"]
    if run.note:
        parts.append(f"<pre>{escape(run.note)}</pre>")
    try:
        parts.append(f"<figure>{export.plot_svg(run)}</figure>")
    except BardlabError as error:
        parts.append(f"<p>{escape(str(error))}.</p>")
    command = plan.command(config.rung, config.preset, config.model_config_, config.train, config.device, config.corpus)
    parts.append(f"<h3>To repeat it</h3><pre>{escape(command)}</pre>")
    chosen = [(name, value) for name, value in differences.settings(run).items() if name != "device"]
    versions = [(f"version of {name}", version) for name, version in config.versions.items()]
    about = [("text, SHA-256", config.corpus_sha256), ("made", config.created), ("folder", run.slug), *versions]
    rows = [(name, differences.shown(value)) for name, value in [*chosen, *about]]
    parts.append(f"<h3>Settings</h3>{_rows(['setting', 'value'], rows)}")
    samples = records.samples(run.path)
    for sample in {s.step: s for s in [*samples[:1], *samples[len(samples) // 2 :][:1], *samples[-1:]]}.values():
        loss = f", validation loss {sample.val_loss:.4f}" if sample.val_loss is not None else ""
        head = f"Written at step {sample.step:,}{loss}, from the prompt {sample.prompt!r}, seed {config.train.seed}"
        parts.append(f"<h3>{escape(head)}</h3><pre>{escape(sample.text)}</pre>")
    return "".join(parts)
