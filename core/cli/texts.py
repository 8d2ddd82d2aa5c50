"""The commands on texts: list, add, delete."""

from pathlib import Path

import click

from core import files
from core.cli.output import JSON, say
from core.errors import BardlabError


@click.command("texts")
@JSON
def texts_(as_json: bool) -> None:
    """List the texts that a model can learn from."""
    from core.texts.corpus import load
    from core.texts.own import listing

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
    from core.texts import corpus
    from core.texts import own as texts_own
    from core.texts.labels import listed

    path = Path(file)
    try:
        if path.stat().st_size > texts_own.LARGEST:
            raise BardlabError(f"{path.name} is larger than {texts_own.LARGEST / 1e6:.0f} MB; give a part of it")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        why = files.explain(error) if isinstance(error, OSError) else "that is no name of a file"
        raise BardlabError(f"cannot read {file}: {why}") from None
    own = texts_own.add(content, title if title is not None else path.stem, encoding=encoding, commonest=commonest)
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
    from core.texts import own as texts_own

    found = texts_own.find(name)
    texts_own.delete(found)
    say({"name": found, "deleted": True}, as_json, f"deleted {found}")


COMMANDS = (texts_, text)
