"""Who looks at whom: the attention of one prompt, layer by layer and head by head, and one head opened into its parts.

All numbers come from one trace of the run that made the prediction. What a head adds to the residual stream at query t
is the sum over keys s of `pattern[t, s] * v[s] @ W_O`, W_O being the head's rows of the output projection (Elhage et
al. 2021, "A mathematical framework for transformer circuits"); its size is `pattern[t, s] * value_norm[s]`.

Letters: L layers with attention, H heads, T query positions, S key positions, C d_model, D = C / H.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BardlabError
from core.inspect.trace import trace
from core.ladder.registry import rungs_whose
from core.models.contract import LanguageModel
from core.models.transformer import Attention

Floats = NDArray[np.float32]
LARGEST = 8_000_000
"""Weights (L · H · T · S / 2) that a view holds at most; a window with more is shortened."""


@dataclass(frozen=True)
class OpenHead:
    """One head with everything it computed for a prompt."""

    q: Floats
    """(T, D) queries, turned by their positions if these are rotary."""
    k: Floats
    """(S, D) keys, likewise."""
    v: Floats
    """(S, D) values."""
    attn_scores: Floats
    """(T, S): q · k / √D, and minus infinity where the key comes after the query."""
    pattern: Floats
    """(T, S): softmax of the scores; rows sum to 1."""
    z: Floats
    """(T, D): pattern @ v, what the head carries to each position."""
    value_norm: Floats
    """(S,): ‖v W_O‖."""


@dataclass(frozen=True)
class AttentionMaps:
    """The attention of every head for one prompt, and what is needed to open any of them."""

    pattern: Floats
    """(L, H, T, S): rows sum to 1, nothing after the query."""
    value_norm: Floats
    """(L, H, S): ‖v W_O‖, the length of what a head writes if it looks at that key alone."""
    _parts: Mapping[str, Floats]
    """q, k, v, z (L, H, T, D) and attn_scores (L, H, T, S)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, heads, positions."""
        L, H, T, _ = self.pattern.shape
        return L, H, T

    def open(self, layer: int, head: int) -> OpenHead:
        """Return one head's parts. Raises BardlabError if there is no such head."""
        L, H, _ = self.shape
        if not (0 <= layer < L and 0 <= head < H):
            raise BardlabError(f"there is no head {layer}.{head}; layers go to {L - 1}, heads to {H - 1}")
        parts = {name: values[layer, head] for name, values in self._parts.items()}
        return OpenHead(pattern=self.pattern[layer, head], value_norm=self.value_norm[layer, head], **parts)


def attention_layers(model: LanguageModel) -> dict[str, Attention]:
    """List the model's attention modules by their path, in the order in which they act."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Attention)}


@cache
def rungs_with_attention() -> tuple[str, ...]:
    """Return the keys of the rungs whose models attend."""
    return rungs_whose(attention_layers)


def window(model: LanguageModel) -> int:
    """Return how many characters of a prompt, its last ones, a view shows: the context, or what LARGEST allows."""
    count = sum(layer.n_head for layer in attention_layers(model).values())
    return min(model.usual_window, max(2, int((2 * LARGEST / max(1, count)) ** 0.5)))


def attention_maps(model: LanguageModel, ids: Sequence[int] | Tensor) -> AttentionMaps:
    """Run the model on ids (T,) and return its attention.

    Raises BardlabError if the model has none, or if there are no ids or more than the context.
    """
    layers = attention_layers(model)
    if not layers:
        raise BardlabError("this model has no attention; choose a Transformer")
    if not 0 < len(ids) <= model.readable(len(ids)):
        raise BardlabError(f"give 1 to {model.context} characters, the model's context, not {len(ids)}")
    names = ("q", "k", "v", "attn_scores", "pattern", "z")
    run = trace(model, torch.as_tensor(ids)[None], tuple(f"{path}.{name}" for path in layers for name in names))
    parts = {name: _stacked([run[f"{path}.{name}"][0] for path in layers]) for name in names}  # (L, H, T, D|S) each
    norms = [value_norm(layer, run[f"{path}.v"])[0] for path, layer in layers.items()]
    return AttentionMaps(parts.pop("pattern"), _stacked(norms), parts)


@torch.no_grad()
def value_norm(attention: Attention, v: Tensor) -> Tensor:
    """Return ‖v W_O‖ (B, H, S) of values v (B, H, S, D): how long a vector each would add to the residual stream."""
    C = attention.proj.weight.shape[0]
    W_O = attention.proj.weight.view(C, attention.n_head, -1)  # (C, H, D)
    gram = torch.einsum("chd,che->hde", W_O, W_O)  # (H, D, D) lengths need W_O W_Oᵀ only
    return torch.einsum("bhsd,hde,bhse->bhs", v, gram, v).clamp_min(0).sqrt()  # (B, H, S)


def _stacked(parts: list[Tensor]) -> Floats:
    values: Floats = torch.stack(parts).float().cpu().numpy()
    return values


def weights_csv(maps: AttentionMaps, tokens: str, heads: Iterable[tuple[int, int]]) -> bytes:
    """Write the attention of some heads as a table, one line a weight, exactly as traced.

    Columns: layer, head, query, key (positions), query_character, key_character, weight, contribution (weight times
    ‖v W_O‖). Keys after the query are left out.
    """
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["layer", "head", "query", "key", "query_character", "key_character", "weight", "contribution"])
    queries, keys = np.tril_indices(len(tokens))  # (T (T + 1) / 2,) each
    asking, asked = [tokens[i] for i in queries], [tokens[i] for i in keys]
    for layer, head in heads:
        weight = maps.pattern[layer, head][queries, keys]
        norm = maps.value_norm[layer, head][keys]
        each = zip(queries.tolist(), keys.tolist(), asking, asked, weight, weight * norm, strict=True)
        table.writerows((layer, head, t, s, a, b, f"{w:.9g}", f"{c:.9g}") for t, s, a, b, w, c in each)
    return out.getvalue().encode()
