"""Characters that can be seen: every label has ink, keeps its place among others, and is nobody else's."""

import sys
import unicodedata

import pytest

from core.texts.labels import code_point, harmless, isolated, labels, listed, spelled, visible


@pytest.mark.parametrize(
    ("character", "label"),
    [
        ("a", "a"),
        (" ", "␣"),
        ("\n", "↵"),
        ("\t", "⇥"),
        ("\x1b", "␛"),
        ("\x7f", "␡"),
        ("\u00a0", "NBSP"),
        ("\u200d", "ZWJ"),
        ("\u200f", "RLM"),
        ("\ufe0f", "VS16"),
        ("\u2003", "U+2003"),
        ("\ue000", "U+E000"),
        ("\u0e34", "◌\u0e34"),
        ("\u0301", "◌\u0301"),
        ("\u0634", "\u2068\u0634\u2069"),
        ("\u05d0", "\u2068\u05d0\u2069"),
        ("中", "中"),
        ("😀", "😀"),
    ],
)
def test_a_label_shows_what_a_character_is(character: str, label: str):
    assert visible(character) == label


def test_every_character_has_a_label_with_ink_whose_direction_stays_inside():
    """Over the whole of Unicode: no label is blank, and one with right-to-left characters is isolated."""
    for code in range(sys.maxunicode + 1):
        label = visible(chr(code))
        kinds = {unicodedata.category(c) for c in label}

        assert kinds - {"Zs", "Cc", "Cf", "Zl", "Zp", "Cs", "Mn", "Me"}, hex(code)
        if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in label):
            assert label.startswith("\u2068") and label.endswith("\u2069"), hex(code)


def test_no_two_characters_share_a_label():
    """A text that holds a sign and the blank that the sign stands for keeps them apart."""
    assert labels("a \u2423") == ["a", "␣ U+0020", "␣ U+2423"]
    assert labels("ab") == ["a", "b"]


def test_running_text_keeps_its_letters_joined_and_is_isolated_as_a_whole():
    assert spelled("to be\n") == "to␣be↵"
    assert spelled("\u0634\u0645 \u0633") == "\u2068\u0634\u0645␣\u0633\u2069"
    assert spelled("👩\u200d👧") == "👩\u200d👧"
    assert spelled("\u0e34a") == "◌\u0e34a"
    assert isolated("abc") == "abc"


def test_a_character_tells_its_number_and_name():
    assert code_point("\u0634") == "U+0634 ARABIC LETTER SHEEN"
    assert code_point("\n") == "U+000A"


def test_a_list_names_how_many_more_there_are():
    assert listed("abc", 2) == "a b and 1 more"
    assert listed("a\n") == "a ↵"


def test_nothing_in_a_line_for_the_terminal_commands_it():
    assert harmless("a\x1b]0;title\x07\tb\nc\x9b2J") == "a␛]0;title␇\tb\ncU+009B2J"
