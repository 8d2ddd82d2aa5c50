"""Losses to compare every curve with: computed from the text itself without training, and a few published ones."""

import contextlib
import json
import lzma
import math
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch

from core import files, paths
from core.evaluation import evaluate
from core.ladder.bigram import BIGRAM
from core.models import ngram
from core.models.bigram import Bigram, BigramConfig, count_pairs
from core.models.ngram import NGram, NGramConfig
from core.texts.corpus import Corpus
from core.texts.shakespeare import SHA256

COUNTED = f"{BIGRAM.key}+"
"""Whose place on the ladder the counted n-grams have: what the bigram turns into."""
ORDERS = range(2, 9)
"""Lengths of pieces that the n-gram can count."""


@dataclass(frozen=True)
class Landmark:
    """One loss to compare with, in nats a character."""

    key: str
    label: str
    value: float
    help: str


@dataclass(frozen=True)
class Counted:
    """How far counting goes with pieces of one length."""

    order: int
    loss: float
    """Nats a character over the whole validation split."""
    numbers: int
    """Different pieces of all lengths that the training text has: the numbers that the model holds."""
    seconds: float
    """Time to count them, on this machine."""


PUBLISHED = (
    Landmark(
        "nanogpt-cpu",
        "nanoGPT on CPU: 1.88",
        1.88,
        "The loss that nanoGPT's README gives for its small recipe on this text: 4 blocks, 4 heads, width 128, context "
        "64, 2,000 steps, a few minutes on a laptop's CPU. Not measured here.",
    ),
    Landmark(
        "nanogpt-gpu",
        "nanoGPT on GPU: 1.4697",
        1.4697,
        "The best validation loss that nanoGPT's README gives for this text: 6 blocks, 6 heads, width 384, context "
        "256, three minutes on an A100 GPU. Not measured here.",
    ),
)
"""Of Tiny Shakespeare with the same split, estimated by their authors on random batches."""


def unseen_pairs(corpus: Corpus) -> tuple[int, int]:
    """Count neighbours in the validation text that the training text never had: (occurrences, distinct pairs)."""
    size = corpus.tokenizer.size
    new = (count_pairs(corpus.train_ids, size) == 0) * count_pairs(corpus.val_ids, size)  # (V, V)
    return int(new.sum()), int((new > 0).sum())


def blind(size: int) -> Landmark:
    """What an alphabet alone tells: the loss of whoever knows nothing else."""
    loss = math.log(size)
    return Landmark("uniform", f"blind guessing: {loss:.3f}", loss, f"All {size} characters equally likely: ln {size}.")


def of(corpus: Corpus) -> list[Landmark]:
    """Compute the landmarks of a text: knowing nothing, knowing the frequencies, knowing the pairs."""
    size = corpus.tokenizer.size
    counts = torch.bincount(corpus.train_ids, minlength=size).double() + 1  # (V,)
    unigram = -(counts / counts.sum()).log()[corpus.val_ids[1:]].mean()  # ()
    bigram = Bigram(BigramConfig(fit="count"), size)
    bigram.fit(corpus.train_ids)
    counted = evaluate(bigram, corpus.val_ids).loss
    return [
        blind(size),
        Landmark(
            "unigram",
            f"single letters: {unigram:.3f}",
            float(unigram),
            "Knows how frequent each character is, and nothing else (unigram).",
        ),
        Landmark(
            "bigram",
            f"pairs of letters: {counted:.3f}",
            counted,
            "Knows how often each pair of characters occurs, counted with add-one smoothing (bigram).",
        ),
        _packed("gzip", _gzip(corpus), "repeats what stood in the last 32,768 characters"),
    ]


def _packed(name: str, loss: float, does: str) -> Landmark:
    return Landmark(
        name,
        f"{name}: {loss:.3f}",
        loss,
        f"What {name} takes for a character of the validation text when it has read the training text: it {does}, and "
        "knows nothing of English. Whoever predicts well packs well: bits a character × ln 2 are nats a character.",
    )


def _nats(size: int, characters: int) -> float:
    """Return bytes as nats a character."""
    return 8 * size * math.log(2) / max(1, characters)


def _gzip(corpus: Corpus) -> float:
    """Nats a character of the validation text under DEFLATE (RFC 1951), its window filled with training text."""
    train, val = corpus.text[: corpus.split], corpus.text[corpus.split :]
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zdict=train.encode()[-(1 << zlib.MAX_WBITS) :])
    return _nats(len(packer.compress(val.encode()) + packer.flush()), len(val))


def pack(corpus: Corpus) -> Landmark:
    """Pack the text with xz (LZMA2), with and without its validation part, and remember the difference: a second."""
    both, train = corpus.text.encode(), corpus.text[: corpus.split].encode()
    loss = _nats(len(lzma.compress(both)) - len(lzma.compress(train)), len(corpus.text) - corpus.split)
    with contextlib.suppress(OSError):
        _xz_file(corpus).parent.mkdir(parents=True, exist_ok=True)
        files.replace(_xz_file(corpus), json.dumps({"nats": loss}).encode())
    return _xz(loss)


def packed(corpus: Corpus) -> Landmark | None:
    """Return what `pack` has found for this text, if it has; reads a file, computes nothing."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return _xz(float(json.loads(_xz_file(corpus).read_bytes())["nats"]))
    return None


def _xz(loss: float) -> Landmark:
    return _packed("xz", loss, "repeats what stood anywhere before")


def _xz_file(corpus: Corpus) -> Path:
    return paths.data() / f"xz-{corpus.sha256[:12]}.json"


def published(corpus: Corpus) -> list[Landmark]:
    """Return the losses that others have published for a text."""
    return list(PUBLISHED) if corpus.sha256 == SHA256 else []


def all_of(corpus: Corpus) -> list[Landmark]:
    """Return every loss that is known for a text."""
    return [*of(corpus), *measured(corpus), *published(corpus)]


def measured(corpus: Corpus) -> list[Landmark]:
    """Return those that take a second or more, as far as they were measured on this machine."""
    return [mark for mark in (packed(corpus), best_ngram(corpus)) if mark is not None]


class Line(Protocol):
    """A loss with what it is called."""

    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102


def verdict(loss: float, marks: Sequence[Line], shipped: float | None) -> str:
    """Say where a loss stands among the landmarks, and how far it is from the shipped run's."""
    beaten = [mark for mark in marks if loss < mark.value]
    ahead = [mark for mark in marks if loss >= mark.value]
    said = []
    if beaten:
        said.append(f"better than {_named(min(beaten, key=lambda mark: mark.value))}")
    if ahead:
        said.append(f"not as good as {_named(max(ahead, key=lambda mark: mark.value))}")
    if shipped is not None:
        away = loss - shipped
        said.append(f"{abs(away):.3f} {'above' if away > 0 else 'below'} the shipped run of this rung")
    line = ", ".join(said)
    return f"At {loss:.3f}: {line}." if line else f"At {loss:.3f}."


def _named(mark: Line) -> str:
    """A landmark inside a sentence: its label ends with a colon and its value."""
    name, colon, value = mark.label.rpartition(": ")
    return f"{name} ({value})" if colon else mark.label


# --- counted n-grams: a second of work an order, so what was measured once is kept on disk ---------------------------


def count_ngram(corpus: Corpus, order: int) -> Counted:
    """Count the training text at one order, measure it on the whole validation split, and remember the result.

    Raises BardlabError if the order is too long for the text or its alphabet.
    """
    model = NGram(NGramConfig(order=order), corpus.tokenizer.size)
    began = time.perf_counter()
    model.fit(corpus.train_ids)
    seconds = time.perf_counter() - began
    numbers = sum(len(table.share) for table in model.tables)
    found = Counted(order, evaluate(model, corpus.val_ids).loss, numbers, seconds)
    kept = {**_kept(corpus), order: found}
    with contextlib.suppress(OSError):
        _file(corpus).parent.mkdir(parents=True, exist_ok=True)
        files.replace(_file(corpus), json.dumps([asdict(each) for each in kept.values()]).encode())
    return found


def counted_ngrams(corpus: Corpus) -> dict[int, Counted]:
    """Return what `count_ngram` has found for this text so far, by order; reads a file, computes nothing."""
    return dict(sorted(_kept(corpus).items()))


def best_ngram(corpus: Corpus) -> Landmark | None:
    """Return the n-gram with the lowest loss once every order was counted, else None."""
    known = counted_ngrams(corpus)
    if set(known) != set(ORDERS):
        return None
    best = min(known.values(), key=lambda each: each.loss)
    return Landmark(
        "ngram",
        f"counted {best.order}-gram: {best.loss:.3f}",
        best.loss,
        f"The best of the counted n-grams: {best.order - 1} characters of context, interpolated Kneser-Ney.",
    )


def _file(corpus: Corpus) -> Path:
    return paths.data() / f"ngrams-{corpus.sha256[:12]}-{_method()}.json"


@lru_cache(maxsize=1)
def _method() -> str:
    """A checksum of the n-gram's own source: results of another version of it do not count."""
    return f"{zlib.crc32(Path(ngram.__file__).read_bytes()):08x}"


def _kept(corpus: Corpus) -> dict[int, Counted]:
    try:
        rows = [Counted(**row) for row in json.loads(_file(corpus).read_bytes())]
    except (OSError, ValueError, TypeError):
        return {}
    return {row.order: row for row in rows if row.order in ORDERS}
