"""Beginnings of a text that was written for these tests, to the letter."""

import pytest

from core.runs import editing, records
from core.runs.openings import SHAKESPEARE, Openings, of_text, passage, remembered
from core.runs.openings import openings as openings_of
from core.runs.state import Sample
from core.texts.corpus import Corpus
from core.texts.tokenizer import CharTokenizer
from tests.conftest import make_run

HOUSE = (
    "THE OLD HOUSE\nIt stood by the river, and nobody had lived in it for years.\n\n"
    "Anna\nShe came on foot.\nNobody saw her go in.\n"
)


def openings(judged: str, alphabet: str = "") -> Openings:
    """Beginnings of a text with this validation split."""
    text = " " * 9 * len(judged) + judged
    chars = "".join(sorted(set(alphabet or judged)))
    corpus = Corpus("own", "Own", text, "none", CharTokenizer(chars))
    assert corpus.text[corpus.split :] == judged
    return of_text(corpus)


def test_they_begin_with_the_first_whole_line():
    """What comes before the first line break may be the end of a line; a line ends with a word."""
    assert openings(HOUSE) == Openings(
        line="It stood by the river,",
        sentence="It stood by the river, and nobody had lived in it for ",
        passage="It stood by the river, and nobody had lived in it for years.\n\nAn",
        pair=("It stood b", "Anna\nShe c"),
        start="It",
    )


def test_a_text_without_lines_begins_where_it_begins():
    found = openings("one long line without an end to it that goes on and on and on, far beyond every limit")

    assert (found.line, found.start) == ("one long line without", "on")
    assert found.pair == ("one long l", "ine withou")  # the next piece


def test_a_short_line_is_taken_whole_and_empty_ones_are_passed_over():
    found = openings("\n\n\n" + "x y\n" * 400)

    assert found.line == "x y" and found.start == "x "
    assert found.passage == "x y\n" * 16
    assert found.pair == ("x y\nx y\nx ", "\nx y\nx y\nx")  # every line begins alike, so from elsewhere


def test_a_text_too_short_goes_on_with_its_letters():
    assert openings("x\ny" * 10, "x\nyz!").line.startswith("yx")
    assert openings("x\ny" * 10, "x\nyz!").passage == ("x\ny" * 10 + "xyz" * 64)[2:66]
    assert openings("!?" * 5).line == "!?" * 5 + "!?" * 7


def test_signs_outside_the_alphabet_are_left_out():
    assert openings("to be or not to be? " * 9, "to ber").line == "to be or ot to be to be"


@pytest.mark.parametrize(
    ("text", "turn", "expected"),
    [
        ("".join(f"line {i:02d} of it\n" for i in range(40)), 0, (14, 55)),  # after the first break, to the last
        ("".join(f"line {i:02d} of it\n" for i in range(40)), 1, (322, 363)),  # 9973 mod 460 = 313
        ("".join(f"line {i:02d} of it\n" for i in range(3)) + "\n" + "z\n" * 100, 0, (43, 92)),  # a paragraph first
        ("ab " * 200, 0, (3, 28)),  # a word, and no line to end with: half the length
        ("x" * 560, 1, (313, 338)),  # nothing begins anywhere
        ("y" * 45 + "\n" + "z" * 14, 0, (10, 45)),  # not beyond the end
        ("short", 3, (0, 30)),
    ],
)
def test_a_passage_begins_and_ends_where_something_does(text: str, turn: int, expected: tuple[int, int]):
    assert passage(text, turn, 50) == text[slice(*expected)]


def test_a_run_whose_text_is_gone_begins_with_what_it_wrote_last():
    here = make_run("bigram")
    gone = editing.create(here.need().model_copy(update={"corpus": "own-0123456789ab", "characters": "\nabc"}))

    assert openings_of(here) == SHAKESPEARE and remembered(gone) == ""
    assert openings_of(gone).passage == ("abc" * 64)[:64]
    for text in ("cccc", "bcab"):
        records.append_sample(gone.path, Sample(1, None, "a\n", text))
    assert remembered(gone) == "a\nbcab"
    assert openings_of(gone).passage == ("bcab" + "abc" * 64)[:64]
