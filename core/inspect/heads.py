"""What heads look for, measured: how much of its attention a head gives to a kind of key, against giving it evenly.

Measured on windows of real text, each beginning with a speech, and for induction on random text that is repeated
(Olsson et al. 2022, "In-context learning and induction heads", the prefix-matching score). The definitions of previous
and current token follow common use (Clark et al. 2019, "What does BERT look at?"); the others are this text's own.

Letters: B windows, T query positions, S key positions, K kinds, L layers, H heads.
"""

import re
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.inspect.attention import attention_layers
from core.inspect.trace import trace
from core.models.contract import LanguageModel
from core.texts.tokenizer import CharTokenizer

STANDS_OUT = 0.2
LONGEST = 256
TEXT, REPEATED = 768, 256
"""Characters of real and of repeated random text."""


@dataclass(frozen=True)
class Kind:
    """Something a head may look for."""

    key: str
    title: str
    help: str


KINDS: tuple[Kind, ...] = (
    Kind("self", "itself", "The character that asks."),
    Kind("previous", "previous character", "The character just before."),
    Kind("same", "same character", "Earlier occurrences of the character that asks."),
    Kind("word", "word start", "The first letter of the word, asked by its third letter or a later one."),
    Kind("line", "line start", "The line's first character and the line break before it, from its third character on."),
    Kind("speaker", "speaker name", "The name over the speech, asked by the speech."),
    Kind("induction", "induction", "What followed the last time this character came up; on repeated random text."),
)
SPEAKER = re.compile(r"(?:\A|(?<=\n\n))[^\n:]{1,40}:(?=\n)")


@dataclass(frozen=True)
class Probe:
    """Text to measure heads on, with the keys that each kind means. Made once, used for many models."""

    ids: tuple[Tensor, Tensor]
    """(B, T) real text, (B', T') repeated random text."""
    targets: tuple[Tensor, Tensor]
    """(B, K, T, S) and (B', K, T', S'), 1.0 where kind k means key s for query t; rows without any do not count."""


@dataclass(frozen=True)
class HeadScores:
    """How far each head does each thing."""

    kinds: tuple[Kind, ...]
    score: NDArray[np.float64]
    """(K, L, H): mean attention given to the keys of a kind, over all queries that have such a key."""
    chance: NDArray[np.float64]
    """(K,): the same for a head that looks evenly at all it sees. NaN, as the score, if no query has such a key."""
    entropy: NDArray[np.float64]
    """(L, H): mean entropy of the rows, nats; 0 looks at one key, ln(t + 1) evenly at all."""
    distance: NDArray[np.float64]
    """(L, H): mean number of characters looked back."""

    @property
    def lift(self) -> NDArray[np.float64]:
        """(K, L, H): (score - chance) / (1 - chance): 0 at chance, 1 if all attention goes to the kind."""
        chance = self.chance[:, None, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            lift: NDArray[np.float64] = (self.score - chance) / (1 - chance)
        return lift

    def label(self, layer: int, head: int) -> Kind | None:
        """Return the kind of largest lift if that is STANDS_OUT (0.2) or more, else None: the head is mixed."""
        lift = np.nan_to_num(self.lift[:, layer, head], nan=-1.0)
        best = int(lift.argmax())
        return self.kinds[best] if lift[best] >= STANDS_OUT else None


def probe(text: str, tokenizer: CharTokenizer, context: int, seed: int = 0) -> Probe:
    """Choose windows of `text`, spread evenly, and make repeated random text, for models of that context.

    Windows begin with a speech and are as long as the context, at most LONGEST. `text` without the characters that
    the tokenizer lacks must not be empty.
    """
    text = tokenizer.drop_unknown(text)
    T = min(context, LONGEST, len(text))
    starts = [m.start() for m in SPEAKER.finditer(text) if m.start() + T <= len(text)] or [0]
    count = min(max(2, TEXT // T), len(starts))
    windows = [text[start : start + T] for start in (starts[i * len(starts) // count] for i in range(count))]
    n = max(1, min(context, LONGEST) // 2)
    generator = torch.Generator().manual_seed(seed)
    once = torch.randint(tokenizer.size, (max(1, REPEATED // (2 * n)), n), generator=generator)  # (B', n)
    repeated = torch.cat((once, once), dim=1)  # (B', 2n)
    blank = torch.zeros(len(KINDS), 2 * n, 2 * n)  # (K, T', S')
    if n > 1:
        query = torch.arange(n, 2 * n)
        blank[-1, query, query - n + 1] = 1.0
    return Probe(
        (torch.tensor([tokenizer.encode(w) for w in windows]), repeated),
        (torch.stack([targets(w) for w in windows]), blank.expand(len(repeated), -1, -1, -1)),
    )


def targets(text: str) -> Tensor:
    """Return which keys each kind means in a text of T characters: (K, T, S), zeros for induction."""
    T = len(text)
    keys = torch.zeros(len(KINDS), T, T)
    place = torch.arange(T)
    own, previous, same, word, line, speaker = keys[:6]
    own[place, place] = 1.0
    previous[place[1:], place[:-1]] = 1.0
    codes = torch.tensor([ord(c) for c in text])
    same[:] = (codes[:, None] == codes[None, :]).tril(-1)
    for match in re.finditer(r"\w\w{2,}", text):
        word[match.start() + 2 : match.end(), match.start()] = 1.0
    for match in re.finditer(r"(?:\A|(?<=\n))[^\n]{3,}", text):
        line[match.start() + 2 : match.end(), max(0, match.start() - 1) : match.start() + 1] = 1.0
    names = list(SPEAKER.finditer(text))
    ends = [*(name.start() for name in names[1:]), T]
    for name, end in zip(names, ends, strict=False):
        speaker[name.end() : end, name.start() : name.end()] = 1.0
    return keys


@torch.no_grad()
def head_scores(model: LanguageModel, probe: Probe) -> HeadScores:
    """Measure every head of a model on a probe made for its alphabet and context. Its weights are not changed."""
    real, repeated = _Measure(model, probe.ids[0]), _Measure(model, probe.ids[1])
    K = len(KINDS)
    score = np.concatenate([real.score(probe.targets[0])[: K - 1], repeated.score(probe.targets[1])[K - 1 :]])
    chance = np.concatenate([_chance(probe.targets[0])[: K - 1], _chance(probe.targets[1])[K - 1 :]])
    return HeadScores(KINDS, score, chance, real.entropy(), real.distance())


class _Measure:
    """The patterns of one batch of windows."""

    def __init__(self, model: LanguageModel, ids: Tensor) -> None:
        names = [f"{path}.pattern" for path in attention_layers(model)]
        run = trace(model, ids, tuple(names))
        self.patterns = [run[name] for name in names]  # (B, H, T, S) each

    def score(self, targets: Tensor) -> NDArray[np.float64]:
        """Mean attention on targets (B, K, T, S): (K, L, H), NaN for a kind without any."""
        queries = targets.any(dim=-1).sum(dim=(0, 2))  # (K,) queries that have such a key
        flat = targets.flatten(2).transpose(1, 2)  # (B, T·S, K)
        mass = torch.stack([(p.flatten(2) @ flat).sum(0) for p in self.patterns])  # (L, H, K)
        score: NDArray[np.float64] = (mass.double() / queries.where(queries > 0, torch.nan)).permute(2, 0, 1).numpy()
        return score

    def entropy(self) -> NDArray[np.float64]:
        """Mean entropy of the rows, nats: (L, H)."""
        rows = [torch.special.entr(p).sum(-1).mean(dim=(0, 2)) for p in self.patterns]  # (H,) each
        entropy: NDArray[np.float64] = torch.stack(rows).double().numpy()
        return entropy

    def distance(self) -> NDArray[np.float64]:
        """Mean number of characters between query and key: (L, H)."""
        back = torch.arange(self.patterns[0].shape[-1]).float()
        distance = (back[:, None] - back[None, :]).tril()  # (T, S)
        means = [torch.einsum("bhts,ts->bht", p, distance).mean(dim=(0, 2)) for p in self.patterns]  # (H,) each
        distances: NDArray[np.float64] = torch.stack(means).double().numpy()
        return distances


def _chance(targets: Tensor) -> NDArray[np.float64]:
    """Return what an even look at all visible keys would give to targets (B, K, T, S): (K,)."""
    wanted = targets.sum(-1)  # (B, K, T)
    visible = torch.arange(1, wanted.shape[-1] + 1)  # (T,)
    queries = (wanted > 0).sum(dim=(0, 2))  # (K,)
    share = (wanted / visible).sum(dim=(0, 2)).double()  # (K,)
    chance: NDArray[np.float64] = (share / queries.where(queries > 0, torch.nan)).numpy()
    return chance
