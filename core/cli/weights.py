"""Commands that use what a run has learned: measure it, write with it, take it out and bring it in."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
from tqdm import tqdm

from core.cli.output import JSON, line, say, summary
from core.errors import BardlabError
from core.runs import reading
from core.runs.folder import State
from core.runs.state import Run
from core.sampling import SamplingConfig
from core.settings import Settings
from core.studies.report_words import Words
from core.texts.labels import harmless

WEIGHTS = click.option("--step", "which", help="Which weights: the step of a snapshot, or best; the newest by default.")

DEVICE = click.option(
    "--device", default="cpu", help="Where to compute: cpu, auto, cuda, cuda:1 or mps; the CPU by default."
)


def _options_of(config: type[Settings]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn each field of a configuration into an option with its help and default."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        for field in reversed(config.fields()):
            name = f"--{field.name.replace('_', '-')}"
            function = click.option(name, field.name, default=field.default, type=str, help=field.help)(function)
        return function

    return add


def _which(which: str | None) -> Any:
    """Read the option of the weights to use."""
    if which is None or which == "best":
        return which
    if not which.isdecimal():
        raise BardlabError(f"--step {which!r} is neither a step nor best")
    return int(which)


def _evaluate_rounded(run: str, which: str | None, as_json: bool) -> None:
    from core.studies import rounding

    found = reading.find(run)
    losses = rounding.losses(found, _which(which))
    say({"run": found.slug, "val_loss": losses.model_dump()}, as_json, losses.told())


@click.command()
@click.argument("run")
@WEIGHTS
@click.option("--rounded", is_flag=True, help="With weights rounded to bfloat16 too, on the CPU; kept once measured.")
@DEVICE
@JSON
def evaluate(run: str, which: str | None, rounded: bool, device: str, as_json: bool) -> None:
    """Measure the validation loss over the whole split, in nats and bits per character."""
    if rounded:
        _evaluate_rounded(run, which, as_json)
        return
    from core.evaluation import evaluate as measure
    from core.runs import checkpoints
    from core.texts.corpus import load
    from core.training import devices

    found = reading.find(run)
    config = found.need()
    corpus = load(config.corpus)
    model, tokenizer = checkpoints.load_model(found, _which(which))
    if tokenizer.chars != corpus.tokenizer.chars:
        raise BardlabError(f"{found.slug} was trained on another alphabet than that of {corpus.name}")
    result = devices.reporting(lambda place: measure(model.to(place), corpus.val_ids.to(place)), device)
    text = f"{result.loss:.6f} nats per character, {result.bits:.6f} bits, over {result.predictions:,} predictions"
    if result.impossible:
        text += f"; infinite because {result.impossible} pairs of the text have no probability: use smoothing above 0"
    answer = {"run": found.slug, "val_loss": result.loss, "bits_per_character": result.bits}
    answer |= {"predictions": result.predictions, "impossible": result.impossible}
    say(answer, as_json, text)


@click.command()
@click.argument("run")
@click.option(
    "--prompt",
    help="Text to go on from, in which \\n is a line break; a line break by default, or how the run's text begins.",
)
@_options_of(SamplingConfig)
@WEIGHTS
@DEVICE
@JSON
def sample(run: str, prompt: str | None, which: str | None, device: str, as_json: bool, **settings: Any) -> None:
    """Write text with a trained run.

    With --weights bfloat16, what `evaluate RUN --rounded` measured is told beside it.
    """
    from core.runs import checkpoints
    from core.runs.openings import openings
    from core.sampling import generate
    from core.studies import rounding
    from core.training import devices

    config = SamplingConfig.parse(settings)
    found = reading.find(run)
    model, tokenizer = checkpoints.load_model(found, _which(which))
    model = devices.reporting(model.to, device)
    if prompt is None:
        prompt = openings(found).line if tokenizer.unknown("\n") else "\n"
    prompt = tokenizer.meant(prompt)
    if not prompt:
        raise BardlabError("the prompt is empty; give at least one character, such as a line break")
    ids = tokenizer.encode(prompt)
    losses = rounding.known(found, _which(which)) if config.weights == "bfloat16" else None
    if as_json:
        text = tokenizer.decode(choice.id for choice in generate(model, ids, config, fast=True))
        told = {} if losses is None else {"val_loss": losses.model_dump()}
        say({"run": run, "prompt": prompt, "text": text, **config.model_dump(), **told}, True, "")
        return
    if losses is not None:
        click.echo(losses.told(), err=True)
    elif config.weights == "bfloat16":
        click.echo(f"evaluate {found.slug} --rounded measures what rounding costs this model", err=True)
    click.echo(harmless(prompt), nl=False)
    for choice in generate(model, ids, config, fast=True):
        click.echo(harmless(tokenizer.decode([choice.id])), nl=False)
        sys.stdout.flush()
    click.echo()


@click.command()
@click.argument("run")
@click.option("--step", type=click.IntRange(0), help="The weights of a snapshot's step; the newest by default.")
@click.option(
    "--method",
    type=click.Choice(["mean", "zero"]),
    default="mean",
    help="What a part that is off hands on: its mean over the evaluation set, or zero.",
)
@JSON
def rank(run: str, step: int | None, method: Literal["mean", "zero"], as_json: bool) -> None:
    """Measure what each part of a model is worth: the loss without it; Ctrl-C keeps what is measured."""
    from core.inspect.interventions import price_list
    from core.jobs import rankings

    found = reading.find(run)
    with tqdm(
        total=100,
        unit="%",
        desc="waiting for the device",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
    ) as bar:

        def show(job: rankings.Ranking) -> None:
            bar.set_description_str(job.message)
            bar.update(100 * job.share - bar.n)

        ended = rankings.work(found, step, method, show)
    listed = price_list.read(found, step, method)
    if ended and ended.state in (State.FAILED, State.LOST) and not (listed and listed.whole):
        why = ended.message if ended.state is State.FAILED else "its process died; rank again to go on"
        raise BardlabError(f"the ranking of {found.slug} {ended.state}: {why}")
    if listed is None:
        raise BardlabError(f"the ranking of {found.slug} was cancelled before its first prices; rank again to go on")
    rows = sorted(listed.parts.items(), key=lambda item: -item[1].delta)
    lines = [f"loss {listed.base:.4f} nats per character on {listed.windows} of {listed.of} windows, {method} ablation"]
    lines += [f"{key:<12} {price.delta:+.5f} ± {price.se:.5f}" for key, price in rows]
    answer: dict[str, Any] = {
        "run": found.slug,
        "step": step,
        "method": method,
        "loss": listed.base,
        "windows": listed.windows,
    }
    answer |= {"of": listed.of, "parts": {key: {"delta": price.delta, "se": price.se} for key, price in rows}}
    say(answer, as_json, "\n".join(lines))


@click.command("import")
@click.argument("file", type=click.Path())
@click.option("--name", help="What to call the run; by default what the file is called.")
@click.option("--text", help="The text that bare weights were trained on: a name or title (see: texts).")
@DEVICE
@JSON
def import_file(file: str, name: str | None, text: str | None, device: str, as_json: bool) -> None:
    """Make a run of an exported run (.zip) or of weights (.pth, .pt, .safetensors); nothing in it is executed.

    Weights may be the reference GPT's or its bigram's, a checkpoint of nanoGPT, or those of a run of this lab.
    """
    from core.exchange.import_process import bring_in

    run = bring_in(file, name, text=text, device=device)
    say(summary(run), as_json, line(run))


@click.command()
@click.argument("run")
@click.option("--out", type=click.Path(), help="A folder to write into, made if need be; by default in the run's own.")
@click.option(
    "--what",
    type=click.Choice(["plot", "csv", "config", "report", "weights", "pth", "zip"]),
    default="plot",
    help="plot: the curves as a PNG; csv: the curves as a table; config: the settings as JSON; report: a lab report in "
    "one HTML file; weights: as safetensors; pth: as the reference GPT's state dict; zip: the whole run.",
)
@_options_of(Words)
@JSON
def export(run: str, out: str | None, what: str, as_json: bool, **said: str) -> None:
    """Write a run's curves, settings, weights, a report, or all of it, for use elsewhere.

    What --title, --author, --question, --guess and --conclusion say stands in a report.
    """
    from core.exchange import archive
    from core.exchange import export as exchange_export
    from core.exchange import weights as exchange_weights
    from core.studies import report

    words = Words.parse(said)
    found = reading.find(run)
    stem = found.path.name
    write: dict[str, tuple[str, Callable[[Run, Path | None], Path]]] = {
        "plot": (f"{stem}.png", exchange_export.training_plot),
        "csv": (f"{stem}.csv", exchange_export.curves_csv),
        "config": (f"{stem}.json", exchange_export.config_json),
        "report": (f"{stem}.html", lambda run, target: report.lab_report([run], target, words)),
        "weights": (f"{stem}.safetensors", exchange_export.weights),
        "pth": (f"{stem}.pth", exchange_weights.export_pth),
        "zip": (f"{stem}.zip", archive.export_run),
    }
    name, written = write[what]
    file = written(found, Path(out).expanduser() / name if out else None)
    say({"run": found.slug, "what": what, "path": str(file)}, as_json, str(file))


COMMANDS = (evaluate, sample, rank, import_file, export)
