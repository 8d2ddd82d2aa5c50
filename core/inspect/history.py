"""How a model came to be what it is: its snapshots looked at one by one, its milestones, and what each head took up.

Letters: S snapshots, V vocabulary, L layers, H heads, K kinds of attention, T positions.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from core.inspect.embeddings import Array, classes_of, neighbours, same_class, token_vectors
from core.inspect.heads import HeadScores, Probe, head_scores
from core.inspect.trace import trace
from core.models.contract import LanguageModel
from core.runs.state import Sample

ACTIVATION_EDGES: Array = np.sinh(np.linspace(-6, 6, 161))
"""(N + 1,) of the histograms of activations, alike for all snapshots and layers: fine around zero, out to ±200."""
NEAR = 5
"""How many neighbours of a character are compared from one snapshot to the next."""
LEAP = 0.15
"""The least rise of an attention score from one snapshot to the next that is a milestone."""
BROKEN_LINE_AFTER_A_NAME = re.compile(r"^[A-Z][A-Za-z ]*:\n", re.MULTILINE)


@dataclass(frozen=True)
class Portrait:
    """What one snapshot is like, whatever it is asked."""

    step: int
    vectors: Array | None
    """(V, d) what it knows of each character."""
    scores: HeadScores | None
    """What its heads look for; None without attention."""


@dataclass(frozen=True)
class Answer:
    """What one snapshot makes of a prompt."""

    probabilities: NDArray[np.float32]
    """(V,) of the next character."""
    pattern: NDArray[np.float32] | None
    """(L, H, T, T) attention, over the last positions of the prompt; None without attention."""
    activations: NDArray[np.float32]
    """(M, N) what the units of each of M hidden layers give on the prompt: the share in each of N bins."""


@dataclass(frozen=True)
class Spread:
    """How the numbers of one weight are spread at each of several moments. N bins."""

    edges: Array
    """(N + 1,) the same for all moments, around zero."""
    shares: Array
    """(S, N) of the numbers in each bin; those beyond the ends are in the end bins."""
    deviation: Array
    """(S,) their standard deviation."""
    moved: Array
    """(S,) root mean square of what sets them apart from the first moment."""


def spread(moments: Sequence[Array], bins: int = 61) -> Spread:
    """Return histograms in N = `bins` bins of a weight at S moments, an array of one shape (whichever) each.

    The range holds 99.9 % of the numbers of every moment.
    """
    reach = max(float(np.quantile(np.abs(values), 0.999)) for values in moments) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)  # (N + 1,)
    counts = np.stack([np.histogram(np.clip(values, -reach, reach), edges)[0] for values in moments])  # (S, N)
    first = moments[0]
    moved = np.array([math.sqrt(float(((values - first) ** 2).mean())) for values in moments])  # (S,)
    return Spread(edges, counts / first.size, np.array([float(values.std()) for values in moments]), moved)


@dataclass(frozen=True)
class Career:
    """Some quantities along the snapshots, drawn together: one line each."""

    key: str
    title: str
    help: str
    lines: tuple[str, ...]
    values: NDArray[np.float64]
    """(S, lines): NaN where there is nothing to say."""


@dataclass(frozen=True)
class Milestone:
    """Something that happened at a step."""

    step: int
    label: str
    help: str


def portrait(model: LanguageModel, step: int, probe: Probe | None) -> Portrait:
    """Look at one snapshot. A `probe` is for models with attention."""
    return Portrait(step, token_vectors(model), head_scores(model, probe) if probe else None)


def answer(model: LanguageModel, ids: Sequence[int], shown: int) -> Answer:
    """Ask one snapshot for the character after ids (T,); of its attention keep the last `shown` positions.

    T may not exceed the context unless the model slides.
    """
    hidden = [bend.tap for bend in model.nonlinearities()]
    run = trace(model, torch.tensor([list(ids)]), (*hidden, *(("*.pattern",) if shown else ())))
    probabilities: NDArray[np.float32] = run.logits[0, -1].softmax(dim=-1).numpy()
    patterns = (heard for name, heard in run.activations.items() if name not in hidden)
    maps = [pattern[0, :, -shown:, -shown:] for pattern in patterns]  # (H, T, T) each
    given = [_shares(run.activations[tap].numpy()) for tap in hidden]  # (N,) each
    activations = np.stack(given) if given else np.zeros((0, len(ACTIVATION_EDGES) - 1), dtype=np.float32)
    return Answer(probabilities, torch.stack(maps).numpy() if maps else None, activations)


def _shares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return which share (N,) of the values lies in each bin; those beyond the ends are in the end bins."""
    inside = np.clip(values.ravel(), ACTIVATION_EDGES[0], ACTIVATION_EDGES[-1])
    return (np.histogram(inside, ACTIVATION_EDGES)[0] / max(1, inside.size)).astype(np.float32)


def careers(portraits: Sequence[Portrait], characters: str) -> list[Career]:
    """Draw up what the snapshots of one run, in order, allow to be followed."""
    lines = []
    if portraits and portraits[0].scores is not None:
        lines += _head_careers([p.scores for p in portraits if p.scores is not None])
    tables = [p.vectors for p in portraits if p.vectors is not None]
    if len(tables) == len(portraits):
        lines.append(_table_career(tables, characters))
    return lines


def _head_careers(scores: Sequence[HeadScores]) -> list[Career]:
    lifts = np.stack([score.lift for score in scores])  # (S, K, L, H)
    kinds = scores[0].kinds
    _, _, L, H = lifts.shape
    flat = lifts.reshape(*lifts.shape[:2], L * H)  # (S, K, L·H)
    best = np.where(np.isnan(flat).all(axis=2), np.nan, np.nan_to_num(flat, nan=-np.inf).max(axis=2))  # (S, K)
    everything = Career(
        "heads",
        "strongest head of each kind",
        "For each kind of attention the head that gives it most: 0 is what looking evenly at everything would give, "
        "1 is all of its attention.",
        tuple(kind.title for kind in kinds),
        best,
    )
    heads = tuple(f"{layer}.{head}" for layer in range(L) for head in range(H))
    return [everything, *(Career(kind.key, kind.title, kind.help, heads, flat[:, k]) for k, kind in enumerate(kinds))]


def _table_career(tables: Sequence[Array], characters: str) -> Career:
    classes = classes_of(characters)
    alike = [same_class(table, classes)[0] for table in tables]  # (S,)
    circles = [[set(order[:NEAR]) for order in neighbours(table)] for table in tables]  # (S, V)
    overlap = [np.nan]
    for before, now in pairwise(circles):
        overlap.append(float(np.mean([len(a & b) / max(1, len(a)) for a, b in zip(before, now, strict=True)])))
    return Career(
        "vectors",
        "character vectors",
        f"The share of characters whose nearest neighbour is of their own class (vowel, consonant, ...), and the share "
        f"of the {NEAR} nearest neighbours that were there one snapshot earlier.",
        ("neighbour of own class", "neighbours kept"),
        np.array([alike, overlap]).T,
    )


def milestones(
    val: tuple[NDArray[np.float64], NDArray[np.float64]],
    samples: Sequence[Sample],
    counted_bigram: float,
    steps: Sequence[int],
    followed: Sequence[Career],
) -> list[Milestone]:
    """Find what stands out along a run: its validation curve (steps, losses), its samples, its S snapshots' careers."""
    found = []
    at, loss = val
    usable = np.isfinite(loss)
    if usable.any():
        best = int(np.nanargmin(np.where(usable, loss, np.nan)))
        found.append(Milestone(int(at[best]), "best", f"the lowest validation loss, {loss[best]:.4f}"))
        below = np.flatnonzero(usable & (loss < counted_bigram))
        if len(below) and below[0] != best:
            help = f"the first evaluation below the counted bigram's {counted_bigram:.3f}"
            found.append(Milestone(int(at[below[0]]), "beats bigram", help))
    named = next((s for s in samples if BROKEN_LINE_AFTER_A_NAME.search(s.text)), None)
    if named is not None:
        found.append(Milestone(named.step, "first name", "the first sample with a speaker's name on a line of its own"))
    overview = next((c for c in followed if c.key == "heads"), None)
    if overview is not None and len(steps) > 1:
        rise = np.diff(overview.values, axis=0)  # (S-1, K)
        for kind, rises in zip(overview.lines, rise.T, strict=True):
            most = int(np.nan_to_num(rises, nan=-1.0).argmax())
            if rises[most] >= LEAP:
                low, high = overview.values[most : most + 2, overview.lines.index(kind)]
                help = f"a head for “{kind}” appears: score {low:.2f} to {high:.2f}"
                found.append(Milestone(int(steps[most + 1]), kind, help))
    return sorted(found, key=lambda m: m.step)


def film_csv(portraits: Sequence[Portrait], answers: Sequence[Answer], followed: Sequence[Career], chars: str) -> bytes:
    """Write S snapshots as a table, one line a number. Columns: step, what (next, or a career's key), of, value."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("step", "what", "of", "value"))
    for at, (portrait, answer) in enumerate(zip(portraits, answers, strict=True)):
        chances = zip(chars, answer.probabilities, strict=True)
        table.writerows((portrait.step, "next", character, f"{p:.9g}") for character, p in chances)
        for career in followed:
            lines = zip(career.lines, career.values[at], strict=True)
            table.writerows((portrait.step, career.key, line, f"{value:.9g}") for line, value in lines)
    return out.getvalue().encode()
