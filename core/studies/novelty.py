"""How much of what a run writes is copied: over its snapshots, beside what its own validation text shares anyway.

A piece of a text is copied if it stands in the training text word for word. Some must be: two plays share "I pray you"
too. So the honest baseline is the validation text, which nobody copied from anything.

Every snapshot writes as many texts of one length at temperature 1, after prompts of the validation text and with fixed
seeds; only what was written is counted. What was counted is kept on disk.
"""

import contextlib
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from core import files, paths
from core.errors import BardlabError
from core.models.contract import LanguageModel
from core.runs import checkpoints, layout
from core.runs.metrics import TRAIN_EVAL_LOSS, TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run
from core.sampling import SamplingConfig, streams
from core.texts.copied import Meter, copied, training_text
from core.texts.corpus import Corpus
from core.texts.tokenizer import CharTokenizer

SIZES = range(8, 33)
"""Characters in a piece."""
USUAL = 16
"""The length of the pieces that are followed over a run: of Shakespeare's own, one in sixty-seven is shared."""
STRETCH, STRETCHES = 8000, 16
"""The validation text is counted in stretches of so many characters, at most so many, spread evenly."""
PROMPT, LENGTH, TOGETHER, ROUNDS = 16, 128, 16, 3
"""Each snapshot writes, in so many rounds, so many texts together, each so long, after a prompt so long."""
BATCHES = 20
SEED = 1337
METHOD = f"{zlib.crc32(repr((1, SIZES, STRETCH, STRETCHES, PROMPT, LENGTH, TOGETHER, ROUNDS, SEED)).encode()):08x}"
"""What was counted otherwise does not count."""


class Counts(BaseModel):
    """How many pieces of each of SIZES some texts have, and how many of them are copied."""

    copied: list[int] = [0] * len(SIZES)
    pieces: list[int] = [0] * len(SIZES)
    parts: int = 0
    """Stretches or rounds that were counted so far."""

    def add(self, lengths: Sequence[int]) -> None:
        """Count one more text, by the lengths that its meter gives."""
        for at, size in enumerate(SIZES):
            hits, pieces = copied(lengths, size)
            self.copied[at] += hits
            self.pieces[at] += pieces

    def share(self, size: int) -> float:
        """Return the share of the pieces of this length that are copied; NaN if there are none."""
        at = SIZES.index(size)
        return self.copied[at] / self.pieces[at] if self.pieces[at] else math.nan


class Snapshot(BaseModel):
    """What one snapshot copied."""

    step: int
    weights: str
    """The checksum of its weights."""
    counts: Counts
    longest: str = ""
    """The longest passage that it copied."""
    place: int = 0
    """Where that begins in the training text."""

    @property
    def whole(self) -> bool:
        """True once all rounds were written."""
        return self.counts.parts == ROUNDS


class _Kept(BaseModel):
    method: str
    text: str
    snapshots: list[Snapshot]


@dataclass(frozen=True)
class Row:
    """A snapshot's losses, in nats a character, and what it copied; NaN where nothing was measured."""

    step: int
    train: float
    val: float
    found: Snapshot


# --- the baseline ----------------------------------------------------------------------------------------------------


def stretches(corpus: Corpus) -> list[tuple[int, int]]:
    """Return where the stretches of the validation text begin and end: one after another, if that takes no more."""
    start, end = corpus.split, len(corpus.text)
    if end - start <= STRETCH * STRETCHES:
        return [(at, min(end, at + STRETCH)) for at in range(start, end, STRETCH)]
    step = (end - start - STRETCH) / (STRETCHES - 1)
    return [(at, at + STRETCH) for at in (start + int(step * number) for number in range(STRETCHES))]


def baseline(corpus: Corpus) -> Counts:
    """Return what was counted of the validation text so far; reads a file, computes nothing."""
    with contextlib.suppress(OSError, ValidationError, UnicodeDecodeError):
        return Counts.model_validate_json(_baseline_file(corpus).read_bytes())
    return Counts()


def baseline_whole(corpus: Corpus) -> bool:
    """True once all of the validation text that is counted was counted."""
    return baseline(corpus).parts == len(stretches(corpus))


def count_baseline(corpus: Corpus) -> Iterator[None]:
    """Count the validation text, and yield after each stretch: a tenth of a second or two."""
    counts = baseline(corpus)
    for start, end in stretches(corpus)[counts.parts :]:
        meter = Meter(training_text(corpus))
        meter.feed(corpus.text[start:end])
        counts.add(meter.lengths)
        counts.parts += 1
        _keep(_baseline_file(corpus), counts)
        yield


def _baseline_file(corpus: Corpus) -> Path:
    return paths.data() / f"copied-{corpus.sha256[:12]}-{METHOD}.json"


# --- the snapshots ---------------------------------------------------------------------------------------------------


def snapshots(run: Run) -> list[Snapshot]:
    """Return what was counted of a run's snapshots as they are now, in their order, whole or not."""
    kept = []
    with contextlib.suppress(OSError, ValidationError, UnicodeDecodeError):
        read = _Kept.model_validate_json(_file(run).read_bytes())
        if (read.method, read.text) == (METHOD, run.need().corpus_sha256):
            kept = read.snapshots
    return [found for found in kept if _weights(run, found.step) == found.weights]


def missing(run: Run) -> list[int]:
    """Return the steps of the snapshots that are not counted yet: the last one first, then the others in order."""
    done = {found.step for found in snapshots(run) if found.whole}
    steps = [step for step in layout.snapshot_steps(run.path) if step not in done and _weights(run, step)]
    return steps[-1:] + steps[:-1]


def rows(run: Run, read: MetricsReader) -> list[Row]:
    """Return the snapshots that were counted, with the losses measured at their steps, as the reader has them.

    Where the training loss was not evaluated it is the mean of the last BATCHES batches.
    """

    def at(tag: str, step: int, last: int = 0) -> float:
        steps, values = read.curve(tag)
        near = values[steps == step] if not last else values[steps <= step][-last:]
        return float(near.mean()) if len(near) else math.nan

    found = []
    for each in snapshots(run):
        train, val = at(TRAIN_EVAL_LOSS, each.step), at(VAL_LOSS, each.step)
        if each.whole:
            found.append(Row(each.step, at(TRAIN_LOSS, each.step, BATCHES) if math.isnan(train) else train, val, each))
    return found


def count(run: Run, corpus: Corpus) -> Iterator[None]:
    """Count the validation text and every snapshot of a run, and yield often: after each character or stretch.

    A snapshot that cannot be read is passed over.
    """
    yield from count_baseline(corpus)
    for step in missing(run):
        with contextlib.suppress(BardlabError):
            model, tokenizer = checkpoints.load_model(run, step)
            weights = _weights(run, step)
            known = next((found for found in snapshots(run) if found.step == step), None)
            found = known or Snapshot(step=step, weights=weights, counts=Counts())
            while not found.whole:
                yield from _round(model, tokenizer, corpus, found)
                _keep_snapshot(run, found)


def prompts(tokenizer: CharTokenizer, corpus: Corpus, number: int) -> list[list[int]]:
    """Return the prompts of one round: pieces of the validation text, all rounds' together spread evenly over it."""
    text = tokenizer.drop_unknown(corpus.text[corpus.split :])
    length = min(PROMPT, len(text))
    starts = [at * (len(text) - length) // (TOGETHER * ROUNDS) for at in range(number, TOGETHER * ROUNDS, ROUNDS)]
    return [tokenizer.encode(text[start : start + length]) for start in starts]


def _round(model: LanguageModel, tokenizer: CharTokenizer, corpus: Corpus, found: Snapshot) -> Iterator[None]:
    """Write one more round and count it, yielding after each character of all texts."""
    number = found.counts.parts
    config = SamplingConfig(tokens=LENGTH, seed=SEED + TOGETHER * number)
    written: list[list[int]] = []
    for step in streams(model, prompts(tokenizer, corpus, number), config, fast=True):
        written.append([choice.id for choice in step])
        yield
    for ids in zip(*written, strict=True):
        meter = Meter(training_text(corpus))
        meter.feed(tokenizer.decode(ids))
        found.counts.add(meter.lengths)
        best = meter.longest()
        if best is not None and best.length > len(found.longest):
            found.longest, found.place = meter.text[best.start : best.start + best.length], best.place
        yield
    found.counts.parts += 1


def _weights(run: Run, step: int) -> str:
    with contextlib.suppress(BardlabError):
        return checkpoints.fingerprint(run, step)
    return ""


def _keep_snapshot(run: Run, found: Snapshot) -> None:
    others = [other for other in snapshots(run) if other.step != found.step]
    listed = sorted([*others, found], key=lambda each: each.step)
    if run.path.is_dir():
        _keep(_file(run), _Kept(method=METHOD, text=run.need().corpus_sha256, snapshots=listed))


def _file(run: Run) -> Path:
    """A run that ships is not written into."""
    return paths.data() / f"novelty-{run.path.name}.json" if run.shipped else run.path / layout.NOVELTY


def _keep(file: Path, content: BaseModel) -> None:
    with contextlib.suppress(OSError):  # a folder that cannot be written to only costs the time to count again
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, content.model_dump_json().encode())
