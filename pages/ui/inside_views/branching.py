"""Lets a model write a tree of continuations, each branch once; and says what spoke for one character, not another."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st

from core.inspect.lens import contrast, has_stream
from core.runs.state import Run
from core.sampling import Choice, Rival, SamplingConfig, generate
from core.texts.branches import MOST, Branch, Tree
from core.texts.labels import visible
from pages.turns import DRAWING
from pages.ui.choosers import runs
from pages.ui.components.texts.branch_text import Letter
from pages.ui.plots.figure import figure as plot
from pages.ui.plots.figures import arguments
from pages.ui.wording import inline, plain

RIVALS = 8
"""Characters told of each place; of the chosen one, all."""
KEPT = 2 * MOST
"""Branches that are kept of what a model wrote."""
SOON, REDRAW = 0.3, 0.1  # seconds that writing may take without a word, and between two words
SHOWN = 14
"""Parts of a model with a bar of their own; the others share one."""


@dataclass(frozen=True)
class Written:
    """The own characters of a branch."""

    text: str
    choices: tuple[Choice, ...]
    rivals: tuple[Sequence[Rival], ...]


_kept: WeakKeyDictionary[Any, dict[tuple[object, ...], Written]] = WeakKeyDictionary()
"""Of each model in memory, what it wrote; for all visitors."""


class Progress:
    """Says how far a long writing is: the place where Streamlit can end it, for a visitor who has gone."""

    def __init__(self, characters: int) -> None:
        self.bar, self.of, self.done = st.empty(), characters, 0
        self.drawn = time.monotonic() + SOON - REDRAW

    def passed(self, characters: int) -> None:
        """So many more are there."""
        self.done += characters
        if (now := time.monotonic()) - self.drawn > REDRAW:
            self.drawn = now
            DRAWING.leave()
            self.bar.progress(min(1.0, self.done / self.of), f"{self.done:,} of {self.of:,} characters are written")


def grown(model: Any, tokenizer: Any, tree: Tree) -> list[Written]:
    """Write every branch of a tree, all of whose characters are in the alphabet. What was written before is kept."""
    kept = _kept.setdefault(model, {})
    found: list[Written] = []
    progress = Progress(sum(branch.tokens for branch in tree.branches))
    for branch in tree.branches:
        texts = [written.text for written in found]
        before = tree.prompt if branch.parent < 0 else tree.text(branch.parent, texts, branch.at)
        key = (before, branch.taken, *branch.settings)
        written = kept.get(key)
        if written is None:
            origin = found[branch.parent].choices[branch.at] if branch.taken else None
            written = kept[key] = _write(model, tokenizer, before, branch, origin, progress)
            if len(kept) > KEPT:
                kept.pop(next(iter(kept)), None)
        else:
            progress.passed(branch.tokens)
        found.append(written)
    progress.bar.empty()
    return found


def _write(
    model: Any, tokenizer: Any, before: str, branch: Branch, origin: Choice | None, progress: Progress
) -> Written:
    """Write one branch after a text. `origin` is what stood where a character was taken."""
    values = {"temperature": branch.temperature, "top_k": branch.top_k, "tokens": branch.tokens, "seed": branch.seed}
    config = SamplingConfig.parse(values)
    choices, rivals = [], []
    if origin is not None:
        (taken,) = tokenizer.encode(branch.taken)
        chance = next(rival.after for rival in Choice(taken, origin.logits, 0.0, config).rivals(tokenizer.size)
                      if rival.id == taken)  # fmt: skip
        choices.append(Choice(taken, origin.logits, chance, config))
        rivals.append(choices[0].rivals(RIVALS))
    for choice in generate(model, tokenizer.encode(before + branch.taken), config, fast=True):
        choices.append(choice)
        rivals.append(choice.rivals(RIVALS))
        progress.passed(1)
    return Written(tokenizer.decode([choice.id for choice in choices]), tuple(choices), tuple(rivals))


def letters(tree: Tree, written: Sequence[Written], number: int) -> list[Letter]:
    """Everything that was written on the way to the end of a branch."""
    found = []
    for branch, count in tree.way(number):
        own = written[branch]
        for place in range(count):
            choice = own.choices[place]
            bits = -choice.log_probability / math.log(2)
            told = (bits, choice.probability, choice.rank, own.rivals[place])
            found.append(Letter(own.text[place], branch, place, *told))
    return found


def why_not(run: Run, model: Any, tokenizer: Any, before: str, here: str, rival: str) -> None:
    """Draw which parts of a model argue for the character that stands after a text, and which for a rival."""
    st.header(f"Why not “{plain(visible(rival))}”?")
    if not has_stream(model):
        st.info(
            f"{plain(run.label)} has no residual stream: its layers replace what came before, so there are no parts to "
            "add up. The runs of these rungs have one:",
            icon=":material/layers_clear:",
        )
        runs.link_rungs_with_a_stream()
        return
    found = contrast(model, tokenizer.encode(before), *tokenizer.encode(here + rival))
    order = sorted(range(len(found.parts)), key=lambda part: -abs(found.adds[part]))
    shown, others = order[:SHOWN], order[SHOWN:]
    bars = {found.parts[part]: float(found.adds[part]) for part in shown}
    if others:
        bars[f"{len(others)} others"] = float(found.adds[others].sum())
    plot(arguments(bars, visible(here), visible(rival)), "branches.why", "why-not")
    st.caption(
        f"What each part adds to the logit of {inline(visible(here))}, less what it adds to that of "
        f"{inline(visible(rival))}. The bars add up to {found.adds.sum():+.4f}; the logits of the model differ by "
        f"{found.whole:+.4f} (rounding leaves {found.residual:+.1e}): under the model, "
        f"{inline(visible(here if found.whole >= 0 else rival))} is {plain(_times(abs(found.whole)))} as likely as the "
        "other."
    )


def _times(nats: float) -> str:
    return f"{math.exp(nats):,.2f} times" if nats < 20 else f"10^{nats / math.log(10):.0f} times"
