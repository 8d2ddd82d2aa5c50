"""Commands about the runs that there are: list, show, name, note, pin, delete."""

import click

from core.cli.output import JSON, line, say, summary
from core.runs import editing, reading, records


@click.command("runs")
@JSON
def list_runs(as_json: bool) -> None:
    """List all runs, newest first, then those that ship with the product."""
    found = reading.list_runs(shipped=True)
    text = "\n".join(line(run) for run in found) or "no runs yet; train one with: python -m core train bigram"
    say([summary(run) for run in found], as_json, text)


@click.command()
@click.argument("run")
@JSON
def show(run: str, as_json: bool) -> None:
    """Show one run: its settings, its state and the text it wrote last."""
    found = reading.find(run)
    config = found.config.model_dump() if found.config else None
    written = records.samples(found.path)
    lines = [line(found), f"folder: {found.path}"]
    if found.config:
        settings = {f"model.{k}": v for k, v in found.config.model.items()}
        settings |= {f"train.{k}": v for k, v in found.config.train.model_dump().items()}
        lines += [f"  {key} = {value!r}" for key, value in settings.items()]
    if written:
        lines += [f"sample at step {written[-1].step}:", written[-1].text]
    say({**summary(found), "config": config, "path": str(found.path)}, as_json, "\n".join(lines))


@click.command()
@click.argument("run")
@click.argument("name")
@JSON
def rename(run: str, name: str, as_json: bool) -> None:
    """Give a run another name."""
    found = editing.rename(reading.find(run), name)
    say(summary(found), as_json, f"{found.slug} is now called {found.name}")


@click.command()
@click.argument("run")
@click.argument("text")
@JSON
def note(run: str, text: str, as_json: bool) -> None:
    """Keep a note with a run; an empty one takes it away."""
    found = editing.annotate(reading.find(run), text)
    say(summary(found), as_json, f"{found.name}: {found.note or 'no note'}")


@click.command()
@click.argument("run")
@click.option("--off", is_flag=True, help="Take the pin away.")
@JSON
def pin(run: str, off: bool, as_json: bool) -> None:
    """Put a run at the head of the table."""
    found = editing.pin(reading.find(run), not off)
    say(summary(found), as_json, f"{found.name} is {'pinned' if found.pinned else 'no longer pinned'}")


@click.command()
@click.argument("run")
@JSON
def delete(run: str, as_json: bool) -> None:
    """Delete a run and everything in it."""
    found = reading.find(run)
    editing.delete(found)
    say({"run": found.slug, "deleted": True}, as_json, f"deleted {found.slug}")


COMMANDS = (list_runs, show, rename, note, pin, delete)
