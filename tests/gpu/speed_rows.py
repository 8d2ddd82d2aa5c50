"""Rows about speed: the machine, a step beside the peer's, where a step's time goes, presets, estimates, writing."""

import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from typing import Any

import torch

from core.jobs import timing
from core.ladder import cost
from core.ladder.registry import RUNGS
from core.sampling import SamplingConfig, generate, streams
from core.texts.corpus import load
from core.training import devices
from tests.gpu.setting import Setting, block


def machine(s: Setting) -> dict[str, Any]:
    """A: what it is, and how fast it multiplies and copies."""
    smi = shutil.which("nvidia-smi")
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader"]
    told = subprocess.run(query, capture_output=True, text=True).stdout.strip() if smi else "no nvidia-smi"
    size, device = s.count(8192, 64), s.device
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = timing.timed(lambda: a @ b, device, 0.5 if not s.rehearse else 0.01)
    source = torch.empty(s.count(2_000_000_000, 1000), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = timing.timed(lambda: target.copy_(source), device, 0.2 if not s.rehearse else 0.01)
    name = devices.name_of(device)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    flops, moved = 2 * size**3 / product / 1e12, 2 * source.numel() / copy / 1e12
    format_ = devices.precision_name(devices.precision("auto", device))
    capability = torch.cuda.get_device_capability() if device.type == "cuda" else (0, 0)
    quick = "H100" not in name or (flops > 500 and moved > 2.4)
    right = devices.resolve("auto").type == device.type and (format_ == "bfloat16") == (capability >= (8, 0))
    return {
        "ok": s.rehearse or (right and quick),
        "nvidia-smi": told,
        "device": name,
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
        "compiler": shutil.which("g++") or shutil.which("cc"),
        "commit": commit,
        "auto": str(devices.resolve("auto")),
        "computed in": format_,
        "TFLOP/s": flops,
        "TB/s": moved,
    }


def beside(s: Setting) -> dict[str, Any]:
    """C1: milliseconds a step of the reference, sides in turn."""
    torch._dynamo.reset()
    sides: dict[str, Any] = {}
    compiled: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as cache:
        import os

        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        eager = s.trainer("transformer", "reference", compile="off")
        default = s.trainer("transformer", "reference")
        muon = s.trainer("transformer", "reference", optimizer="muon")
        compiled["ours default"], compiled["ours Muon"] = default.prepare(), muon.prepare()
        sides = {"ours eager": eager.step, "ours default": default.step, "ours Muon": muon.step}
        on = s.trainer("transformer", "reference", compile="off" if s.rehearse else "on")
        compiled["ours compiled"] = on.prepare()
        sides["ours compiled"] = on.step
        if s.beside is not None:
            ids, batch = load().train_ids, eager.config.batch_size
            quick, plain = s.peer(compiled=not s.rehearse), s.peer(compiled=False)
            began = time.perf_counter()
            quick.train_step(ids, batch)
            compiled["peer compiled"] = time.perf_counter() - began
            sides["peer compiled"] = lambda: quick.train_step(ids, batch)
            sides["peer eager"] = lambda: plain.train_step(ids, batch)
        graphs = int(torch._dynamo.utils.counters["stats"]["unique_graphs"])
        for step in sides.values():
            block(s, step, s.count(5, 1))
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(s.count(6, 2)):
            for name, step in sides.items():
                times[name].append(block(s, step, s.count(40, 2)))
        again = int(torch._dynamo.utils.counters["stats"]["unique_graphs"])
        torch._dynamo.reset()
        warm = s.trainer("transformer", "reference", compile="off" if s.rehearse else "on").prepare()
    middle = {name: statistics.median(rows) for name, rows in times.items()}
    spread = {name: statistics.quantiles(rows, n=4) for name, rows in times.items() if len(rows) > 1}
    found: dict[str, Any] = {"ms": middle, "quartiles": spread, "cold compile s": compiled, "warm compile s": warm}
    ours = min(middle["ours default"], middle["ours compiled"])
    if "peer compiled" in middle:
        found["ratio"] = min(middle["peer compiled"], middle["peer eager"]) / ours
    return {
        "ok": (found.get("ratio", 1.0) >= 1.0 and again == graphs) or s.rehearse,
        "goal": "ratio 1.5",
        "graphs compiled": graphs,
        "and while timed": again - graphs,
        **found,
    }


def profile(s: Setting) -> dict[str, Any]:
    """C2: kernels of a step, how busy the GPU is, and waits of the host."""
    trainer = s.trainer("transformer", "reference")
    trainer.prepare()
    block(s, trainer.step, s.count(5, 1))
    steps = s.count(10, 2)
    kind = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kind.CPU, *([kind.CUDA] if s.device.type == "cuda" else [])]) as found:
        wall = block(s, trainer.step, steps) * steps
    rows = found.key_averages()
    kernels = [r for r in rows if r.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(r.self_device_time_total for r in kernels) / 1000
    by = "self_device_time_total" if kernels else "self_cpu_time_total"
    (s.out / "profile.txt").write_text(rows.table(sort_by=by, row_limit=12))
    waits = 0
    if s.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                for _ in range(50):
                    trainer.step()
            waits = sum("synchroniz" in str(w.message) for w in said)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    share = busy / wall if wall else 0.0
    return {
        "ok": s.rehearse or (share >= 0.9 and waits < 50),
        "kernels a step": sum(r.count for r in kernels) / steps,
        "GPU ms a step": busy / steps,
        "busy": share,
        "waits a step": waits / 50,
    }


PRESETS = (
    ("transformer", "seconds"),
    ("transformer", "minutes"),
    ("transformer", "best"),
    ("mlp", "seconds"),
    ("residual", "minutes"),
    ("wavenet", "best"),
)


def presets(s: Setting) -> dict[str, Any]:
    """C3: each preset as it comes against the same without a compiler, compiling counted over its whole run."""
    table, held = {}, True
    for rung, preset in PRESETS:
        default, plain = s.trainer(rung, preset), s.trainer(rung, preset, compile="off")
        prepared = default.prepare()
        times: dict[str, list[float]] = {"default": [], "off": []}
        for number in range(4):
            for name, trainer in (("default", default), ("off", plain)):
                took = block(s, trainer.step, s.count(20, 1))
                if number:
                    times[name].append(took)
        middle = {name: statistics.median(rows) for name, rows in times.items()}
        whole = {
            "default": prepared + middle["default"] * default.total / 1000,
            "off": middle["off"] * plain.total / 1000,
        }
        held &= whole["default"] <= 1.05 * whole["off"]
        table[f"{rung}/{preset}"] = {"ms": middle, "compile s": prepared, "whole run s": whole}
    return {"ok": held or s.rehearse, "presets": table}


def estimate(s: Setting) -> dict[str, Any]:
    """I: what the page would show for a step, against what one takes."""
    corpus, table, held = load(), {}, True
    timing.FULL = s.count(1, 0) * timing.FULL
    for rung in dict.fromkeys(rung for rung, _ in PRESETS):
        if not s.rehearse:
            timing.probe(RUNGS[rung], s.device, corpus.train_ids, corpus.tokenizer.size)
    for rung, preset in (*PRESETS, ("transformer", "reference")):
        model, train = s.settings(rung, preset, short_first=0.0, compile="off")
        if s.rehearse:
            timing._probe_preset(RUNGS[rung], model, train, s.device, devices.processor(), corpus.train_ids, 65)
        built = cost.cost(RUNGS[rung], model, train, corpus.tokenizer.size, s.device.type)
        shown = timing.seconds_per_step(RUNGS[rung], s.device.type, built, train)
        trainer = s.trainer(rung, preset, short_first=0.0, compile="off")
        block(s, trainer.step, 3)
        real = block(s, trainer.step, s.count(30, 2))
        ratio = 1000 * (shown or float("nan")) / real
        held &= 1 / 1.5 <= ratio <= 1.5
        table[f"{rung}/{preset}"] = {"shown ms": 1000 * (shown or 0), "real ms": real, "ratio": ratio}
    reference = next((r for r in s.found.get("D1", {}).items() if r[0] == "wall s"), None)
    return {"ok": held or s.rehearse, "steps": table, "reference run s": reference and reference[1]}


def writing(s: Setting) -> dict[str, Any]:
    """G: characters a second, one text and several, inside the context and beyond it; beside the peer's."""
    model = s.trainer("transformer", "reference").model.eval()
    context, rates = model.context, {}
    peer = s.peer(compiled=False) if s.beside is not None else None
    rounds, each = s.count(5, 1), s.count(64, 4)
    for texts in (1, 16, s.count(256, 17)):
        for place, beyond in (("inside", "roll"), ("beyond", "roll"), ("beyond", "half")):
            length = context // 2 if place == "inside" else context
            prompts = torch.randint(65, (texts, length), generator=torch.Generator().manual_seed(1)).tolist()
            config = SamplingConfig.parse({"tokens": min(each, context // 2), "beyond": beyond})
            ours, its = [], []
            for _ in range(rounds if texts < 256 else 1):
                ours.append(block(s, lambda p=prompts, c=config: list(streams(model, p, c)), 1) / 1000)
                if peer is not None and texts <= 16 and beyond == "roll":
                    ids = torch.tensor(prompts)
                    its.append(block(s, lambda i=ids, c=config: peer.generate(i, c.tokens), 1) / 1000)
            row = {"ours": texts * config.tokens / statistics.median(ours)}
            if its:
                row["peer"] = texts * config.tokens / statistics.median(its)
                row["ratio"] = row["ours"] / row["peer"]
            rates[f"{texts} {place} {beyond}"] = row
    sample = SamplingConfig(tokens=s.count(200, 20))
    took = block(s, lambda: list(generate(model, [0], sample)), 1)
    greedy = SamplingConfig(tokens=s.count(200, 20), temperature=0.0)
    there = [c.id for c in generate(model, [0], greedy)]
    here = [c.id for c in generate(model.cpu(), [0], greedy)]
    same = sum(a == b for a, b in zip(there, here, strict=True)) / len(there)
    slower = [k for k, row in rates.items() if row.get("ratio", 1.0) < 1.0 and k.startswith("1 ")]
    return {
        "ok": s.rehearse or (not slower and same == 1.0),
        "goal": "3,000 characters/s for one text",
        "characters/s": rates,
        "sample at an evaluation ms": took,
        "greedy as on the CPU": same,
    }
