"""`python -m core bench`: measured figures from the command line."""

from pathlib import Path
from typing import Any

import click

from core.cli.output import JSON, say
from core.errors import BardlabError
from core.ladder.registry import get

SHIPPED = ("mlp", "wavenet", "recurrent")
"""Rungs beside the Transformer whose writing can be timed, by the preset that ships."""


@click.command()
@click.argument("what", type=click.Choice(["train", "ingredients", "sample", "live", "all"]))
@click.option(
    "--config",
    type=click.Choice(["cpu", "reference", *SHIPPED]),
    default="cpu",
    help="cpu: the preset seconds beside nanoGPT's CPU recipe; reference: the reference GPT beside one of its size; "
    "mlp, wavenet, recurrent: that rung's shipped preset (sample only).",
)
@click.option("--to", type=float, help="train: go to the end of the preset and say whether it reached this loss.")
@click.option("--seeds", default=1, help="train --to, ingredients, all: how many seeds.")
@click.option("--batch", type=int, help="train: another batch size.")
@click.option("--rounds", default=10, help="How often each side is timed, in turn.")
@click.option("--beside", type=click.Path(path_type=Path), help="A nanoGPT folder, to be timed in turn.")
@click.option("--beside-c", type=click.Path(path_type=Path), help="sample: the run.c of a llama2.c, to be compiled.")
@click.option("--run", help="sample: a trained run's weights instead of fresh ones; its text can be guessed ahead.")
@click.option("--in-time", is_flag=True, help="train: the preset minutes for as long as nanoGPT's CPU recipe takes.")
@click.option("--peer-recipe", type=float, help="train: nanoGPT's own CPU recipe at this rate.")
@click.option("--peer-steps", default=2000, help="Its steps.")
@click.option("--seconds", default=6.0, help="live: length of one block.")
@JSON
def bench(
    what: str,
    config: str,
    to: float | None,
    seeds: int,
    batch: int | None,
    rounds: int,
    beside: Path | None,
    beside_c: Path | None,
    run: str | None,
    in_time: bool,
    peer_recipe: float | None,
    peer_steps: int,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure on this machine: training steps, writing, what the open page costs; all writes docs/benchmarks.md."""
    from core.bench import live, report, sample, train
    from core.bench.ingredients import ingredients

    if what == "ingredients":
        result: dict[str, Any] = {row["ingredient"]: row for row in ingredients(seeds)}
    elif what == "live":
        result = live.live(blocks=rounds, seconds=seconds)
    elif what == "all":
        result = report.write(seeds=seeds, rounds=rounds, beside=beside)
    elif what == "sample":
        rung = config if config in SHIPPED else "transformer"
        preset = get(rung).ships if config in SHIPPED else train.preset_of(config)
        result = sample.sample(rung, preset, texts=(1, 16), rounds=rounds, beside=beside, beside_c=beside_c, run=run)
    elif beside is None and (in_time or peer_recipe is not None):
        raise BardlabError("--in-time and --peer-recipe need --beside with the folder of a nanoGPT")
    elif beside is not None and in_time:
        result = train.in_time(beside, seeds=seeds, rounds=rounds)
    elif beside is not None and peer_recipe is not None:
        result = train.peer_recipe(beside, peak=peer_recipe, steps=peer_steps, seed=1337)
    else:
        result = train.train(train.preset_of(config), to=to, seeds=seeds, rounds=rounds, batch=batch, beside=beside)
    say(result, as_json, "\n".join(f"{key}: {value}" for key, value in result.items()))
