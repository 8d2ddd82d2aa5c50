"""The lab's own weights files, `model.safetensors` of a run, when they come without their run folder.

Most settings show in names and shapes. The rest (how many heads, which activation, which positions) does not: each
combination is a way to read the file, and the loss on the text decides.
"""

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from core.errors import BardlabError
from core.exchange.weight_files import Family, Reading, WeightFile
from core.ladder import registry
from core.models.footprint import weightless
from core.models.recurrent import CELLS
from core.models.transformer import TransformerConfig
from core.runs.checkpoints import SETTINGS
from core.settings import Settings

HELP = "export the run as .zip, which holds its settings too"


def from_own(file: WeightFile) -> list[Reading]:
    """Return the ways to understand a weights file of this lab, the likeliest first.

    Raises BardlabError, in one line, if none fits.
    """
    first = next((name for name in ("token_embedding.weight", "logits", "unigram") if name in file.tensors), None)
    if first is None or not file.tensors[first].ndim:
        raise BardlabError(f"{file.label} lacks the embedding of its characters; {HELP}")
    if first == "unigram":
        raise BardlabError(f"{file.label} holds the counts of an n-gram without their settings; {HELP}")
    vocab = len(file.tensors[first])
    shapes = {name: tuple(tensor.shape) for name, tensor in file.tensors.items()}
    readings: list[Reading] = []
    declared = _declared(file)
    for rung, settings in [declared] if declared else _guesses(shapes):
        try:
            config = registry.get(rung).config.parse(settings, "model.")
            with weightless():
                model = registry.get(rung).build(config, vocab)
        except BardlabError:
            continue
        if {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == shapes:
            state = readings[0].state if readings else _state(file)
            rows = tuple(name for name in _ROWS if name in state)
            closer = _contexts(config)
            said = ("its context, which does not show, is the best of some",) if closer and not declared else ()
            hidden = {name: value for name, value in settings.items() if name in _HIDDEN}
            choice = ", ".join(f"{name} {value}" for name, value in hidden.items())
            readings.append(Reading(rung, config, vocab, state, rows, said, choice, () if declared else closer))
    if not readings:
        raise BardlabError(f"{file.label} fits no model of this lab: its tensors have other shapes or names; {HELP}")
    return readings


_HIDDEN = ("n_head", "activation", "positions", "skip", "n_layer")
"""Settings of which the shapes do not tell everything."""
_ROWS = ("token_embedding.weight", "lm_head.weight", "lm_head.bias", "head.weight", "head.bias", "logits")


def _contexts(config: Settings) -> tuple[Settings, ...]:
    """Return the same settings with other contexts, of a model whose weights do not depend on it."""
    if not isinstance(config, TransformerConfig) or config.positions == "learned":
        return ()
    return tuple(config.model_copy(update={"context": context}) for context in (32, 128, 256, 512))


def _declared(file: WeightFile) -> tuple[str, dict[str, Any]] | None:
    """Return the rung and the settings that the file itself tells (core/runs/checkpoints.py); None if it does not."""
    with contextlib.suppress(ValueError, TypeError, LookupError, RecursionError):
        about = json.loads(str(file.settings[SETTINGS]))
        return str(about["stage"]), dict(about["model"])
    return None


def _state(file: WeightFile) -> dict[str, Tensor]:
    return {name: file.numbers(name) for name in file.tensors}


def _guesses(shapes: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rungs and settings that may have made these shapes."""

    def size(name: str, dimension: int) -> int:
        sizes = shapes.get(name, ())
        return sizes[dimension] if dimension < len(sizes) else 0

    def count(pattern: str) -> int:
        return len({found[1] for name in shapes if (found := re.match(pattern, name))})

    width = size("token_embedding.weight", 1)
    if "logits" in shapes:
        yield "bigram", {}
    elif "blocks.0.attention.qkv.weight" in shapes:
        learned, post = "position_embedding.weight" in shapes, "ln_final.weight" not in shapes
        known: dict[str, Any] = {
            "n_layer": count(r"blocks\.(\d+)\."),
            "d_model": width,
            "norm": "post" if post else "pre",
        }
        known |= {"smear": "smear" in shapes, "trigrams": size("trigram_embedding.weight", 0), "dropout": 0.0}
        known |= {"qkv_bias": "blocks.0.attention.qkv.bias" in shapes}
        places: list[dict[str, Any]] = [{"positions": "learned", "context": size("position_embedding.weight", 0)}]
        if not learned:
            places = [{"positions": kind, "context": 64} for kind in ("rotary", "sinusoidal", "none")]
        heads = [n for n in (4, 6, 8, 2, 12, 1, 3, 16, *range(5, 16)) if width % n == 0]
        for place, bend, n in itertools.product(places, ("relu2", "relu", "gelu"), dict.fromkeys(heads)):
            yield "transformer", {**known, **place, "activation": bend, "n_head": n}
    elif "widen.weight" in shapes and width:
        known = {"context": size("widen.weight", 1) // width, "d_embed": width, "width": size("widen.weight", 0)}
        known |= {"depth": count(r"layers\.(\d+)\."), "norm": "norm_final.weight" in shapes}
        for skip in (1.0, 0.0, 0.5):
            yield "residual", {**known, "skip": skip}
    elif "hidden.0.linear.weight" in shapes and width:
        known = {"context": size("hidden.0.linear.weight", 1) // width, "d_embed": width}
        known |= {"d_hidden": size("hidden.0.linear.weight", 0), "n_hidden": count(r"hidden\.(\d+)\.")}
        yield "mlp", {**known, "batch_norm": any(".norm." in name for name in shapes)}
    elif units := size("layers.0.cells.weight_hh_l0", 1):
        known = {"d_embed": width, "d_hidden": units, "n_layer": count(r"layers\.(\d+)\.")}
        for cell, kernel in CELLS.items():
            if size("layers.0.cells.weight_hh_l0", 0) == kernel.sums * units:
                yield "recurrent", {**known, "cell": cell}
    elif layers := count(r"layers\.(\d+)\."):
        fuse = not any("filter_gate" in name for name in shapes)
        known = {"channels": width, "variant": "fuse" if fuse else "dilated"}
        known |= {} if fuse else {"skip_channels": size("skip.weight", 0)}
        for cycles in (n for n in range(1, layers + 1) if layers % n == 0):
            yield "wavenet", {**known, "n_layer": layers // cycles, "n_cycle": cycles}


_ROOTS = {
    *("token_embedding", "position_embedding", "trigram_embedding", "smear", "blocks", "ln_final", "lm_head"),
    *("logits", "hidden", "head", "widen", "layers", "norm_final", "skip", "mix", "unigram", "orders"),
}

FAMILY = Family(
    frozenset(_ROOTS),
    re.compile(r"(^|\.)(token_embedding\.weight|logits|unigram)$"),
    from_own,
)
