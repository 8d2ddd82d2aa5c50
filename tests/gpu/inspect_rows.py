"""Everything that looks inside a model, each on the CPU and, where it can, on the GPU."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from core.inspect import (
    activations,
    anatomy,
    attention,
    counting,
    embeddings,
    evaluation_set,
    heads,
    history,
    lens,
    receptive,
    surprise,
    trace,
)
from core.inspect.interventions import ablation, patching
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.texts.corpus import load
from tests.gpu.setting import Setting

Look = Callable[[Any, list[int], int], Any]
"""A model, a text of ids, and how many characters of the corpus to take."""


def _set(model: LanguageModel, count: int) -> evaluation_set.EvaluationSet:
    return evaluation_set.evaluation_set(model, load(), count)


def _targets(model: LanguageModel, ids: list[int]) -> list[torch.Tensor]:
    device = next(model.parameters()).device
    return [torch.tensor([ids[:-1]], device=device), torch.tensor([ids[1:]], device=device)]


def _patched(model: LanguageModel, ids: list[int]) -> Any:
    a, b = ids[:8], ids[8:16]
    pair = patching.answers(patching.reading(model, a), patching.reading(model, b))
    return [patching.sweep(model, a, b, site, pair) for site in patching.sites(model)]


TRANSFORMER: dict[str, Look] = {
    "ablation.means": lambda m, ids, n: ablation.means(m, _set(m, n), m.parts()[:4]),
    "ablation.losses": lambda m, ids, n: ablation.losses(m, _set(m, n)),
    "ablation.rank": lambda m, ids, n: list(ablation.rank(m, _set(m, n), m.parts()[:2], "mean")),
    "activations.health": lambda m, ids, n: activations.health(m, *_targets(m, ids)),
    "anatomy.anatomy_of": lambda m, ids, n: anatomy.anatomy_of(m, 2, m.context),
    "attention.attention_maps": lambda m, ids, n: attention.attention_maps(m, ids),
    "embeddings.tables": lambda m, ids, n: embeddings.tables(m),
    "embeddings.token_vectors": lambda m, ids, n: embeddings.token_vectors(m),
    "embeddings.position_similarity": lambda m, ids, n: embeddings.position_similarity(m),
    "heads.head_scores": lambda m, ids, n: heads.head_scores(
        m, heads.probe(load().text[:4000], load().tokenizer, m.context)
    ),
    "history.portrait": lambda m, ids, n: history.portrait(m, 0, None),
    "history.answer": lambda m, ids, n: history.answer(m, ids, 5),
    "lens.lens": lambda m, ids, n: lens.lens(m, ids),
    "lens.attribution": lambda m, ids, n: lens.attribution(m, ids),
    "lens.next_logits": lambda m, ids, n: lens.next_logits(m, ids),
    "patching.sweep": lambda m, ids, n: _patched(m, ids),
    "receptive.measured_field": lambda m, ids, n: receptive.measured_field(m, load().val_ids[:n], 4),
    "surprise.surprise": lambda m, ids, n: surprise.surprise(m, ids),
    "surprise.written_log_probs": lambda m, ids, n: surprise.written_log_probs(m, ids, 4),
    "trace.trace": lambda m, ids, n: trace.trace(m, _targets(m, ids)[0]),
}
OTHERS: dict[str, tuple[str, Look]] = {
    "receptive.gates": ("wavenet", lambda m, ids, n: receptive.gates(m, ids)),
    "counting.learned": ("bigram", lambda m, ids, n: counting.learned(m)),
    "counting.tables": ("bigram", lambda m, ids, n: counting.tables(m, load())),
}


def looks(s: Setting, model: LanguageModel, ids: list[int]) -> dict[str, Any]:
    """Time each on the CPU; on the device compare it with that, or say why it cannot be asked there.

    Inspection computes on the CPU, so that only what raises there is a fault.
    """
    count = s.count(4000, 300)
    found: dict[str, Any] = {name: _look(s, look, model, ids, count) for name, look in TRANSFORMER.items()}
    for name, (rung, look) in OTHERS.items():
        other = s.trainer(rung, RUNGS[rung].default_preset).model.eval().cpu()
        found[name] = _look(s, look, other, ids, count)
    return found


def _look(s: Setting, look: Look, model: LanguageModel, ids: list[int], count: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    began = time.perf_counter()
    try:
        torch.manual_seed(0)
        here = list(_numbers(look(model.cpu(), ids, count)))
        row["s"] = time.perf_counter() - began
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    try:
        torch.manual_seed(0)
        there = list(_numbers(look(model.to(s.device), ids, count)))
        row["difference"] = _largest(here, there)
    except Exception as error:
        row["there"] = f"{type(error).__name__}: {error}"[:100]
    finally:
        model.cpu()
    return row


def _largest(a: list[float], b: list[float]) -> float:
    if len(a) != len(b):
        return math.inf
    x, y = np.array(a), np.array(b)
    differ = (x != y) & ~(np.isnan(x) & np.isnan(y))
    return float(np.abs(x[differ] - y[differ]).max(initial=0.0))


def _numbers(value: Any) -> Iterator[float]:
    """Every number of a result, in order."""
    if isinstance(value, torch.Tensor):
        yield from value.detach().double().cpu().flatten().tolist()
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        yield from value.astype(float).ravel().tolist()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for each in dataclasses.fields(value):
            yield from _numbers(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield float(value)
