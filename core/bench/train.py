"""How fast a model trains: milliseconds a step and seconds to a loss, alone or beside nanoGPT, in turn."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from core.bench.peer import Peer
from core.errors import BardlabError
from core.evaluation import evaluate
from core.ladder.registry import RUNGS
from core.models.contract import parameter_count
from core.models.transformer import TransformerConfig
from core.runs import checkpoints
from core.texts.corpus import load as load_corpus
from core.training import devices
from core.training.config import TrainConfig
from core.training.trainer import Trainer

T = TypeVar("T")
PRESETS = {"cpu": "seconds", "reference": "reference"}
WARM = 3
PEER_STEPS = 2000
"""Of nanoGPT's CPU recipe."""
PEER_SIZES = TransformerConfig(n_layer=4, n_head=4, d_model=128, context=64, dropout=0.0)
"""Of the same recipe."""


def preset_of(config: str) -> str:
    """Return the Transformer preset behind a configuration's name. Raises BardlabError if there is none."""
    if config not in PRESETS:
        raise BardlabError(f"{config!r} is no Transformer; choose one of {', '.join(PRESETS)}")
    return PRESETS[config]


def train(
    preset: str, *, to: float | None, seeds: int, rounds: int, batch: int | None, beside: Path | None
) -> dict[str, Any]:
    """Time the preset `seconds`, which has as many parameters as nanoGPT's CPU recipe, or the reference configuration.

    Without `to`, a step is timed `rounds` times. With it, the preset is trained to its end on each of `seeds` seeds:
    the answer holds its loss over the whole validation split, whether that is `to` or lower, and the seconds of its
    steps alone; imports, start-up, compiling and evaluation are given apart. With a nanoGPT in `beside`, its steps are
    timed in turn with ours, on as many characters: those of its CPU recipe, of which there are 2,000, or of the
    reference's sizes.
    """
    devices.limit_threads()
    corpus, rung = load_corpus(), RUNGS["transformer"]
    model_config, train_config = rung.settings(preset, {}, {"batch_size": batch} if batch else {})
    answer: dict[str, Any] = {"preset": preset, "threads": torch.get_num_threads()}
    trainer, answer["startup_seconds"] = _timed(lambda: trainer_of(train_config, model_config))
    answer["compile_seconds"] = trainer.prepare()
    answer |= where(trainer)
    answer["parameters"] = parameter_count(trainer.model)
    sides: dict[str, Callable[[], object]] = {"ours": trainer.step}
    if beside is not None:
        its = PEER_SIZES if preset == PRESETS["cpu"] else cast(TransformerConfig, model_config)
        peer = Peer(beside, its, corpus.tokenizer.size, device=trainer.device, compiled=trainer.compiled is not None)
        answer |= {"peer_parameters": peer.parameters, "peer_computed_in": peer.format}
        sides["peer"] = lambda: peer.train_step(corpus.train_ids, train_config.batch_size)
    if to is not None:
        return answer | _to_loss(train_config, model_config, to, seeds, sides.get("peer"))
    times = _in_turn(sides, rounds)
    for name, seconds in times.items():
        answer[f"{name}_ms_a_step"] = 1000 * statistics.median(seconds)
        answer[f"{name}_tokens_per_second"] = trainer.window * train_config.batch_size / statistics.median(seconds)
    if "peer" in times:
        answer["ratio"] = answer["peer_ms_a_step"] / answer["ours_ms_a_step"]
    return answer


def _to_loss(
    config: TrainConfig, model_config: Any, to: float, seeds: int, peer_step: Callable[[], object] | None
) -> dict[str, Any]:
    corpus, runs, peer_times = load_corpus(), [], list[float]()
    for i in range(seeds):
        seeded = config.model_copy(update={"seed": config.seed + i})
        trainer = trainer_of(seeded, model_config)
        trainer.model.train()
        compile_seconds = trainer.prepare()
        times = []
        for step in range(config.steps):
            times.append(_timed(trainer.step)[1])
            if peer_step is not None and step % 4 == 0:  # in turn with ours: both meet the same weather
                peer_times.append(_timed(peer_step)[1])
        found, evaluation_seconds = _timed(partial(evaluate, trainer.model, corpus.val_ids))
        runs.append(
            {
                "seed": seeded.seed,
                "steps": config.steps,
                "seconds": sum(times),
                "compile_seconds": compile_seconds,
                "val_loss": found.loss,
                "reached": found.loss <= to,
                "evaluation_seconds": evaluation_seconds,
            }
        )
    answer: dict[str, Any] = {"to": to, "runs": runs, "seconds": statistics.median(r["seconds"] for r in runs)}
    if peer_times:
        answer["peer_ms_a_step"] = 1000 * statistics.median(peer_times)
        answer["peer_seconds_2000_steps"] = PEER_STEPS * statistics.median(peer_times)
        answer["ratio"] = answer["peer_seconds_2000_steps"] / answer["seconds"]
    return answer


def in_time(beside: Path, *, seeds: int, rounds: int) -> dict[str, Any]:
    """Train the preset `minutes`, of as many parameters, for as long as nanoGPT's CPU recipe takes for its 2,000 steps.

    Both sides' steps are timed in turn first; their ratio says how many of ours that is. The answer
    holds each seed's loss over the whole validation split, and the mean.
    """
    devices.limit_threads()
    corpus, rung = load_corpus(), RUNGS["transformer"]
    model_config, train_config = rung.settings("minutes", {}, {})
    _, its_training = rung.settings(PRESETS["cpu"], {}, {})
    peer = Peer(beside, PEER_SIZES, corpus.tokenizer.size, device=devices.resolve("auto"))
    batch = its_training.batch_size
    full = trainer_of(train_config.model_copy(update={"short_first": 0.0}), model_config)
    sides: dict[str, Callable[[], object]] = {
        "ours": full.step,
        "peer": lambda: peer.train_step(corpus.train_ids, batch),
    }
    ours, its = (statistics.median(seconds) for seconds in _in_turn(sides, rounds).values())
    wanted = int(PEER_STEPS * its / ours)  # of full length; the short ones at the start are cheaper
    losses = []
    for i in range(seeds):
        trainer = trainer_of(
            train_config.model_copy(update={"steps": wanted, "seed": train_config.seed + i}), model_config
        )
        trainer.model.train()
        for _ in range(wanted):
            trainer.step()
        losses.append(evaluate(trainer.model, corpus.val_ids).loss)
    answer = {"ours_ms_a_step": 1000 * ours, "peer_ms_a_step": 1000 * its, "steps": wanted}
    answer |= {"parameters": parameter_count(full.model), "peer_parameters": peer.parameters}
    return answer | {"val_loss": statistics.mean(losses), "val_losses": ", ".join(f"{x:.4f}" for x in losses)}


def peer_recipe(beside: Path, *, peak: float, steps: int, seed: int) -> dict[str, Any]:
    """Train nanoGPT's CPU recipe to its end, or the same with another learning rate, and measure it as ours."""
    devices.limit_threads()
    corpus = load_corpus()
    _, train_config = RUNGS["transformer"].settings(PRESETS["cpu"], {}, {})
    peer = Peer(beside, PEER_SIZES, corpus.tokenizer.size, seed, devices.resolve("auto"))
    like = RUNGS["transformer"].build(PEER_SIZES, corpus.tokenizer.size)
    torch.manual_seed(seed)
    began = time.perf_counter()
    for step in range(steps):
        peer.train_step(corpus.train_ids, train_config.batch_size, step, steps, peak)
    seconds = time.perf_counter() - began
    return {
        "learning_rate": peak,
        "steps": steps,
        "seconds": seconds,
        "val_loss": peer.evaluate(corpus.val_ids, like).loss,
    }


def where(trainer: Trainer) -> dict[str, Any]:
    """Name what a trainer computes on and in, and whether it is compiled."""
    return {
        "device": devices.name_of(trainer.device),
        "computed_in": devices.precision_name(trainer.precision),
        "compiled": trainer.compiled is not None,
    }


def trainer_of(config: TrainConfig, model_config: Any) -> Trainer:
    """Build the Transformer and whatever trains it, as its seed wants it."""
    corpus = load_corpus()
    checkpoints.seed_everything(config.seed)
    model = RUNGS["transformer"].build(model_config, corpus.tokenizer.size)
    return Trainer(model, config, corpus.train_ids, devices.resolve("auto"))


def _in_turn(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + WARM):
        for name, step in sides.items():
            seconds = _timed(step)[1]
            if number >= WARM:
                times[name].append(seconds)
    return times


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - began
