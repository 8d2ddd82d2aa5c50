"""What stands word for word in a training text, against a plain search, and where it stands."""

import random
from types import SimpleNamespace

import pytest

from core.texts import copied, shakespeare
from core.texts.copied import Meter, Passage, Source
from core.texts.corpus import load
from core.texts.places import place

ALPHABETS = ("a", "ab", "abc\n", "añ😀\u05d0", "".join(map(chr, range(0x4E00, 0x4E00 + 300))))


def by_hand(source: str, text: str) -> list[int]:
    """The longest passage of the source that ends at each character, tried one length after another."""
    return [
        next(length for length in range(end, -1, -1) if text[end - length : end] in source)
        for end in range(1, len(text) + 1)
    ]


def pair(alphabet: str, seed: int) -> tuple[str, str]:
    """A source, and a text with pieces of it and with a character that it lacks."""
    draw = random.Random(seed)
    source = "".join(draw.choices(alphabet, k=draw.randint(1, 400)))
    text = "?"
    for _ in range(6):
        at = draw.randrange(len(source))
        text += source[at : at + draw.randint(1, 60)] + "".join(draw.choices(alphabet + "?", k=draw.randint(0, 9)))
    return source, text


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_lengths_shares_and_passages_are_those_of_a_plain_search(alphabet: str):
    for seed in range(8):
        source, text = pair(alphabet, seed)
        meter = Meter(Source(source))
        for at in range(0, len(text), 7):  # as it comes
            meter.feed(text[at : at + 7])
        lengths = by_hand(source, text)

        assert (meter.text, meter.lengths) == (text, lengths)
        for size in (1, 3, 8, 32):
            pieces = [text[at : at + size] for at in range(len(text) - size + 1)]
            assert copied.copied(meter.lengths, size) == (sum(p in source for p in pieces), len(pieces))
        for found in meter.passages(2):
            piece = text[found.start : found.start + found.length]
            assert source[found.place :].startswith(piece) and len(piece) == found.length
            assert text[found.start : found.start + found.length + 1] not in source or piece == text[found.start :]
            assert not found.start or text[found.start - 1 : found.start + found.length] not in source
            assert meter.source.count(piece) == sum(source.startswith(piece, at) for at in range(len(source)))
        longest = meter.longest()
        assert longest is not None and longest.length == max(lengths)
        covered = {at for start, length, _ in meter.spans(3) for at in range(start, start + length)}
        ends = [end for end, length in enumerate(lengths) if length >= 3]
        assert covered == {at for end in ends for at in range(end + 1 - lengths[end], end + 1)}


def test_of_two_that_overlap_the_longer_is_shown_whole():
    meter = Meter(Source("abcdefgh_efghijklmn"))
    meter.feed("abcdefghijklmn")

    left, right = Passage(0, 8, 0), Passage(4, 10, 9)
    assert meter.passages(5) == [right, left]
    assert meter.spans(5) == [(0, 4, left), (4, 10, right)]


def test_nothing_in_nothing():
    for source, text in (("", "abc"), ("abc", ""), ("abc", "xyz")):
        meter = Meter(Source(source))
        meter.feed(text)
        assert (sum(meter.lengths), meter.longest(), meter.passages(1), meter.spans(1)) == (0, None, [], [])
        assert meter.source.count("q") == 0
    assert copied.copied([], 8) == (0, 0)


def test_a_long_passage_is_followed_to_its_end(home):
    """Twenty thousand characters of the training text in one piece, and the text is kept for the next who asks."""
    text = load()
    meter = Meter(copied.training_text(text))
    meter.feed(text.text[500_000:520_000] + "\n#")

    assert meter.longest() == Passage(0, 20_000, 500_000)
    assert meter.lengths[-1] == 0
    assert copied.training_text(text) is meter.source


def test_the_validation_text_is_not_in_the_training_text(home):
    text = load()
    meter = Meter(copied.training_text(text))
    meter.feed(text.text[text.split : text.split + 4000])

    assert max(meter.lengths) < 100


def test_each_play_begins_where_it_is_said_to(home):
    """By the first speech of each play in the edition that the text is rebuilt from."""
    text = load().text
    lines = shakespeare.rendered_lines()
    assert list(shakespeare.BEGINNINGS.values()) == sorted(shakespeare.BEGINNINGS.values())
    for at, first in zip(
        shakespeare.BEGINNINGS.values(),
        (
            "Before we proceed",
            "Now is the winter",
            "Old John of Gaunt",
            "Gregory, o'",
            "I wonder how",
            "If you shall chance",
            "Escalus.",
            "I'll pheeze you",
            "Boatswain!",
        ),
        strict=True,
    ):
        assert not text[:at].rstrip("\n") or text[:at].endswith("\n\n")
        assert text[at:].split("\n")[1].startswith(first) and any(line.startswith(first) for line in lines)


def test_a_place_in_words(home):
    text = load()
    soft = text.text.index("But, soft! what light through yonder window breaks?")

    assert place(text, soft + 10).words == f"Romeo and Juliet, ROMEO, line {1 + text.text[:soft].count(chr(10)):,}"
    assert place(text, 0).words == "Coriolanus, First Citizen, line 1"
    assert place(text, len(text.text) - 1).work == "The Tempest"
    own = SimpleNamespace(text="One.\n\nA: no speech\nTwo.\n", sha256="")
    assert place(own, 20).words == "line 4"  # type: ignore[arg-type]
