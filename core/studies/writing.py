"""Texts that grow while somebody watches: written a slice at a time, each character with what the model thought of it.

Nothing runs aside: whoever watches asks for the next slice, and nobody who has gone keeps a model writing.
"""

import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from threading import Lock
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from core.models.contract import LanguageModel
from core.sampling import Choice, SamplingConfig, next_distribution, streams
from core.settings import setting
from core.texts.tokenizer import CharTokenizer

RIVALS = 10
"""The likeliest characters that are kept of each distribution."""
SLICE = 0.08
"""Seconds that one slice takes, about."""


class WritingConfig(SamplingConfig):
    """How texts are written beside each other, and where they end."""

    samples: int = setting(1, "Texts side by side. Each draws with the next seed.", ge=1, le=8, step=1)
    stop: Literal["length", "blank", "speaker", "string"] = setting(
        "length",
        "What ends a text before its length does: an empty line, a speaker's name on a line of its own, or a given "
        "string. It is the last thing in the text.",
    )
    stop_at: str = setting("", "The string that ends a text. \\n stands for a line break.", longest=100)


@dataclass(frozen=True)
class Judged:
    """What the model thought of N characters that follow each other; K rivals of each are kept, the likeliest first."""

    ids: NDArray[np.int64]
    """(N,) what was drawn."""
    before: NDArray[np.float64]
    """(N,) its chance by the model itself."""
    after: NDArray[np.float64]
    """(N,) its chance after temperature and cuts."""
    bits: NDArray[np.float64]
    """(N,) -log2 of its chance by the model itself."""
    rank: NDArray[np.int64]
    """(N,) its place by the model's chances, 1 the likeliest."""
    open: NDArray[np.int64]
    """(N,) how many characters could be drawn."""
    rivals: NDArray[np.int64]
    """(N, K) the likeliest characters."""
    rivals_before: NDArray[np.float64]
    """(N, K) their chances by the model itself."""
    rivals_after: NDArray[np.float64]
    """(N, K) their chances after temperature and cuts."""


def judged(choices: Sequence[Choice], rivals: int = RIVALS) -> Judged:
    """Work out what the model thought of characters that were drawn with the same settings."""
    logits = torch.stack([choice.logits for choice in choices])  # (N, V)
    after = next_distribution(logits, choices[0].config)  # (N, V)
    logs = F.log_softmax(logits.double(), dim=-1)  # (N, V)
    ids = torch.tensor([choice.id for choice in choices])  # (N,)
    own = logs.gather(1, ids[:, None])  # (N, 1)
    best = logs.topk(min(rivals, logs.shape[1]), dim=1)  # (N, K)
    return Judged(
        ids=ids.numpy(),
        before=own[:, 0].exp().numpy(),
        after=np.array([choice.probability for choice in choices]),
        bits=(own[:, 0] / -math.log(2)).numpy(),
        rank=1 + (logs > own).sum(1).numpy(),
        open=(after > 0).sum(1).numpy(),
        rivals=best.indices.numpy(),
        rivals_before=best.values.exp().numpy(),
        rivals_after=after.gather(1, best.indices).double().numpy(),
    )


class Text:
    """One text as it grows."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.text = ""
        self.ended = ""
        """Why it is at its end: "length", what it was to stop at, or "stopped". Empty while it grows."""
        self._pieces: list[Judged] = []

    def judge(self, choices: Sequence[Choice]) -> None:
        """Keep what the model thought of the newest characters."""
        if choices:
            self._pieces.append(judged(choices))

    def since(self, have: int) -> Judged | None:
        """What is known of all characters but the first `have`; None if there are no others."""
        pieces: list[Judged] = []
        at = sum(len(piece.ids) for piece in self._pieces)
        if have >= at:
            return None
        for piece in reversed(self._pieces):
            if at <= have:
                break
            at -= len(piece.ids)
            pieces.insert(0, piece)
        columns: dict[str, Any] = {
            field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])[have - at :]
            for field in fields(Judged)
        }
        return Judged(**columns)


def ends(prompt: str, text: str, stop: str, string: str = "") -> bool:
    """Whether the last character of a text completes what it is to stop at.

    A line counts if it began in the text, not in the prompt.
    """
    if stop == "string":
        return bool(string) and text.endswith(string)
    if stop == "length" or not text.endswith("\n"):
        return False
    begins = text.rfind("\n", 0, -1) + 1
    line, before = text[begins:-1], prompt[-2:] + text[:begins]
    if stop == "blank":
        return not line and before.endswith("\n")
    return len(line) > 1 and line.endswith(":") and before.endswith("\n\n")


class Writing:
    """Texts by one model from one prompt, each with the next seed."""

    def __init__(self, model: LanguageModel, tokenizer: CharTokenizer, prompt: str, config: WritingConfig) -> None:
        self.prompt, self.config, self.characters = prompt, config, tokenizer.chars
        self.string = tokenizer.meant(config.stop_at)
        self.name = uuid.uuid4().hex
        """Tells it from every other one."""
        self.context: int | None = model.context
        self.seconds = 0.0
        """How long it took so far."""
        self.texts = [Text(config.seed + i) for i in range(config.samples)]
        self._steps = streams(model, [tokenizer.encode(prompt)] * config.samples, config, fast=True, pauses=True)
        self._turn = Lock()
        self._stopped = False

    @property
    def done(self) -> bool:
        """Whether every text is at its end."""
        return all(text.ended for text in self.texts)

    @property
    def written(self) -> int:
        """How many characters there are, in all texts together."""
        return sum(len(text.text) for text in self.texts)

    def advance(self, seconds: float = SLICE) -> None:
        """Write for about so many seconds. Of two threads that ask at once the second goes on after the first."""
        with self._turn:
            if self.done:
                return
            began = time.perf_counter()
            fresh: list[list[Choice]] = [[] for _ in self.texts]
            for step in self._steps:
                for text, mine, choice in zip(self.texts, fresh, step, strict=bool(step)):  # nothing while it reads
                    if not text.ended:
                        mine.append(choice)
                        text.text += self.characters[choice.id]
                        if ends(self.prompt, text.text, self.config.stop, self.string):
                            text.ended = self.config.stop
                if self._stopped or self.done or time.perf_counter() - began > seconds:
                    break
            else:
                self._end("length")
            for text, mine in zip(self.texts, fresh, strict=True):
                text.judge(mine)
            self.seconds += time.perf_counter() - began

    def stop(self) -> None:
        """Let every text end where it is; a slice that is being written ends with its next character."""
        self._stopped = True
        with self._turn:
            self._end("stopped")

    def _end(self, why: str) -> None:
        for text in self.texts:
            text.ended = text.ended or why
