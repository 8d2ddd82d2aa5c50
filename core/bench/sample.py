"""How fast a model writes: one text or sixteen, within the context and beyond it, against the naive loop or nanoGPT."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import psutil
import torch

from core.bench.peer import Peer
from core.bench.plain_c import PlainC
from core.errors import BardlabError
from core.inference import loader
from core.inference.decoder import decoder_for
from core.ladder.registry import get
from core.models.contract import LanguageModel
from core.models.transformer import TransformerConfig
from core.runs import checkpoints, reading
from core.sampling import SamplingConfig, next_distribution, streams
from core.training import devices

SPANS = 4  # places in the context at which a few characters each are timed
EACH = 6
FEW, OF_SEVERAL = 4, 2
"""Characters of the other side at a place, of one text and of each of several."""
WHOLE = 256
OTHERS = 5
"""Texts that are written before, so that guesses are made as in the middle of a page."""


def sample(
    rung_key: str,
    preset: str,
    *,
    texts: tuple[int, ...],
    rounds: int,
    beside: Path | None,
    beside_c: Path | None = None,
    run: str | None = None,
) -> dict[str, Any]:
    """Time writing with fresh weights of a preset, or with those of a run; ratios are of medians of rounds in turn.

    Ours is machine code where there is a compiler, as on the pages, `torch` the same without it, and `bfloat16` with
    weights rounded to that, all without guesses. The other side is
    the naive loop, which reads the last `context` characters anew for each one, or, with a nanoGPT in `beside`, its
    `generate` at the sizes of a Transformer. Inside the context, the time of a character is the mean over
    places spread over it (of a model that slides: at its full reach); reading the prompt is not counted. Rolling is
    timed with one thread and with all cores too, both sides.

    With a run, or with the run.c of a llama2.c in `beside_c`, whole contexts are timed too, in float32 and with
    matrices rounded to bfloat16: one text (`whole_context`), the only one that llama2.c writes, and with a run several
    (`whole_context_16`). With a run, whose text can be guessed, with guesses as well.
    """
    devices.limit_threads()
    if run is not None:
        found = reading.find(run)
        rung_key, preset = found.need().rung.key, run
        model = checkpoints.load_model(found)[0].eval()
    else:
        checkpoints.seed_everything(1337)
        model = get(rung_key).build(get(rung_key).settings(preset, {}, {})[0], 65).eval()
    config, vocab_size = model.config, model.vocab_size
    fast = loader.load() is not None
    peer = Peer(beside, cast(TransformerConfig, config), vocab_size) if beside is not None else None
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
        answer[f"inside_{batch}"] = found_inside = _compare(inside, spans, rounds, batch)
        if peer is not None:
            found_inside["ratio_peer"] = found_inside["ratio"]
        for way in () if model.slides else ("roll", "half"):
            tokens = EACH + 1 if way == "roll" else reach  # a whole cycle of the half: read anew once or twice
            settings = SamplingConfig.parse({"tokens": tokens, "beyond": way})
            outside = {"ours": partial(_ours, model, batch, settings, fast), "other": other}
            if way == "roll":  # a window is a batch: other threads can help
                cores = psutil.cpu_count(logical=False) or 1
                for name, threads in (("one_thread", 1), ("all_cores", cores)):
                    outside |= {f"{side}_{name}": partial(_with, threads, outside[side]) for side in ("ours", "other")}
            answer[f"beyond_{way}_{batch}"] = _compare(outside, [reach + 1], rounds, batch)
    if beside_c is not None or run is not None:
        answer["whole_context"] = _whole_context(model, 1, peer, beside_c, rounds, guessed=run is not None)
    for batch in texts:
        if run is not None and batch > 1:
            answer[f"whole_context_{batch}"] = _whole_context(model, batch, peer, None, rounds, guessed=True)
    return answer


def _whole_context(
    model: LanguageModel, batch: int, peer: Peer | None, source: Path | None, rounds: int, *, guessed: bool
) -> dict[str, Any]:
    """Write texts from the first character of a context to its last, or 256 where nothing bounds it, in turn.

    Characters of all texts a second by the clock and by the processor time of our one thread; no seed comes twice, for
    what was written before would be guessed to the end.
    """
    sides = {(weights, ahead) for weights in ("float32", "bfloat16") for ahead in {False, guessed}}
    clock: dict[str, list[float]] = {}
    worked: dict[str, list[float]] = {}
    strides: dict[str, list[float]] = {}
    answer: dict[str, Any] = {}
    with ExitStack() as stack:
        config = cast(TransformerConfig, model.config)
        plain = None if source is None else stack.enter_context(PlainC(source, config, model.vocab_size))
        if plain is not None:
            answer["multiply_adds_a_character"] = plain.multiply_adds
        for number in range(-max(1, OTHERS // batch) if guessed else 0, rounds):
            if plain is not None and number >= 0:
                clock.setdefault("c", []).append(plain.seconds_a_character())
            for place in range(SPANS if peer is not None and number >= 0 else 0):
                began, at = time.thread_time(), round((place + 0.5) * model.usual_window / SPANS)
                clock.setdefault("peer", []).append(_other(model, peer, batch, at))
                worked.setdefault("peer", []).append((time.thread_time() - began) / _steps(batch))
            for weights, ahead in sorted(sides):
                if number < 0 and not ahead:
                    continue
                name = weights + ("_ahead" if ahead else "")
                seed = (2 * (number + OTHERS) + ahead) * batch
                took = _context_filled(model, batch, weights == "bfloat16", ahead, seed)
                for times, value in zip((clock, worked, strides), took, strict=True):
                    if number >= 0:
                        times.setdefault(name, []).append(value)
    for name, seconds in clock.items():
        middle = statistics.mean if name == "peer" else statistics.median
        answer[f"{name}_characters_per_second"] = batch / middle(seconds)
        for other in {"c", "peer"} & clock.keys() - {name}:
            base = (statistics.mean if other == "peer" else statistics.median)(clock[other])
            answer[f"{name}_ratio_{other}"] = base / middle(seconds)
        if name in worked and "peer" in worked and name != "peer":
            answer[f"{name}_ratio_peer_processor"] = statistics.mean(worked["peer"]) / statistics.median(worked[name])
        if name in strides:
            answer[f"{name}_characters_a_pass"] = statistics.median(strides[name])
    if plain is not None:
        answer["ratio_c"] = answer["float32_ahead_ratio_c" if guessed else "float32_ratio_c"]  # as it writes by itself
    return answer


def _context_filled(
    model: LanguageModel, batch: int, halves: bool, ahead: bool, seed: int
) -> tuple[float, float, float]:
    """Seconds a character of each text by the clock and of processor time, and how many of them come with a pass.

    From the second of a context on: what the first prepares is not counted.
    """
    decoder = decoder_for(model, loader.load(), batch, halves, ahead)
    if decoder is None:
        raise BardlabError("nothing can be compiled on this machine; leave out --beside-c and --run")
    fresh = torch.zeros(batch, 1, dtype=torch.long)
    generators = [torch.Generator().manual_seed(seed + text) for text in range(batch)]
    whole = model.context if model.context is not None and not model.slides else WHOLE
    began = worked = 0.0
    while left := whole - decoder.length:
        written = decoder.write(fresh, left if began else 1, generators, (1.0, 0, 1.0))
        fresh = torch.tensor(written[-1].ids)[:, None]
        if not began:
            began, worked, first, passes = time.perf_counter(), time.thread_time(), decoder.length, decoder.passes
    count = decoder.length - first
    clock, work = time.perf_counter() - began, time.thread_time() - worked
    return clock / count, work / count, count / (decoder.passes - passes)


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


def _with(threads: int, write: Callable[[int], float], at: int) -> float:
    """Let torch have so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return write(at)
    finally:
        torch.set_num_threads(before)


def _prompts(model: LanguageModel, batch: int, length: int) -> list[list[int]]:
    return torch.randint(model.vocab_size, (batch, length), generator=torch.Generator().manual_seed(length)).tolist()


def _steps(batch: int) -> int:
    return OF_SEVERAL if batch > 1 else FEW


def _ours(model: LanguageModel, batch: int, config: SamplingConfig, fast: bool, length: int) -> float:
    writing = streams(model, _prompts(model, batch, length), config, fast=fast, ahead=False)
    next(writing)  # reads the prompt
    began = time.perf_counter()
    written = sum(1 for _ in islice(writing, config.tokens - 1))
    return (time.perf_counter() - began) / written


@torch.inference_mode()
def _other(model: LanguageModel, peer: Peer | None, batch: int, length: int) -> float:
    ids = torch.tensor(_prompts(model, batch, length))  # (B, T)
    steps = _steps(batch)
    began = time.perf_counter()
    if peer is not None:
        peer.generate(ids, steps)
    else:
        config = SamplingConfig()
        for _ in range(steps):
            logits = model(ids[:, -model.readable(ids.shape[1]) :])[:, -1]  # (B, V)
            ids = torch.cat((ids, torch.multinomial(next_distribution(logits, config), 1)), dim=1)  # (B, T+1)
    return (time.perf_counter() - began) / steps
