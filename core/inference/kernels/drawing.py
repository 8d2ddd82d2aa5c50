"""The drawing of a character from logits."""

import numpy as np
from numba import njit

from core.inference.kernels.intrinsics import ONE, OPTIONS, ZERO


@njit(**OPTIONS)
def draw(logits, noise, temperature, top_k, top_p, probs):  # type: ignore[no-untyped-def]
    """Draw by the rule of core/sampling.py: the largest of probability / noise. Returns -1 if nothing can be drawn."""
    V = len(logits)
    best = 0
    for i in range(1, V):
        if logits[i] > logits[best]:
            best = i
    if temperature < np.float32(1e-6):
        probs[:] = ZERO
        probs[best] = ONE
        return best if logits[best] == logits[best] else -1
    most = logits[best] / temperature
    least = np.float32(-np.inf)
    if 0 < top_k < V:
        least = np.sort(logits / temperature)[V - top_k]
    total = ZERO
    for i in range(V):
        scaled = logits[i] / temperature
        probs[i] = np.exp(scaled - most) if scaled >= least else ZERO
        total += probs[i]
    if not (0 < total < np.inf):
        return -1
    for i in range(V):
        probs[i] /= total
    if top_p < ONE:
        order = np.argsort(-probs, kind="mergesort")
        before, kept = ZERO, ZERO
        for i in order:
            share = probs[i]
            if before < top_p:
                kept += share
            else:
                probs[i] = ZERO
            before += share
        for i in range(V):
            probs[i] /= kept
    drawn, highest = 0, np.float32(-1)
    for i in range(V):
        height = probs[i] / noise[i]
        if height > highest:
            drawn, highest = i, height
    return drawn
