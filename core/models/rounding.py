"""A model whose weights are rounded to bfloat16: half the bytes to read for every character.

Only what is stored is rounded; everything is computed in float32. Vectors of weights (biases, the scales of
LayerNorm) stay as they are.
"""

import copy
from threading import Lock
from weakref import WeakKeyDictionary

import torch

from core.models.contract import LanguageModel

_lock = Lock()
_rounded: WeakKeyDictionary[LanguageModel, tuple[object, LanguageModel]] = WeakKeyDictionary()


def stamp(model: LanguageModel) -> tuple[tuple[int, int], ...]:
    """What changes when any of the model's numbers does."""
    tensors = (*model.parameters(), *model.buffers())
    return tuple((p.data_ptr(), p._version) for p in tensors if not p.is_inference())


def is_rounded(model: LanguageModel) -> bool:
    """Whether rounding would change no matrix of the model, as those that ship: their halves are all there is then."""
    return all(torch.equal(p, p.bfloat16().float()) for p in model.parameters() if p.ndim > 1)


def rounded(model: LanguageModel) -> LanguageModel:
    """Give the model with every matrix rounded to bfloat16, made once for its weights as they are now."""
    now = stamp(model)
    with _lock:
        known = _rounded.get(model)
        if known is None or known[0] != now:
            with torch.inference_mode(False), torch.no_grad():
                twin = copy.deepcopy(model).eval()
                for weight in twin.parameters():
                    if weight.ndim > 1:
                        weight.copy_(weight.bfloat16())
            known = _rounded[model] = (now, twin)
        return known[1]
