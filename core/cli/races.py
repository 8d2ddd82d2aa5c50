"""The command about races."""

from collections.abc import Sequence
from typing import Any

import click

from core.cli.output import JSON, say
from core.errors import BardlabError
from core.runs import reading
from core.texts.labels import harmless


@click.command()
@click.argument("entrant", nargs=-1)
@click.option("--parameters", type=click.IntRange(min=1), default=None, help="Give every model about so many.")
@click.option("--steps", type=click.IntRange(min=1), default=None, help="How many each run takes; 300 by default.")
@click.option("--seconds", type=click.IntRange(min=1), default=None, help="Or how long each run takes.")
@click.option("--seeds", default=1, help="Seeds of each; several tell a margin from noise.")
@click.option("--seed", "first_seed", default=1337, help="The first of them.")
@click.option("--text", default="tinyshakespeare", help="The text to learn from: a name or title (see: texts).")
@click.option("--over", default="steps", help="What they are compared at: steps, characters, seconds or flops.")
@click.option("--no-wait", is_flag=True, help="Only queue the runs; ask again with the race's name.")
@click.option("--dry-run", is_flag=True, help="Only show who would start, and how near their sizes come.")
@click.option("--force", is_flag=True, help="Start them even if the memory is likely not to suffice.")
@JSON
def race(
    entrant: Sequence[str],
    parameters: int | None,
    steps: int | None,
    seconds: int | None,
    seeds: int,
    first_seed: int,
    text: str,
    over: str,
    no_wait: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Race two to seven rungs (ENTRANT is mlp, or mlp:minutes with a preset), at equal parameters, steps or seconds.

    With the name of a race it tells how that one stands; with nothing it lists all of them.
    """
    from core.studies import sweeps
    from core.studies.races import board
    from core.studies.races import race as racing
    from core.texts import corpus
    from core.texts import own as texts_own

    board.axis(over)
    if not entrant:
        fields = [racing.field_of(members) for members in racing.races(reading.list_runs()).values()]
        rows = [{"race": each.race.key, "title": each.title, "over": not each.active} for each in fields]
        say(rows, as_json, "\n".join(f"{row['race']}  {row['title']}" for row in rows) or "no race was run yet")
        return
    if len(entrant) == 1 and entrant[0].startswith("race-"):
        _tell(entrant[0], over, as_json)
        return
    declared = racing.draw_up(
        entrant,
        parameters=parameters or 0,
        steps=steps or (0 if seconds else 300),
        seconds=seconds or 0,
        seeds=seeds,
        first_seed=first_seed,
    )
    name = texts_own.find(text)
    if dry_run:
        places = racing.line_up(declared, name)
        entries: list[dict[str, Any]] = [
            {
                "entrant": place.entrant.key,
                "parameters": place.cost.parameters,
                "target": declared.parameters or None,
                "changed": place.sized.changed if place.sized else {},
                "seconds": place.seconds,
                "problem": place.problem or None,
            }
            for place in places
        ]
        told = [
            place.problem
            or f"{place.entrant.title}: {place.sized.told if place.sized else f'{place.cost.parameters:,}'} parameters"
            for place in places
        ]
        say(entries, as_json, "\n".join(told))
        return
    lanes = racing.weighed(racing.lanes(declared, name), len(corpus.load(name).text))
    if not force and (short := sweeps.shortage([lane.config for lane in lanes])):
        raise BardlabError(f"{short}, or give --force")
    if no_wait:
        racing.begin(declared, lanes)
    else:
        racing.run_here(declared, lanes, lambda told: click.echo(harmless(told), err=True))
    _tell(declared.key, over, as_json)


def _tell(key: str, over: str, as_json: bool) -> None:
    """Print how a race stands."""
    from core.studies.races import board
    from core.studies.races import race as racing

    field = racing.find(key)
    found = board.board(field, over)
    told = [f"{key}  {field.title}", *board.lines(found), f"{found.sentence}.", *field.lacking]
    say(board.summary(field, found), as_json, "\n".join(told))


COMMANDS = (race,)
