"""How fast a model writes: one text or sixteen, within the context and beyond it, against the naive loop or nanoGPT."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch

from core.bench.peer import Peer
from core.bench.plain_c import PlainC
from core.errors import BardlabError
from core.ladder.registry import get
from core.models import compiled
from core.models.contract import LanguageModel
from core.models.transformer import TransformerConfig
from core.runs import checkpoints
from core.sampling import SamplingConfig, next_distribution, streams
from core.training import devices

SPANS = 4  # places in the context at which a few characters each are timed
EACH = 6


def sample(
    rung_key: str,
    preset: str,
    *,
    texts: tuple[int, ...],
    rounds: int,
    beside: Path | None,
    beside_c: Path | None = None,
) -> dict[str, Any]:
    """Time writing with fresh weights of a preset; ratios are of medians of rounds in turn.

    Ours is machine code where there is a compiler, as on the pages, `torch` the same without it, and `bfloat16` with
    weights rounded to that. The other side is
    the naive loop, which reads the last `context` characters anew for each one, or, with a nanoGPT in `beside`, its
    `generate` at the sizes of a Transformer preset. Inside the context, the time of a character is the mean over
    places spread over it (of a model that slides: at its full reach); reading the prompt is not counted.

    With the run.c of a llama2.c in `beside_c`, one text is also timed over a whole context in turn with it, on one
    thread, in float32 and with matrices rounded to bfloat16.
    """
    devices.limit_threads()
    rung = get(rung_key)
    config, _ = rung.settings(preset, {}, {})
    checkpoints.seed_everything(1337)
    model = rung.build(config, 65).eval()
    fast = compiled.load() is not None
    peer = Peer(beside, cast(TransformerConfig, config), 65) if beside is not None else None
    answer: dict[str, Any] = {"stage": rung_key, "preset": preset, "threads": torch.get_num_threads()}
    answer |= {"device": devices.processor(), "computed_in": "float32"}
    for batch in texts:
        reach = model.usual_window
        spans = [reach] if model.slides else [round((i + 0.5) * reach / SPANS) for i in range(SPANS)]
        other = partial(_other, model, peer, batch)
        inside = {
            "ours": partial(_ours, model, batch, SamplingConfig(tokens=EACH + 1), fast),
            "other": other,
            "torch": partial(_ours, model, batch, SamplingConfig(tokens=EACH + 1), False),
            "bfloat16": partial(_ours, model, batch, SamplingConfig(tokens=EACH + 1, weights="bfloat16"), fast),
        }
        answer[f"inside_{batch}"] = found = _compare(inside, spans, rounds, batch)
        if peer is not None:
            found["ratio_peer"] = found["ratio"]
        for way in () if model.slides else ("roll", "half"):
            tokens = EACH + 1 if way == "roll" else reach  # a whole cycle of the half: read anew once or twice
            settings = SamplingConfig.parse({"tokens": tokens, "beyond": way})
            outside = {"ours": partial(_ours, model, batch, settings, fast), "other": other}
            answer[f"beyond_{way}_{batch}"] = _compare(outside, [reach + 1], rounds, batch)
    if beside_c is not None:
        answer["plain_c"] = _beside_c(model, beside_c, cast(TransformerConfig, config), rounds)
    return answer


def _beside_c(model: LanguageModel, source: Path, config: TransformerConfig, rounds: int) -> dict[str, Any]:
    """Characters a second over a whole context, one text on one thread, each side in turn."""
    times: dict[str, list[float]] = {"c": [], "float32": [], "bfloat16": []}
    with PlainC(source, config, 65) as plain:
        for _ in range(rounds):
            times["c"].append(plain.seconds_a_character())
            for name in ("float32", "bfloat16"):
                times[name].append(_context_filled(model, halves=name == "bfloat16"))
    c, ours, halved = (statistics.median(times[name]) for name in ("c", "float32", "bfloat16"))
    return {
        "multiply_adds_a_character": plain.multiply_adds,
        "c_characters_per_second": 1 / c,
        "ours_characters_per_second": 1 / ours,
        "bfloat16_characters_per_second": 1 / halved,
        "ratio_c": c / ours,
        "ratio_c_bfloat16": c / halved,
    }


def _context_filled(model: LanguageModel, halves: bool) -> float:
    """Seconds a character from the second of a context to its last; what the first prepares is not counted."""
    decoder = compiled.decoder(model, 1, halves, compiled.load)
    if decoder is None:
        raise BardlabError("nothing can be compiled on this machine; leave out --beside-c")
    fresh, generators = torch.zeros(1, 1, dtype=torch.long), [torch.Generator().manual_seed(1)]
    began = 0.0
    while left := model.usual_window - decoder.length:
        written = decoder.write(fresh, left, generators, (1.0, 0, 1.0))
        fresh = torch.tensor([written[-1].ids])
        began = began or time.perf_counter()
    return (time.perf_counter() - began) / (decoder.length - 1)


def _compare(
    sides: Mapping[str, Callable[[int], float]], places: list[int], rounds: int, batch: int
) -> dict[str, float]:
    """Seconds a character of each side, taking turns at every place."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, write in sides.items():
            times[name].append(statistics.mean(write(at) for at in places))
    ours, other = (statistics.median(times[name]) for name in ("ours", "other"))
    found = {
        "ours_characters_per_second": batch / ours,
        "other_characters_per_second": batch / other,
        "ratio": other / ours,
    }
    for name in times.keys() - {"ours", "other"}:
        also = statistics.median(times[name])
        found |= {f"{name}_characters_per_second": batch / also, f"{name}_ratio": other / also}
    return found


def _prompts(batch: int, length: int) -> list[list[int]]:
    return torch.randint(65, (batch, length), generator=torch.Generator().manual_seed(length)).tolist()


def _ours(model: LanguageModel, batch: int, config: SamplingConfig, fast: bool, length: int) -> float:
    writing = streams(model, _prompts(batch, length), config, fast=fast)
    next(writing)  # reads the prompt
    began = time.perf_counter()
    written = sum(1 for _ in islice(writing, config.tokens - 1))
    return (time.perf_counter() - began) / written


@torch.inference_mode()
def _other(model: LanguageModel, peer: Peer | None, batch: int, length: int) -> float:
    ids = torch.tensor(_prompts(batch, length))  # (B, T)
    steps = 2 if batch > 1 else 4
    began = time.perf_counter()
    if peer is not None:
        peer.generate(ids, steps)
    else:
        config = SamplingConfig()
        for _ in range(steps):
            logits = model(ids[:, -model.readable(ids.shape[1]) :])[:, -1]  # (B, V)
            ids = torch.cat((ids, torch.multinomial(next_distribution(logits, config), 1)), dim=1)  # (B, T+1)
    return (time.perf_counter() - began) / steps
