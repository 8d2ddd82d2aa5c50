"""Classes of characters (vowel, consonant, capital, ...) for colours and tables."""

import re
import unicodedata

CLASSES = (
    "vowel",
    "consonant",
    "capital",
    "digit",
    "punctuation",
    "space",
    "newline",
    "letter",
    "mark",
    "symbol",
)


def character_class(character: str) -> str:
    """Return one of CLASSES. Vowels and consonants are told apart in the Latin alphabet only, accents left aside."""
    if character in "\n\r":
        return "newline"
    if character.isspace():
        return "space"
    if character.isdigit():
        return "digit"
    if character.isalpha():
        if character.isupper():
            return "capital"
        base = unicodedata.normalize("NFD", character)[0]
        return "letter" if not base.isascii() else "vowel" if base in "aeiou" else "consonant"
    kind = unicodedata.category(character)
    if kind.startswith(("M", "Cf")):  # what is drawn with its neighbours
        return "mark"
    return "symbol" if kind.startswith("S") and not character.isascii() else "punctuation"


def text_classes(text: str) -> list[str]:
    """Return the class of each character where it stands: `character_class`, or speaker name.

    A speaker name is a line that ends with a colon at the text's start or after an empty line, the colon included.
    """
    classes = [character_class(c) for c in text]
    for name in re.finditer(r"(?:\A|(?<=\n\n))[^\n]+:(?=\n)", text):
        classes[name.start() : name.end()] = ["speaker name"] * (name.end() - name.start())
    return classes
