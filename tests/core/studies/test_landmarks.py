"""What packing programs make of a text, as losses to compare with."""

import gzip
import hashlib
import math
import random
from pathlib import Path

from core.studies import landmarks
from core.texts import corpus as texts
from core.texts.corpus import Corpus
from core.texts.tokenizer import CharTokenizer


def nats(bits: float) -> float:
    return bits * math.log(2)


def test_random_letters_cannot_be_packed_below_their_entropy_and_what_was_read_before_costs_nearly_nothing(home: Path):
    """Sixteen letters drawn by chance are 4 bits each; a text whose end stood at its beginning is free to whoever looks
    back so far: xz does, gzip does not beyond 32,768 characters."""
    letters = random.Random(1).choices("abcdefghijklmnop", k=90_000)
    text = "".join(letters + letters[:10_000])
    corpus = Corpus(
        "letters", "Letters", text, hashlib.sha256(text.encode()).hexdigest(), CharTokenizer("abcdefghijklmnop")
    )

    gzip_, xz = landmarks.of(corpus)[-1], landmarks.pack(corpus)
    assert nats(4) < gzip_.value < nats(4.7)
    assert xz.value < 0.05
    assert landmarks.packed(corpus) == xz and xz in landmarks.all_of(corpus)


def test_gzip_of_shakespeare_is_what_the_program_itself_takes_but_for_what_it_had_read():
    corpus = texts.load("tinyshakespeare")
    val = corpus.text[corpus.split :]
    alone = nats(8 * len(gzip.compress(val.encode(), 9)) / len(val))

    read = next(mark.value for mark in landmarks.of(corpus) if mark.key == "gzip")
    assert alone - 0.1 < read < alone
