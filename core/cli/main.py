"""The command line. Every command has `--json`; bad input ends in one line on standard error and exit status 2."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from tqdm import tqdm

from core import files
from core.cli import studies
from core.cli.bench import bench
from core.cli.output import JSON, as_json_line, prepare
from core.cli.output import assigned as _assigned
from core.cli.output import line as _line
from core.cli.output import say as _say
from core.cli.output import summary as _summary
from core.errors import BardlabError
from core.ladder import registry
from core.runs import editing, reading, records
from core.runs.folder import State
from core.runs.state import Run
from core.sampling import SamplingConfig
from core.settings import Settings
from core.studies.report_words import Words
from core.texts.labels import harmless

WEIGHTS = click.option(
    "--step", "weights", help="Which weights: the step of a snapshot, or best; the newest by default."
)

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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Train and inspect the language models of the ladder, from the bigram to the Transformer."""


@cli.command("stages")
@JSON
def list_stages(as_json: bool) -> None:
    """List the rungs with their parameters and presets."""
    from core.ladder import cost
    from core.texts.corpus import load

    vocab = load().tokenizer.size
    rows: list[dict[str, Any]] = []
    for rung in registry.RUNGS.values():
        presets = {}
        for name, preset in rung.presets.items():
            model, train = rung.settings(name, {}, {})
            count = cost.cost(rung, model, train, vocab).parameters
            presets[name] = {"parameters": count, "steps": train.steps, "help": preset.help}
        rows.append({"stage": rung.key, "title": rung.title, "paper": rung.paper, "presets": presets})
    lines = []
    for row in rows:
        lines.append(f"{row['stage']}: {registry.get(row['stage']).idea} ({row['paper']})")
        lines += [f"  {n:<10} {p['parameters']:>11,} parameters  {p['help']}" for n, p in row["presets"].items()]
    _say(rows, as_json, "\n".join(lines))
    for problem in registry.PROBLEMS:
        click.echo(problem, err=True)


@cli.command()
@click.argument("rung")
@click.option("--preset", help="A named choice of settings to start from (see: stages); the first by default.")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change a setting, e.g. model.n_head=4."
)
@click.option("--seed", type=int, help="Short for --set train.seed=N.")
@click.option("--device", default="auto", help="auto, cpu, cuda, one GPU of several such as cuda:1, or mps.")
@click.option("--force", is_flag=True, help="Start even if the memory is likely not to suffice.")
@click.option("--name", help="What to call the run.")
@click.option("--text", default="tinyshakespeare", help="The text to learn from: a name or title (see: texts).")
@click.option("--detach", is_flag=True, help="Start a background job and return at once.")
@JSON
def train(
    rung: str,
    preset: str | None,
    assignments: Sequence[str],
    seed: int | None,
    device: str,
    force: bool,
    name: str | None,
    text: str,
    detach: bool,
    as_json: bool,
) -> None:
    """Train a rung, showing progress; Ctrl-C stops and keeps the weights."""
    from core.jobs import control, timing, work
    from core.runs import plan as runs_plan
    from core.texts import corpus as texts_corpus
    from core.texts import own
    from core.training import devices

    values = _assigned(assignments)
    if seed is not None:
        values["train.seed"] = seed
    model, train_values = runs_plan.split_settings(values)
    preset = preset or registry.get(rung).default_preset
    plan = runs_plan.plan(
        rung, preset=preset, model=model, train=train_values, device=device, corpus_name=own.find(text)
    )
    length, kind = len(texts_corpus.load(plan.corpus).text), devices.resolve(device).type
    if not force and (short := timing.shortage(plan, kind, length)):
        raise BardlabError(f"{short}, or give --force")
    run = editing.create(plan.model_copy(update={"memory_needed": timing.total_bytes(plan, kind, length)}))
    if name:
        try:
            run = editing.rename(run, name)
        except BardlabError:
            editing.delete(run)
            raise
    run = control.start(run) if detach else work.work(run.path)
    _finish(run, as_json)


def _finish(run: Run, as_json: bool) -> None:
    """Print how a run ended; a failed one makes the command fail."""
    if run.state is State.FAILED:
        if as_json:
            click.echo(as_json_line(_summary(run)))
        raise BardlabError(f"{run.slug} failed: {run.status.message}")
    _say(_summary(run), as_json, _line(run))


@cli.command("runs")
@JSON
def list_runs(as_json: bool) -> None:
    """List all runs, newest first, then those that ship with the product."""
    found = reading.list_runs(shipped=True)
    text = "\n".join(_line(run) for run in found) or "no runs yet; train one with: python -m core train bigram"
    _say([_summary(run) for run in found], as_json, text)


@cli.command()
@click.argument("run")
@JSON
def show(run: str, as_json: bool) -> None:
    """Show one run: its settings, its state and the text it wrote last."""
    found = reading.find(run)
    config = found.config.model_dump() if found.config else None
    written = records.samples(found.path)
    lines = [_line(found), f"folder: {found.path}"]
    if found.config:
        settings = {f"model.{k}": v for k, v in found.config.model.items()}
        settings |= {f"train.{k}": v for k, v in found.config.train.model_dump().items()}
        lines += [f"  {key} = {value!r}" for key, value in settings.items()]
    if written:
        lines += [f"sample at step {written[-1].step}:", written[-1].text]
    _say({**_summary(found), "config": config, "path": str(found.path)}, as_json, "\n".join(lines))


@cli.command()
@click.argument("run")
@JSON
def stop(run: str, as_json: bool) -> None:
    """Stop a run after its step; its weights are kept."""
    from core.jobs import control

    found = control.wait(control.stop(reading.find(run)), 60.0)
    _say(_summary(found), as_json, _line(found))


@cli.command()
@click.argument("run")
@click.option("--at", "step", default=0, type=click.IntRange(0), help="Pause once so many steps are taken; 0: at once.")
@JSON
def pause(run: str, step: int, as_json: bool) -> None:
    """Hold a run still, in memory; continue or step goes on."""
    from core.jobs import control

    found = control.pause(reading.find(run), step)
    if step <= found.status.step:
        found = control.wait_for_state(found, State.PAUSED, 60.0)
    _say(_summary(found), as_json, _line(found))


@cli.command("continue")
@click.argument("run")
@JSON
def continue_(run: str, as_json: bool) -> None:
    """Let a paused run go on."""
    from core.jobs import control

    found = control.wait_for_state(control.proceed(reading.find(run)), State.RUNNING, 5.0)
    _say(_summary(found), as_json, _line(found))


@cli.command()
@click.argument("run")
@click.option("--steps", default=1, type=click.IntRange(1), help="How many steps to take; one by default.")
@JSON
def step(run: str, steps: int, as_json: bool) -> None:
    """Let a paused run take a step and pause again."""
    from core.jobs import control

    before = reading.find(run)
    found = control.single_step(before, steps)
    until = time.monotonic() + 600.0
    while found.state.active and found.status.step < before.status.step + steps and time.monotonic() < until:
        time.sleep(0.05)
        found = reading.read(found.path)
    found = control.wait_for_state(found, State.PAUSED, 60.0)
    _say(_summary(found), as_json, _line(found))


@cli.command("set")
@click.argument("run")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@JSON
def set_(run: str, assignments: Sequence[str], as_json: bool) -> None:
    """Change the learning rate of a run under way: train.learning_rate=0.001."""
    from core.jobs import control
    from core.runs import plan as runs_plan

    model, train_values = runs_plan.split_settings(_assigned(assignments))
    if model:
        raise BardlabError(f"model.{next(iter(model))} cannot be changed while a run is under way; start a new run")
    found = control.change(reading.find(run), train_values)
    _say({**_summary(found), "changed": train_values}, as_json, f"{found.slug}: {', '.join(assignments)}")


@cli.command()
@click.argument("run", required=False)
@click.option("--first", is_flag=True, help="Move RUN to the front.")
@click.option("--up", is_flag=True, help="Move RUN forward by one place.")
@click.option("--down", is_flag=True, help="Move RUN back by one place.")
@JSON
def queue(run: str | None, first: bool, up: bool, down: bool, as_json: bool) -> None:
    """List the runs that wait for a device, in their order, or move one of them."""
    from core.jobs import queue as jobs_queue

    moves = [places for places, asked in ((1_000_000, first), (1, up), (-1, down)) if asked]
    if len(moves) > 1 or bool(moves) != bool(run):
        raise BardlabError("name a run and one of --first, --up and --down, or nothing to list the queue")
    if run:
        jobs_queue.move(reading.find(run), moves[0])
    line = jobs_queue.queue()
    text = "\n".join(f"{place:>3}  {_line(waiting)}" for place, waiting in enumerate(line, 1)) or "no run is waiting"
    _say([_summary(waiting) for waiting in line], as_json, text)


@cli.command()
@click.argument("run")
@JSON
def resume(run: str, as_json: bool) -> None:
    """Go on with a stopped, failed or lost run where it was."""
    from core.jobs import control, work

    _finish(work.work(control.claim(reading.find(run)).path), as_json)


@cli.command()
@click.argument("run")
@click.argument("name")
@JSON
def rename(run: str, name: str, as_json: bool) -> None:
    """Give a run another name."""
    found = editing.rename(reading.find(run), name)
    _say(_summary(found), as_json, f"{found.slug} is now called {found.name}")


@cli.command()
@click.argument("run")
@JSON
def delete(run: str, as_json: bool) -> None:
    """Delete a run and everything in it."""
    found = reading.find(run)
    editing.delete(found)
    _say({"run": found.slug, "deleted": True}, as_json, f"deleted {found.slug}")


def _which(weights: str | None) -> Any:
    """Read the option of the weights to use."""
    if weights is None or weights == "best":
        return weights
    if not weights.isdecimal():
        raise BardlabError(f"--step {weights!r} is neither a step nor best")
    return int(weights)


@cli.command()
@click.argument("run")
@WEIGHTS
@DEVICE
@JSON
def evaluate(run: str, weights: str | None, device: str, as_json: bool) -> None:
    """Measure the validation loss over the whole split, in nats and bits per character."""
    from core.evaluation import evaluate as measure
    from core.runs import checkpoints
    from core.texts.corpus import load
    from core.training import devices

    found = reading.find(run)
    config = found.need()
    corpus = load(config.corpus)
    model, tokenizer = checkpoints.load_model(found, _which(weights))
    if tokenizer.chars != corpus.tokenizer.chars:
        raise BardlabError(f"{found.slug} was trained on another alphabet than that of {corpus.name}")
    result = devices.reporting(lambda place: measure(model.to(place), corpus.val_ids.to(place)), device)
    text = f"{result.loss:.6f} nats per character, {result.bits:.6f} bits, over {result.predictions:,} predictions"
    if result.impossible:
        text += f"; infinite because {result.impossible} pairs of the text have no probability: use smoothing above 0"
    answer = {"run": found.slug, "val_loss": result.loss, "bits_per_character": result.bits}
    answer |= {"predictions": result.predictions, "impossible": result.impossible}
    _say(answer, as_json, text)


@cli.command()
@click.argument("run")
@click.option(
    "--prompt",
    help="Text to go on from, in which \\n is a line break; a line break by default, or how the run's text begins.",
)
@_options_of(SamplingConfig)
@WEIGHTS
@DEVICE
@JSON
def sample(run: str, prompt: str | None, weights: str | None, device: str, as_json: bool, **settings: Any) -> None:
    """Write text with a trained run."""
    from core.runs import checkpoints
    from core.runs.openings import openings
    from core.sampling import generate
    from core.training import devices

    config = SamplingConfig.parse(settings)
    found = reading.find(run)
    model, tokenizer = checkpoints.load_model(found, _which(weights))
    model = devices.reporting(model.to, device)
    if prompt is None:
        prompt = openings(found).line if tokenizer.unknown("\n") else "\n"
    prompt = tokenizer.meant(prompt)
    if not prompt:
        raise BardlabError("the prompt is empty; give at least one character, such as a line break")
    ids = tokenizer.encode(prompt)
    if as_json:
        text = tokenizer.decode(choice.id for choice in generate(model, ids, config, fast=True))
        _say({"run": run, "prompt": prompt, "text": text, **config.model_dump()}, True, "")
        return
    click.echo(harmless(prompt), nl=False)
    for choice in generate(model, ids, config, fast=True):
        click.echo(harmless(tokenizer.decode([choice.id])), nl=False)
        sys.stdout.flush()
    click.echo()


@cli.command()
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
    from core.inspect import price_list
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
    _say(answer, as_json, "\n".join(lines))


@cli.command()
@click.argument("rung", nargs=-1)
@JSON
def pretrain(rung: tuple[str, ...], as_json: bool) -> None:
    """Train the runs that ship, or go on with them, and put them beside the product; all rungs if none is named."""
    from core.studies.shipping import pretrain as train_and_publish
    from core.studies.shipping import write_figures

    for key in rung or tuple(registry.RUNGS):
        run = train_and_publish(registry.get(key), lambda line: click.echo(line, err=True))
        _say(_summary(run), as_json, _line(run))
    write_figures()


@cli.command("import")
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
    _say(_summary(run), as_json, _line(run))


@cli.command()
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
    _say({"run": found.slug, "what": what, "path": str(file)}, as_json, str(file))


for command in (*studies.COMMANDS, bench):
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
