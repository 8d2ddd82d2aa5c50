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
from core.ladder.registry import get
from core.models.contract import LanguageModel
from core.models.transformer import TransformerConfig
from core.runs import checkpoints
from core.sampling import SamplingConfig, next_distribution, streams
from core.training import devices

SPANS = 4  # places in the context at which a few characters each are timed
EACH = 6


def sample(rung_key: str, preset: str, *, texts: tuple[int, ...], rounds: int, beside: Path | None) -> dict[str, Any]:
    """Time writing with fresh weights of a preset; ratios are of medians of rounds in turn.

    The other side is the naive loop, which reads the last `context` characters anew for each one, or, with a nanoGPT
    in `beside`, its `generate` at the sizes of a Transformer preset. Inside the context, the time of a character is the
    mean over places spread over it (of a model that slides: at its full reach); reading the prompt is not counted.
    """
    devices.limit_threads()
    rung = get(rung_key)
    config, _ = rung.settings(preset, {}, {})
    checkpoints.seed_everything(1337)
    model = rung.build(config, 65).eval()
    peer = Peer(beside, cast(TransformerConfig, config), 65) if beside is not None else None
    answer: dict[str, Any] = {"stage": rung_key, "preset": preset, "threads": torch.get_num_threads()}
    answer |= {"device": devices.processor(), "computed_in": "float32"}
    for batch in texts:
        reach = model.usual_window
        spans = [reach] if model.slides else [round((i + 0.5) * reach / SPANS) for i in range(SPANS)]
        other = partial(_other, model, peer, batch)
        inside = {"ours": partial(_ours, model, batch, SamplingConfig(tokens=EACH + 1)), "other": other}
        answer[f"inside_{batch}"] = _compare(inside, spans, rounds, batch)
        for way in () if model.slides else ("roll", "half"):
            tokens = EACH + 1 if way == "roll" else reach  # a whole cycle of the half: read anew once or twice
            settings = SamplingConfig.parse({"tokens": tokens, "beyond": way})
            outside = {"ours": partial(_ours, model, batch, settings), "other": other}
            answer[f"beyond_{way}_{batch}"] = _compare(outside, [reach + 1], rounds, batch)
    return answer


def _compare(
    sides: Mapping[str, Callable[[int], float]], places: list[int], rounds: int, batch: int
) -> dict[str, float]:
    """Seconds a character of each side, taking turns at every place."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, write in sides.items():
            times[name].append(statistics.mean(write(at) for at in places))
    ours, other = (statistics.median(times[name]) for name in ("ours", "other"))
    return {
        "ours_characters_per_second": batch / ours,
        "other_characters_per_second": batch / other,
        "ratio": other / ours,
    }


def _prompts(batch: int, length: int) -> list[list[int]]:
    return torch.randint(65, (batch, length), generator=torch.Generator().manual_seed(length)).tolist()


def _ours(model: LanguageModel, batch: int, config: SamplingConfig, length: int) -> float:
    writing = streams(model, _prompts(batch, length), config)
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
