"""Copied or new: how much of what a run writes stands word for word in its training text, over its snapshots."""

import threading
import time
from collections.abc import Iterator

import pandas as pd
import streamlit as st

from core.runs import layout, records
from core.runs.metrics import TRAIN_LOSS, VAL_LOSS
from core.runs.state import Run
from core.studies import novelty as study
from core.studies.novelty import Counts, Row
from core.texts.corpus import Corpus
from core.texts.places import place
from pages.ui import loaders, wording
from pages.ui.choosers import in_view
from pages.ui.components.charts.curves import Landmark, curves, plain_curve
from pages.ui.inside_views import copied
from pages.ui.plots.colours import place_of
from pages.ui.rung_views.followed import followed
from pages.ui.wording import GONE

AT_A_TIME = 0.4
"""Seconds that one drawing computes."""


def novelty(run: Run) -> None:
    """The share of copied pieces over the snapshots, beside the losses and what the validation text shares anyway."""
    st.header("Copied or new?")
    corpus = loaders.text_of(run)
    if corpus is None:
        st.caption(f"What is copied is looked up in the run’s text: {GONE}")
        return
    if not layout.snapshot_steps(run.path):
        st.caption("This run has kept no snapshots yet, so nothing can be followed over it.")
        return
    size = in_view.choice(
        st.columns([1, 2])[0].select_slider,
        "Characters in a piece",
        tuple(study.SIZES),
        name="piece",
        default=study.USUAL,
        key="novelty.piece",
        help="A piece is copied if it stands in the training text word for word. Short ones stand in any two texts of "
        "one language; long ones are learned by heart.",
    )
    left = _left(run, corpus)
    followed(_followed, run_every=0.2 if left else 5.0 if run.state.active else None)(run.slug, size, left)


class _Work:
    """What one run still has to write, as far as it came. Whoever looks at it drives it on; all share it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.going: Iterator[None] | None = None
        self.unreadable: list[int] = []


@st.cache_resource(max_entries=16, show_spinner=False)
def _work(slug: str, text: str) -> _Work:
    return _Work()


def _left(run: Run, corpus: Corpus) -> bool:
    """True if there is something to count; a snapshot that could not be read is not tried again."""
    known = _work(run.slug, corpus.sha256).unreadable
    return not study.baseline_whole(corpus) or any(step not in known for step in study.missing(run))


def _go_on(run: Run, corpus: Corpus) -> None:
    """Count a little more, unless another session does so now."""
    work = _work(run.slug, corpus.sha256)
    if not work.lock.acquire(blocking=False):
        return
    try:
        work.going = work.going or study.count(run, corpus)
        until = time.monotonic() + AT_A_TIME
        for _ in work.going:
            if time.monotonic() > until:
                return
        work.going, work.unreadable = None, study.missing(run)
    finally:
        work.lock.release()


def _followed(run: Run, size: int, ticking: bool) -> None:
    corpus = loaders.text_of(run)
    if corpus is None:
        st.caption(GONE)
        return
    if _left(run, corpus):
        _go_on(run, corpus)
    left = _left(run, corpus)
    if left != ticking:
        st.rerun()  # draw the page once more, with or without the clock
    rows, expected = study.rows(run, loaders.reader(run)), study.baseline(corpus)
    if left:
        of = len(layout.snapshot_steps(run.path))
        st.progress(len(rows) / of, f"Each snapshot writes, the newest first: {len(rows)} of {of} are counted.")
    if not rows:
        return
    _in_words(rows[-1], expected, size)
    over, by_length = st.columns(2, gap="medium")
    with over:
        _over_snapshots(run, rows, expected, size)
    with by_length:
        _by_length(run, rows, expected)
        _sample(run, corpus)
    _table(corpus, rows, size)
    st.caption(
        f"Each snapshot writes {study.TOGETHER * study.ROUNDS:d} texts of {study.LENGTH:d} characters at temperature "
        f"1, after {study.PROMPT:d} characters of the validation text each and with fixed seeds; only what it wrote "
        "itself is counted. The validation text was copied from nowhere: what it shares with the training text is what "
        "any text of its kind shares. Training loss: on a fixed part of the training split where that was evaluated, "
        f"else the mean of {study.BATCHES:d} batches."
    )


def _in_words(last: Row, expected: Counts, size: int) -> None:
    share, usual = last.found.counts.share(size), expected.share(size)
    judged = "about as much as" if 0.5 * usual <= share <= 2 * usual else "more than" if share > usual else "less than"
    st.markdown(
        f"**{share:.1%} of the {size:d}-character pieces that it writes stand in the training text**, {judged} of the "
        f"validation text ({usual:.1%})."
    )


def _over_snapshots(run: Run, rows: list[Row], expected: Counts, size: int) -> None:
    steps = [row.step for row in rows]
    longest = [f"longest passage: {len(row.found.longest):,} characters" for row in rows]
    shares = [100 * row.found.counts.share(size) for row in rows]
    usual = 100 * expected.share(size)
    curves(
        [plain_curve("written", "val", steps, shares, names=longest, hue=place_of(run))],
        [Landmark(f"validation text: {usual:.1f} %", usual, "What the validation text shares with the training text.")],
        live=False,
        key="novelty.shares",
        palette="novelty.shares",
        x_label="step",
        y_label="copied pieces (%)",
        height=230,
    )
    read = loaders.reader(run)
    curves(
        [
            plain_curve("training", "train", *read.curve(TRAIN_LOSS)),
            plain_curve("validation", "val", *read.curve(VAL_LOSS), hue=place_of(run)),
        ],
        live=False,
        key="novelty.losses",
        palette="novelty.losses",
        x_label="step",
        y_label="loss (nats)",
        height=230,
    )


def _by_length(run: Run, rows: list[Row], expected: Counts) -> None:
    sizes = list(study.SIZES)
    lines = [plain_curve("validation text", "fit", sizes, [100 * expected.share(size) for size in sizes])]
    for row, name in [(rows[0], "written at first")] * (len(rows) > 1) + [(rows[-1], "written last")]:
        at, shares = f"{name}, step {row.step:,}", [100 * row.found.counts.share(size) for size in sizes]
        lines.append(plain_curve(at, "val", sizes, shares, hue=place_of(run)))
    curves(
        lines,
        live=False,
        key="novelty.lengths",
        palette="novelty.lengths",
        x_label="characters in a piece",
        y_label="copied pieces (%)",
        height=230,
    )


def _sample(run: Run, corpus: Corpus) -> None:
    """The newest text that the run wrote while it trained, with what is copied marked."""
    if sample := next(iter(records.samples(run.path)[-1:]), None):
        copied.marked(corpus, sample.text, label=f"Written at step {sample.step:,}", key="novelty.sample")


def _table(corpus: Corpus, rows: list[Row], size: int) -> None:
    column = st.column_config
    table = [
        {
            "step": row.step,
            "train": wording.loss(row.train),
            "val": wording.loss(row.val),
            "copied": 100 * row.found.counts.share(size),
            "longest": len(row.found.longest),
            "passage": copied.quoted(row.found.longest),
            "place": place(corpus, row.found.place).words if row.found.longest else "–",
        }
        for row in rows
    ]
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        column_config={
            "step": column.NumberColumn("Step", format="localized"),
            "train": column.TextColumn("Training", help="Training loss, nats a character."),
            "val": column.TextColumn("Validation", help="Validation loss, nats a character."),
            "copied": column.NumberColumn("Copied", format="%.1f %%", help=f"Of its pieces of {size} characters."),
            "longest": column.NumberColumn("Longest", help="Characters of the longest passage it copied."),
            "passage": column.TextColumn("Passage", help="That passage."),
            "place": column.TextColumn("From", help="Where it stands in the training text."),
        },
    )
