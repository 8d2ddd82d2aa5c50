"""Commands about several runs: compare, fork, sweep, claim."""

import time
from collections.abc import Sequence

import click

from core.cli.output import JSON, assigned, line, say, summary
from core.errors import BardlabError
from core.ladder import registry
from core.runs import reading
from core.runs.state import Run, RunConfig
from core.settings import shown
from core.texts.labels import harmless


@click.command("compare")
@click.argument("run", nargs=-1, required=True)
@JSON
def compare_(run: Sequence[str], as_json: bool) -> None:
    """Show in which settings runs differ, and what the difference is worth, seed by seed."""
    from core.studies import findings

    found = [reading.find(each) for each in run]
    result = findings.table(found)
    lines = [line(each) for each in found] if result["val_loss"] else [f"{each.slug}" for each in found]
    if not result["val_loss"]:
        lines.append("these runs read different texts, so their losses are not compared")
    lines += [f"  {name}: {' | '.join(shown(v) for v in vs)}" for name, vs in result["differences"].items()]
    names = {each.slug: each.name for each in found}
    lines += [f"{names[slug]}: {sentence}" for slug, sentence in result["sentences"].items()]
    lines += [finding["sentence"] for finding in result["findings"]]
    say(result, as_json, "\n".join(lines))


FORCE = click.option("--force", is_flag=True, help="Queue them even if the memory is likely not to suffice.")
SET = click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change a setting.")


def _started(plans: Sequence[RunConfig], force: bool) -> list[Run]:
    """Queue runs on one text, unless the memory will not suffice for them."""
    from core.studies import sweeps
    from core.texts import corpus

    weighed = sweeps.weighed(plans, len(corpus.load(plans[0].corpus).text))
    if not force and (short := sweeps.shortage(weighed)):
        raise BardlabError(f"{short}, or give --force")
    return sweeps.start(weighed)


@click.command()
@click.argument("run")
@SET
@click.option("--seeds", default=1, help="Seeds to try; each changed run gets an unchanged twin of the same seed.")
@FORCE
@JSON
def fork(run: str, assignments: Sequence[str], seeds: int, force: bool, as_json: bool) -> None:
    """Queue a run again with something changed, all else and the seed as they were."""
    from core.studies import sweeps

    plans = sweeps.fork(reading.find(run), assigned(assignments), seeds)
    made = _started(plans, force)
    say([summary(each) for each in made], as_json, "\n".join(line(each) for each in made))


@click.command()
@click.argument("rung")
@click.option("--over", multiple=True, metavar="NAME=V,V,...", help="A setting and the values to try; at most two.")
@click.option("--search", type=int, help="Try this many points between the values instead of every combination.")
@click.option("--preset", help="A named choice of settings to start from; the first by default.")
@SET
@click.option("--text", default="tinyshakespeare", help="The text to learn from: a name or title (see: texts).")
@click.option("--device", default="auto", help="auto, cpu, cuda, one GPU of several such as cuda:1, or mps.")
@FORCE
@click.option("--dry-run", is_flag=True, help="Only show what would be trained.")
@JSON
def sweep(
    rung: str,
    over: Sequence[str],
    search: int | None,
    preset: str | None,
    assignments: Sequence[str],
    text: str,
    device: str,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Queue a run for each of several values of one or two settings."""
    from core.runs import plan as runs_plan
    from core.studies import sweeps
    from core.texts import own as texts_own

    declared = registry.get(rung)
    model, train = runs_plan.split_settings(assigned(assignments))
    plans = sweeps.sweep(
        rung,
        [sweeps.axis(declared, each) for each in over],
        method="grid" if search is None else "search",
        trials=search or 0,
        preset=preset or declared.default_preset,
        model=model,
        train=train,
        device=device,
        corpus_name=texts_own.find(text),
    )
    if dry_run:
        commands = [
            runs_plan.command(declared, None, plan.model_config_, plan.train, plan.device, plan.corpus)
            for plan in plans
        ]
        say(commands, as_json, "\n".join(commands))
        return
    made = _started(plans, force)
    say([summary(each) for each in made], as_json, "\n".join(line(each) for each in made))


@click.command()
@click.argument("name")
@click.option("--seeds", type=click.IntRange(1, 10), help="Seeds to run; as many as the claim declares by default.")
@click.option("--text", default="tinyshakespeare", help="The text to learn from: a name or title (see: texts).")
@click.option("--ship", is_flag=True, help="Write what was measured into the evidence that ships with the product.")
@JSON
def claim(name: str, seeds: int | None, text: str, ship: bool, as_json: bool) -> None:
    """Reproduce what a paper claims, or all of them (NAME all): run what is missing, measure, judge by a fixed rule."""
    from core.studies.claims import registry as claims
    from core.studies.claims import reproduction
    from core.texts import own as texts_own

    chosen = list(claims.CLAIMS.values()) if name == "all" else [claims.get(name)]
    corpus_name = texts_own.find(text)
    if ship and corpus_name != reproduction.DEFAULT_TEXT:
        raise BardlabError("what ships is measured on Tiny Shakespeare; leave --text or --ship out")
    rows, lines = [], []
    for each in chosen:
        began = time.time()
        standing, spent = reproduction.timed(
            each, corpus_name, seeds or each.seeds, lambda told: click.echo(harmless(told), err=True)
        )
        if ship:
            reproduction.ship(standing, spent, began)
        rows.append(reproduction.summary(standing) | {"cpu_seconds": spent})
        lines.append(f"{each.key}: {standing.judgement.sentence}")
        lines += [f"    {finding.sentence} {finding.verdict}" for finding in standing.judgement.findings]
    say(rows if name == "all" else rows[0], as_json, "\n".join(lines))


@click.command()
@click.argument("run")
@JSON
def novelty(run: str, as_json: bool) -> None:
    """Count how much of what each snapshot of a run writes stands word for word in its training text."""
    from core.runs import openings
    from core.runs.metrics import MetricsReader
    from core.studies import novelty as study
    from core.texts.places import place

    found = reading.find(run)
    text = openings.text_of(found)
    if text is None:
        raise BardlabError(f"the text that {found.slug} was trained on is no longer here; add it again")
    for _ in study.count(found, text):
        pass
    expected = study.baseline(text)
    rows = study.rows(found, MetricsReader(found.path).refresh())
    result = {
        "run": found.slug,
        "validation": {size: expected.share(size) for size in study.SIZES},
        "snapshots": [
            {
                "step": row.step,
                "train_loss": row.train,
                "val_loss": row.val,
                "copied": {size: row.found.counts.share(size) for size in study.SIZES},
                "longest": row.found.longest,
                "place": place(text, row.found.place).words,
            }
            for row in rows
        ],
    }
    size = study.USUAL
    lines = [
        f"pieces of {size} characters that the training text has: {expected.share(size):.2%} of the validation text"
    ]
    lines += [
        f"  step {row.step:>8,}  train {row.train:.3f}  val {row.val:.3f}  copied {row.found.counts.share(size):7.2%}  "
        f"longest {len(row.found.longest)}: {row.found.longest!r}, {place(text, row.found.place).words}"
        for row in rows
    ]
    say(result, as_json, "\n".join(lines))


COMMANDS = (compare_, fork, sweep, claim, novelty)
