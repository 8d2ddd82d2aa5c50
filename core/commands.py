"""Commands about texts, and about several runs: compare, fork, sweep."""

from collections.abc import Sequence
from pathlib import Path

import click

from core import runs, stages
from core.console import JSON, assigned, line, say, summary
from core.errors import BardlabError


@click.command("texts")
@JSON
def texts_(as_json: bool) -> None:
    """List the texts that a model can learn from."""
    from core.corpus import load
    from core.texts import listing

    shakespeare = load()
    rows = [{"name": shakespeare.name, "title": shakespeare.title, "characters": len(shakespeare.text)}]
    rows += [{"name": own.name, "title": own.title, "characters": own.characters} for own in listing()]
    say(rows, as_json, "\n".join(f"{r['name']:<18} {r['characters']:>12,} characters  {r['title']}" for r in rows))


@click.group()
def text() -> None:
    """Add a text of your own, or delete one."""


@text.command()
@click.argument("file", type=click.Path())
@click.option("--title", help="What to call it; the file's name by default.")
@click.option("--encoding", help="How to read a file that is not UTF-8 and has no mark, such as cp1252 or gb18030.")
@click.option("--commonest", type=int, help="Keep so many different characters; every rarer one becomes □.")
@JSON
def add(file: str, title: str | None, encoding: str | None, commonest: int | None, as_json: bool) -> None:
    """Keep a text of at least 1,000 characters, to train on with: train STAGE --text NAME."""
    from core import corpus, texts
    from core.characters import listed

    path = Path(file)
    try:
        if path.stat().st_size > texts.LARGEST:
            raise BardlabError(f"{path.name} is larger than {texts.LARGEST / 1e6:.0f} MB; give a part of it")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        why = runs.explain(error) if isinstance(error, OSError) else "that is no name of a file"
        raise BardlabError(f"cannot read {file}: {why}") from None
    own = texts.add(content, title if title is not None else path.stem, encoding=encoding, commonest=commonest)
    only_judged = corpus.load(own.name).only_judged
    result = {"name": own.name, "title": own.title, "characters": own.characters, "only_in_validation": only_judged}
    told = f"{own.name}  {own.title}, {own.characters:,} characters"
    if only_judged:
        told += f"\n{len(only_judged)} of them occur only in the validation split, so no model can learn them: "
        told += listed(only_judged)
    say(result, as_json, told)


@text.command("delete")
@click.argument("name")
@JSON
def delete_text(name: str, as_json: bool) -> None:
    """Delete a text of your own; runs trained on it are kept."""
    from core import texts

    found = texts.find(name)
    texts.delete(found)
    say({"name": found, "deleted": True}, as_json, f"deleted {found}")


@click.command()
@click.argument("run")
@click.argument("text")
@JSON
def note(run: str, text: str, as_json: bool) -> None:
    """Keep a note with a run; an empty one takes it away."""
    found = runs.annotate(runs.find(run), text)
    say(summary(found), as_json, f"{found.name}: {found.note or 'no note'}")


@click.command()
@click.argument("run")
@click.option("--off", is_flag=True, help="Take the pin away.")
@JSON
def pin(run: str, off: bool, as_json: bool) -> None:
    """Put a run at the head of the table."""
    found = runs.pin(runs.find(run), not off)
    say(summary(found), as_json, f"{found.name} is {'pinned' if found.pinned else 'no longer pinned'}")


@click.command("compare")
@click.argument("run", nargs=-1, required=True)
@JSON
def compare_(run: Sequence[str], as_json: bool) -> None:
    """Show in which settings runs differ, and what the difference is worth, seed by seed."""
    from core import compare

    found = [runs.find(each) for each in run]
    result = compare.table(found)
    lines = [line(each) for each in found] if result["val_loss"] else [f"{each.slug}" for each in found]
    if not result["val_loss"]:
        lines.append("these runs read different texts, so their losses are not compared")
    lines += [f"  {name}: {' | '.join(compare.shown(v) for v in vs)}" for name, vs in result["differences"].items()]
    names = {each.slug: each.name for each in found}
    lines += [f"{names[slug]}: {sentence}" for slug, sentence in result["sentences"].items()]
    lines += [finding["sentence"] for finding in result["findings"]]
    say(result, as_json, "\n".join(lines))


SET = click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change a setting.")


@click.command()
@click.argument("run")
@SET
@click.option("--seeds", default=1, help="Seeds to try; each changed run gets an unchanged twin of the same seed.")
@JSON
def fork(run: str, assignments: Sequence[str], seeds: int, as_json: bool) -> None:
    """Queue a run again with something changed, all else and the seed as they were."""
    from core import sweeps

    plans = sweeps.fork(runs.find(run), assigned(assignments), seeds)
    made = sweeps.start(plans)
    say([summary(each) for each in made], as_json, "\n".join(line(each) for each in made))


@click.command()
@click.argument("stage")
@click.option("--over", multiple=True, metavar="NAME=V,V,...", help="A setting and the values to try; at most two.")
@click.option("--search", type=int, help="Try this many points between the values instead of every combination.")
@click.option("--preset", help="A named choice of settings to start from; the first by default.")
@SET
@click.option("--text", default="tinyshakespeare", help="The text to learn from: a name or title (see: texts).")
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option("--dry-run", is_flag=True, help="Only show what would be trained.")
@JSON
def sweep(
    stage: str,
    over: Sequence[str],
    search: int | None,
    preset: str | None,
    assignments: Sequence[str],
    text: str,
    device: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Queue a run for each of several values of one or two settings."""
    from core import launch, sweeps, texts

    rung = stages.get(stage)
    model, train = launch.split_settings(assigned(assignments))
    plans = sweeps.sweep(
        stage,
        [sweeps.axis(rung, each) for each in over],
        method="grid" if search is None else "search",
        trials=search or 0,
        preset=preset or rung.default_preset,
        model=model,
        train=train,
        device=device,
        corpus_name=texts.find(text),
    )
    if dry_run:
        commands = [
            launch.command(rung, None, plan.model_config_, plan.train, plan.device, plan.corpus) for plan in plans
        ]
        say(commands, as_json, "\n".join(commands))
        return
    made = sweeps.start(plans)
    say([summary(each) for each in made], as_json, "\n".join(line(each) for each in made))


COMMANDS = (texts_, text, note, pin, compare_, fork, sweep)
