"""How characters are shown: each one can be seen, keeps apart from its neighbours, and can say what it is.

What stands alone is a label (`visible`), a piece of running text is spelled (`spelled`): on paper both are made of the
same signs. Right-to-left text is isolated, so that it never moves what stands beside it (Unicode Annex 9).
"""

import json
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from pathlib import Path

ISOLATE, END_ISOLATE = "\u2068", "\u2069"
DOTTED_CIRCLE = "\u25cc"
SIGNS: dict[str, str] = json.loads(Path(__file__).with_name("signs.json").read_text("utf-8"))
"""What stands for characters that leave no ink: signs for blanks and controls, for others what Unicode calls them. The
pages' scripts read the same file."""
_RIGHT_TO_LEFT = {"R", "AL", "AN"}


@lru_cache(maxsize=8192)
def visible(character: str) -> str:
    """Return a character as a label that can be read anywhere, alone or beside others.

    Blanks and controls have signs, other characters without ink their abbreviations, combining marks sit on a dotted
    circle, and a right-to-left character is isolated.
    """
    sign = _sign(character)
    if sign is not None:
        return sign
    if unicodedata.category(character).startswith("M"):
        character = DOTTED_CIRCLE + character
    return isolated(character)


def _sign(character: str) -> str | None:
    """Return what stands for a character that cannot be seen; None for one that can."""
    if character in SIGNS:
        return SIGNS[character]
    code = ord(character)
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:  # variation selectors: marks without ink
        return f"VS{code - 0xFE00 + 1 if code < 0xE0100 else code - 0xE0100 + 17}"
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"):
        return f"U+{code:04X}"
    return None


def spelled(text: str) -> str:
    """Return a piece of text for one line: what leaves no ink has its sign, the letters join and run as they do.

    A text with right-to-left characters in it is isolated as a whole.
    """
    joins = "\u200c\u200d"  # between letters they only decide how these are drawn
    shown = "".join(c if c in joins or _is_mark(c) else _sign(c) or c for c in text)
    if shown and unicodedata.category(shown[0]).startswith("M"):
        shown = DOTTED_CIRCLE + shown
    return isolated(shown)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def isolated(text: str) -> str:
    """Return the text so that its direction does not reach beyond it; the same text if nothing in it runs leftwards."""
    if any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text):
        return ISOLATE + text + END_ISOLATE
    return text


@lru_cache(maxsize=8192)
def code_point(character: str) -> str:
    """Return a character's number and name as Unicode has them, such as U+0041 LATIN CAPITAL LETTER A."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def labels(characters: str) -> list[str]:
    """Return one label a character, no two of them alike: what must be told apart by its label has its number too."""
    shown = [visible(c) for c in characters]
    twice = {label for label, times in Counter(shown).items() if times > 1}
    return [f"{label} U+{ord(c):04X}" if label in twice else label for c, label in zip(characters, shown, strict=True)]


def listed(characters: str, most: int = 12) -> str:
    """Return characters as labels with blanks between, at most so many of them."""
    more = f" and {len(characters) - most:,} more" if len(characters) > most else ""
    return " ".join(visible(c) for c in characters[:most]) + more


def numbered(characters: str, most: int = 12) -> str:
    """Return characters as labels, each with its code point, at most so many of them."""
    more = f" and {len(characters) - most:,} more" if len(characters) > most else ""
    return ", ".join(f"{visible(c)} U+{ord(c):04X}" for c in characters[:most]) + more


def harmless(text: str) -> str:
    """Return the text for a terminal: control characters other than line breaks and tabs have their signs."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: visible(found[0]), text)
