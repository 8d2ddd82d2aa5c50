"""Rows about sameness: a resumed run, the same run twice, the GPU against the CPU."""

import shutil
from typing import Any

import torch

from core.evaluation import evaluate
from core.runs import checkpoints, reading
from core.texts.corpus import load
from tests.gpu import inspect_rows
from tests.gpu.setting import Setting

WAYS: dict[str, dict[str, Any]] = {
    "eager AdamW": {"compile": "off"},
    "default AdamW": {},
    "Muon, short first": {"optimizer": "muon", "short_first": 0.7},
    "float32": {"precision": "float32", "compile": "off"},
    "no dropout": {"model": {"dropout": 0.0}, "compile": "off"},
}
GO_ON = """
import json, sys, torch
from pathlib import Path
from core.runs.checkpoints import load_trainer_state
from tests.gpu.exact_rows import WAYS, trained
from tests.gpu.setting import Setting
s = Setting(Path({out!r}), None, {rehearse})
trainer, loss = trained(s, {way!r}, {steps}, Path({folder!r}))
state = trainer.state_dict()
torch.save({{"state": state, "loss": loss, "batch": trainer.batch()[0].cpu()}}, {result!r})
print(json.dumps({{"done": trainer.done}}))
"""


def trained(s: Setting, way: str, steps: int, resume: Any = None) -> tuple[Any, float]:
    """Train the preset `minutes` in one of the ways up to a step, going on from a folder if one is given."""
    settings = dict(WAYS[way])
    trainer = s.trainer("transformer", "minutes", settings.pop("model", {"dropout": 0.2}), steps=60, **settings)
    if resume is not None:
        assert checkpoints.restore(resume, trainer) is not None
    trainer.prepare()
    loss = float("nan")
    while trainer.done < steps:
        loss = float(trainer.step())
    return trainer, loss


def largest_difference(a: Any, b: Any) -> float:
    """The largest difference between any two numbers of two nested states."""
    if isinstance(a, torch.Tensor):
        a, b = a.detach().cpu(), b.detach().cpu()
        if a.shape != b.shape:
            return float("inf")
        return float((a.double() - b.double()).abs().max()) if a.numel() else 0.0
    if isinstance(a, dict):
        return max((largest_difference(a[k], b[k]) for k in a if k not in ("seconds", "evaluated")), default=0.0)
    if isinstance(a, list | tuple):
        return max((largest_difference(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    return abs(a - b) if isinstance(a, int | float) and not isinstance(a, bool) else 0.0


def resume(s: Setting) -> dict[str, Any]:
    """F: 60 steps in one go against 30, saved, and 30 more in a fresh process; and the same run twice."""
    rows, exact = {}, True
    for way in list(WAYS)[: s.count(5, 4) : s.count(1, 2)]:
        whole, loss = trained(s, way, 60)
        again, _ = trained(s, way, 60)
        half, _ = trained(s, way, 30)
        folder, result = s.out / "half", s.out / "half.pt"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        checkpoints.write(folder, checkpoints.take(half))
        code = GO_ON.format(
            out=str(s.out), rehearse=s.rehearse, way=way, steps=60, folder=str(folder), result=str(result)
        )
        s.child(code, 90)
        kept = torch.load(result, map_location="cpu", weights_only=True)
        mine = whole.state_dict()
        row = {
            "weights": largest_difference(mine["model"], kept["state"]["model"]),
            "optimiser": largest_difference(mine["optimizers"], kept["state"]["optimizers"]),
            "loss": abs(loss - kept["loss"]),
            "next batch": largest_difference(whole.batch()[0], kept["batch"]),
            "run to run": largest_difference(mine["model"], again.state_dict()["model"]),
        }
        rows[way] = row
        scale = max(float(p.detach().abs().max()) for p in whole.model.parameters())
        exact &= all(value == 0.0 for value in row.values())
        row["relative"] = row["weights"] / scale
        shutil.rmtree(folder)
        result.unlink()
    near = all(row["relative"] < 1e-2 and row["next batch"] == 0.0 for row in rows.values())
    return {"ok": near, "bit for bit": exact, "largest differences": rows}


def same_as_cpu(s: Setting) -> dict[str, Any]:
    """H: the same weights on both: logits, an evaluation; and what inspection makes of the D1 run on the CPU."""
    trainer = s.trainer("transformer", "reference")
    ids = load().val_ids[: trainer.model.context][None]
    model = trainer.model.eval()
    some = load().val_ids[: s.count(20_000, 500)]
    with torch.no_grad():
        there = model(ids.to(s.device)).float().cpu()
        with torch.autocast(s.device.type, torch.bfloat16):
            lowered = model(ids.to(s.device)).float().cpu()
        loss = evaluate(model, some.to(s.device)).loss
        model = model.cpu()
        here = model(ids)
    gaps = {
        "logits float32": float((there - here).abs().max()),
        "logits bfloat16": float((lowered - here).abs().max()),
        "evaluation": abs(loss - evaluate(model, some).loss),
    }
    limits = {"logits float32": 1e-4, "logits bfloat16": 2e-2, "evaluation": 1e-4}
    slug = s.found.get("D1", {}).get("run")
    if slug is not None:
        model, _ = checkpoints.load_model(reading.find(slug))
    looks = inspect_rows.looks(s, model, ids[0, : min(64, ids.shape[1])].tolist())
    sound = not any("error" in row or row.get("difference", 0.0) > 1e-3 for row in looks.values())
    held = all(gaps[name] <= limit for name, limit in limits.items())
    return {
        "ok": (held or s.rehearse) and sound,
        **gaps,
        "inspect": looks,
    }
