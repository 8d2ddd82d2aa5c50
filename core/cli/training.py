"""Commands that train, and that steer a run under way or waiting."""

import time
from collections.abc import Sequence

import click

from core.cli.output import JSON, as_json_line, assigned, line, say, summary
from core.errors import BardlabError
from core.ladder import registry
from core.runs import editing, reading
from core.runs.folder import State
from core.runs.state import Run


@click.command()
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
    from core.jobs.launchers import launcher
    from core.runs import plan as runs_plan
    from core.texts import corpus as texts_corpus
    from core.texts import own

    values = assigned(assignments)
    if seed is not None:
        values["train.seed"] = seed
    model, train_values = runs_plan.split_settings(values)
    preset = preset or registry.get(rung).default_preset
    plan = runs_plan.plan(
        rung, preset=preset, model=model, train=train_values, device=device, corpus_name=own.find(text)
    )
    there = launcher.chosen()
    length, kind = len(texts_corpus.load(plan.corpus).text), there.device(device, plan.train.devices).partition(":")[0]
    if not force and (short := timing.shortage(plan, kind, length)):
        raise BardlabError(f"{short}, or give --force")
    run = editing.create(plan.model_copy(update={"memory_needed": timing.total_bytes(plan, kind, length)}))
    if name:
        try:
            run = editing.rename(run, name)
        except BardlabError:
            editing.delete(run)
            raise
    run = control.start(run) if detach or not there.here else work.work(run.path)
    _finish(run if detach else control.follow(run), as_json)


def _finish(run: Run, as_json: bool) -> None:
    """Print how a run ended; a failed one makes the command fail."""
    if run.state is State.FAILED:
        if as_json:
            click.echo(as_json_line(summary(run)))
        raise BardlabError(f"{run.slug} failed: {run.status.message}")
    say(summary(run), as_json, line(run))


@click.command()
@click.argument("run")
@JSON
def stop(run: str, as_json: bool) -> None:
    """Stop a run after its step; its weights are kept."""
    from core.jobs import control

    found = control.wait(control.stop(reading.find(run)), 60.0)
    say(summary(found), as_json, line(found))


@click.command()
@click.argument("run")
@click.option("--at", "step", default=0, type=click.IntRange(0), help="Pause once so many steps are taken; 0: at once.")
@JSON
def pause(run: str, step: int, as_json: bool) -> None:
    """Hold a run still, in memory; continue or step goes on."""
    from core.jobs import control

    found = control.pause(reading.find(run), step)
    if step <= found.status.step:
        found = control.wait_for_state(found, State.PAUSED, 60.0)
    say(summary(found), as_json, line(found))


@click.command("continue")
@click.argument("run")
@JSON
def continue_(run: str, as_json: bool) -> None:
    """Let a paused run go on."""
    from core.jobs import control

    found = control.wait_for_state(control.proceed(reading.find(run)), State.RUNNING, 5.0)
    say(summary(found), as_json, line(found))


@click.command()
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
    say(summary(found), as_json, line(found))


@click.command("set")
@click.argument("run")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@JSON
def set_(run: str, assignments: Sequence[str], as_json: bool) -> None:
    """Change the learning rate of a run under way: train.learning_rate=0.001."""
    from core.jobs import control
    from core.runs import plan as runs_plan

    model, train_values = runs_plan.split_settings(assigned(assignments))
    if model:
        raise BardlabError(f"model.{next(iter(model))} cannot be changed while a run is under way; start a new run")
    found = control.change(reading.find(run), train_values)
    say({**summary(found), "changed": train_values}, as_json, f"{found.slug}: {', '.join(assignments)}")


@click.command()
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
    waiting = jobs_queue.queue()
    text = "\n".join(f"{place:>3}  {line(each)}" for place, each in enumerate(waiting, 1)) or "no run is waiting"
    say([summary(each) for each in waiting], as_json, text)


@click.command()
@click.argument("run")
@JSON
def resume(run: str, as_json: bool) -> None:
    """Go on with a stopped, failed or lost run where it was."""
    from core.jobs import control

    _finish(control.work(reading.find(run)), as_json)


@click.command("train-on")
@click.argument("run")
@click.option("--steps", required=True, type=click.IntRange(1), help="How many steps more.")
@click.option("--text", help="Another text (see: texts): then a new run begins with the weights of RUN.")
@click.option(
    "--rate",
    "afterwards",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of the learning rate beyond the end of the run's schedule; by default that of its last step.",
)
@click.option("--detach", is_flag=True, help="Start a background job and return at once.")
@JSON
def train_on(run: str, steps: int, text: str | None, afterwards: float, detach: bool, as_json: bool) -> None:
    """Train a run that has ended for some steps more, with its optimiser; on another text, as a new run."""
    from core.jobs import control
    from core.runs import beginnings
    from core.texts import own

    found = beginnings.train_on(reading.find(run), steps, text=own.find(text) if text else None, afterwards=afterwards)
    if said := beginnings.told(found):
        click.echo(said, err=True)
    _finish(control.start(found) if detach else control.work(found), as_json)


@click.command()
@click.argument("rung", nargs=-1)
@JSON
def pretrain(rung: tuple[str, ...], as_json: bool) -> None:
    """Train the runs that ship, or go on with them, and put them beside the product; all rungs if none is named."""
    from core.studies.shipping import pretrain as train_and_publish
    from core.studies.shipping import write_figures

    for key in rung or tuple(registry.RUNGS):
        run = train_and_publish(registry.get(key), lambda message: click.echo(message, err=True))
        say(summary(run), as_json, line(run))
    write_figures()


COMMANDS = (train, stop, pause, continue_, step, set_, queue, resume, train_on, pretrain)
