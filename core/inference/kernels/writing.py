"""Writes characters: guesses some ahead, reads them in one pass, draws, and keeps the guesses that were drawn."""

import numpy as np
from numba import njit

from core.inference.kernels.drawing import draw
from core.inference.kernels.guessing import learn, predict
from core.inference.kernels.interpreter import run
from core.inference.kernels.intrinsics import OPTIONS
from core.models.program import BEFORE, GUESSES


@njit(**OPTIONS)
def write(  # type: ignore[no-untyped-def]
    logit_steps,
    steps,
    floats,
    shorts,
    halves,
    state,
    work,
    nonzero,
    scratch,
    splits,
    progress,
    ids,
    start,
    at,
    noise,
    temperature,
    top_k,
    top_p,
    probs,
    written,
    drawn,
    logits,
    probabilities,
    least,
    guesses,
    tables,
):
    """Read the latest of ids (B, BEFORE + 2 + GUESSES) and draw the next, until every text has written `least`.

    If the latest were read already, `logit_steps` are the steps left that lead to what is drawn from; else there are
    none. So many `guesses` are made of each text and the places behind them computed with the first, more of the others
    once a text is at its end; they stand as long as they are what is drawn. With less than none nothing is learned for
    guesses either. Returns in how many passes. start: the position of the first character that is written. noise,
    logits: (N, B, V); drawn, probabilities: (N, B); written: (B,) how many of N each text has. ids and written move on;
    those of a text stay where they are if nothing can be drawn, and then all ends.
    """
    B, V = len(ids), logits.shape[2]
    starts, counts = np.empty(B, np.int64), np.empty(B, np.int64)
    passes = 0
    possible, anew = True, len(logit_steps) == 0
    while possible and written.min() < least:
        going = 0
        for text in range(B):
            going += written[text] < len(drawn)
        places = min(1 + GUESSES, B * (1 + guesses) // going) if guesses > 0 and anew else 1
        for text in range(B):
            first = written[text]
            starts[text], counts[text] = start + first, min(places, len(drawn) - first)
            for t in range(1, counts[text]):
                guess = draw(
                    predict(tables, ids[text], BEFORE + t - 1),
                    noise[first + t - 1, text],
                    temperature,
                    top_k,
                    top_p,
                    probs,
                )
                ids[text, BEFORE + t] = max(0, guess)
        memory = state, work, nonzero, scratch, splits
        run(steps if anew else logit_steps, floats, shorts, halves, *memory, progress, ids, starts, counts, B, 0)
        anew = True
        passes += 1
        r = 0
        for text in range(B):
            new, right = 0, True
            while right and new < counts[text]:
                place = written[text] + new
                logits[place, text] = work[r + new, at : at + V]
                chosen = draw(logits[place, text], noise[place, text], temperature, top_k, top_p, probs)
                if chosen < 0:
                    possible = False
                    break
                drawn[place, text], probabilities[place, text] = chosen, probs[chosen]
                if guesses >= 0:
                    learn(tables, ids[text], BEFORE + new, logits[place, text])
                new += 1
                right = ids[text, BEFORE + new] == chosen
                ids[text, BEFORE + new] = chosen
            for i in range(BEFORE + 1):
                ids[text, i] = ids[text, i + new]
            written[text] += new
            r += counts[text]
    return passes
