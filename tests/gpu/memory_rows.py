"""Rows about memory: the estimate, running out of it, who holds it while waiting, the server."""

import os
import time
from typing import Any

import torch

from core.evaluation import evaluate
from core.jobs import control, processes, work
from core.jobs.timing import synchronise
from core.ladder import cost
from core.ladder.registry import RUNGS
from core.models import memory
from core.runs import editing, plan, reading, state
from core.runs.folder import State
from core.texts.corpus import load
from tests.gpu.setting import Setting, used_by_process

CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("transformer", "reference", {}),
    ("transformer", "best", {}),
    ("mlp", "best", {}),
    ("residual", "minutes", {"context": 64, "d_embed": 128}),
)


def estimate(s: Setting) -> dict[str, Any]:
    """E1: the memory shown against what the allocator counted, training and evaluation apart."""
    corpus, table, held = load(), {}, True
    for rung, preset, sizes in CASES:
        model, train = s.settings(rung, preset, {} if s.rehearse else sizes, short_first=0.0, compile="off")
        shown = cost.cost(RUNGS[rung], model, train, 65, s.device.type, len(corpus.text)).memory_bytes
        row: dict[str, float] = {"shown MB": shown / 1e6}
        if s.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        trainer = s.trainer(rung, preset, {} if s.rehearse else sizes, short_first=0.0, compile="off")
        for _ in range(3):
            trainer.step()
        synchronise(s.device)
        if s.device.type == "cuda":
            row["training MB"] = torch.cuda.max_memory_allocated() / 1e6
            torch.cuda.reset_peak_memory_stats()
        evaluate(trainer.model, corpus.val_ids[: s.count(111_540, 500)].to(s.device))
        if s.device.type == "cuda":
            row["evaluation MB"] = torch.cuda.max_memory_allocated() / 1e6
            row["reserved MB"] = torch.cuda.max_memory_reserved() / 1e6
            row["of the process MB"] = used_by_process(os.getpid()).get(os.getpid(), float("nan"))
            row["ratio"] = row["shown MB"] / max(row["training MB"], row["evaluation MB"])
            held &= 0.8 <= row["ratio"] <= 1.2
        table[f"{rung}/{preset}"] = row
        del trainer
    return {"ok": held, "memory": table}


def _run(s: Setting, batch: int, **train: Any) -> state.Run:
    model, settings = s.settings("transformer", "reference", batch_size=batch, eval_every=10_000, **train)
    changes = settings.model_dump()
    return editing.create(plan.plan("transformer", model=model.model_dump(), train=changes, device=s.device.type))


def _ballast(s: Setting, left: float) -> torch.Tensor | None:
    if s.device.type != "cuda":
        return None
    torch.cuda.empty_cache()
    take = int(torch.cuda.mem_get_info()[0] - left)
    return torch.empty(max(1, take), dtype=torch.uint8, device=s.device)


def _goes(s: Setting, batch: int) -> bool:
    try:
        trainer = s.trainer("transformer", "reference", batch_size=batch, compile="off")
        for _ in range(3):
            trainer.step()
        synchronise(s.device)
        return True
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
        memory.let_go(error)
        return False
    finally:
        memory.release(s.device)


def out_of_memory(s: Setting) -> dict[str, Any]:
    """E2: a batch too large on a full GPU, the batch that its message names, and an evaluation without room."""
    left = 3e9
    ballast = _ballast(s, left)
    run = work.work(_run(s, s.count(1024, 4), steps=s.count(5, 2), compile="off").path)
    message = run.status.message
    named = message.partition("about ")[2].partition(" ")[0]
    fits = int(named) if named.isdigit() else 0
    found: dict[str, Any] = {"state": str(run.state), "message": message, "named": fits}
    if s.rehearse:
        fits = 2
    found["it runs"] = bool(fits) and _goes(s, fits)
    found["more than twice as many run"] = bool(fits) and _goes(s, 2 * fits + 1)
    del ballast
    ballast = _ballast(s, 0.8e9)
    try:
        small = s.trainer("mlp", "seconds", compile="off")
        found["evaluation loss"] = evaluate(small.model, load().val_ids[: s.count(111_540, 500)].to(s.device)).loss
        found["evaluation"] = "done"
    except Exception as error:
        found["evaluation"] = f"{type(error).__name__}: {error}"[:200]
    del ballast
    held = run.state is State.FAILED and found["it runs"] and not found["more than twice as many run"]
    return {"ok": s.rehearse or (held and found["evaluation"] == "done"), **found}


def waiters(s: Setting) -> dict[str, Any]:
    """E3: one run, four that wait, one paused, one spare: who holds GPU memory?"""
    processes._probed = True  # nobody times the machine or compiles beside it
    processes.warm()
    time.sleep(s.count(6, 1))
    made = [_run(s, s.count(16, 4), steps=s.count(100_000, 60_000), compile="off") for _ in range(s.count(5, 2))]
    try:
        first = control.start(made[0])
        control.wait_for_state(first, State.RUNNING, 60)
        control.pause(first)
        control.wait_for_state(first, State.PAUSED, 60)
        started = [control.start(run) for run in made[1:]]
        control.wait_for_state(started[0], State.RUNNING, 60)
        time.sleep(s.count(3, 1))
        used = used_by_process()
        now = [reading.read(run.path) for run in made]
        rows = {str(run.state) + f" {i}": used.get(run.status.pid or 0, 0.0) for i, run in enumerate(now)}
        spare = processes.spare_pid()
        rows["spare"] = used.get(spare, 0.0) if spare else 0.0
        rows["this"] = used.get(os.getpid(), 0.0)
    finally:
        for run in made:
            if reading.read(run.path).state.active:
                control.stop(reading.read(run.path))
        for run in made:
            control.wait(run, 30)
    hungry = [who for who, mb in rows.items() if who.startswith("queued") and mb > 50]
    return {"ok": not hungry, "MB": rows, "states": [str(run.state) for run in now]}


SERVER = """
import json, os, torch
from core.jobs import timing
from core.ladder.cost import cost
from core.ladder.registry import RUNGS
from core.runs import checkpoints, reading
from core.training import devices
device = devices.resolve("auto")
rung = RUNGS["transformer"]
cost(rung, *rung.settings("seconds", {}, {}), 65, device.type)
timing.best_device()
found = [run for run in reading.list_runs(shipped=True) if run.usable]
if found:
    checkpoints.load_model(found[0])
before = torch.cuda.is_initialized()
print(json.dumps({"device": str(device), "models": len(found), "initialised": before}))
"""


def server(s: Setting) -> dict[str, Any]:
    """E4: what a page's server does, in a fresh process: does it touch the GPU?"""
    found = s.child(SERVER)
    return {"ok": not found["initialised"], **found}
