"""The command line. Every command has `--json`; bad input ends in one line on standard error and exit status 2."""

from collections.abc import Sequence
from typing import Any

import click

from core import files
from core.cli import cluster, races, runs, studies, texts, training, weights
from core.cli.bench import bench
from core.cli.output import JSON, prepare, say
from core.errors import BardlabError
from core.ladder import registry
from core.texts.labels import harmless


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Train and inspect the language models of the ladder, from the bigram to the Transformer."""


@cli.command("stages")
@JSON
def list_stages(as_json: bool) -> None:
    """List the rungs with their parameters and presets."""
    from core.ladder import sizing
    from core.texts.corpus import load

    vocab = load().tokenizer.size
    rows: list[dict[str, Any]] = []
    for rung in registry.RUNGS.values():
        presets = {}
        for name, preset in rung.presets.items():
            model, train = rung.settings(name, {}, {})
            count = sizing.parameters_of(rung, model, vocab)
            presets[name] = {"parameters": count, "steps": train.steps, "help": preset.help}
        rows.append({"stage": rung.key, "title": rung.title, "paper": rung.paper, "presets": presets})
    lines = []
    for row in rows:
        lines.append(f"{row['stage']}: {registry.get(row['stage']).idea} ({row['paper']})")
        lines += [f"  {n:<10} {p['parameters']:>11,} parameters  {p['help']}" for n, p in row["presets"].items()]
    say(rows, as_json, "\n".join(lines))
    for problem in registry.PROBLEMS:
        click.echo(problem, err=True)


for command in (
    *training.COMMANDS,
    *runs.COMMANDS,
    *weights.COMMANDS,
    *texts.COMMANDS,
    *studies.COMMANDS,
    *cluster.COMMANDS,
    *races.COMMANDS,
    bench,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; say what is wrong in one line instead of a traceback."""
    prepare()
    try:
        cli.main(
            args=list(arguments) if arguments is not None else None, standalone_mode=False, prog_name="python -m core"
        )
    except BardlabError as error:
        _fail(str(error))
    except click.exceptions.Abort:
        _fail("interrupted")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())  # no command at all: the help itself, with its line breaks
    except OSError as error:
        _fail(f"cannot write or read {error.filename or 'a file'}: {files.explain(error)}")
    except click.ClickException as error:
        _fail(f"{error.format_message()} (see: python -m core --help)")


def _fail(message: str) -> None:
    click.echo(f"error: {harmless(' '.join(message.split()))}", err=True)
    raise SystemExit(2)
