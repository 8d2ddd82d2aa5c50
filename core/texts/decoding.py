"""From the bytes of a file to its text: by its mark, as UTF-8, or as what it probably is and somebody says it is."""

import codecs
import re
from dataclasses import dataclass

from core.errors import BardlabError

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16's, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ENCODINGS = {
    "utf-8": "UTF-8",
    "cp1252": "Windows-1252, Western Europe",
    "latin-1": "Latin-1, Western Europe",
    "cp1250": "Windows-1250, Central Europe",
    "cp1251": "Windows-1251, Cyrillic",
    "koi8-r": "KOI8-R, Russian",
    "cp1253": "Windows-1253, Greek",
    "cp1254": "Windows-1254, Turkish",
    "cp1255": "Windows-1255, Hebrew",
    "cp1256": "Windows-1256, Arabic",
    "cp874": "Windows-874, Thai",
    "gb18030": "GB18030, Chinese (simplified)",
    "big5": "Big5, Chinese (traditional)",
    "cp932": "Shift-JIS, Japanese",
    "euc-jp": "EUC-JP, Japanese",
    "cp949": "EUC-KR, Korean",
    "mac-roman": "Mac Roman, Western Europe",
    "utf-16-le": "UTF-16, little-endian",
    "utf-16-be": "UTF-16, big-endian",
    "utf-32-le": "UTF-32, little-endian",
    "utf-32-be": "UTF-32, big-endian",
}
"""What a text can be read as, and what people call it."""
_KINDS = (
    (b"{\\rtf", "an RTF document"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive, as Word and EPUB files are"),
    (b"\xd0\xcf\x11\xe0", "an old Word document"),
    (b"\x1f\x8b", "a gzip archive"),
)
LOOKED_AT = 200_000  # bytes from which an encoding is guessed
_ZEROS = 0.2  # of the bytes at even or odd places: plain text in UTF-16 has more


@dataclass(frozen=True)
class Decoded:
    """A text and how its bytes were read."""

    text: str
    encoding: str
    """One of ENCODINGS."""
    marked: bool = False
    """True if the file itself says so, by a byte order mark."""


class UnknownEncoding(BardlabError):
    """The bytes are not UTF-8 and nothing in them says what they are."""

    def __init__(self, at: int, byte: int, guess: str) -> None:
        super().__init__(
            f"the text is not UTF-8: byte {byte:#04x} at offset {at:,}; it is probably {ENCODINGS[guess]}: "
            f"read it with --encoding {guess}, or save it as UTF-8"
        )
        self.guess = guess
        """What it probably is, one of ENCODINGS."""


def canonical_name(encoding: str) -> str:
    """Return the name in ENCODINGS of an encoding called otherwise, such as shift_jis. Raises BardlabError."""
    name = encoding.strip().lower().replace("_", "-")
    if name in ENCODINGS:
        return name
    try:
        wanted = codecs.lookup(name).name
    except (LookupError, ValueError):
        wanted = ""
    for each in ENCODINGS:
        if wanted and codecs.lookup(each).name == wanted:
            return each
    aliases = {"shift_jis": "cp932", "gbk": "gb18030", "gb2312": "gb18030", "euc_kr": "cp949", "ascii": "utf-8"}
    if wanted in aliases:
        return aliases[wanted]
    raise BardlabError(f"no encoding is called {encoding!r} here; choose one of {', '.join(ENCODINGS)}")


def decode(content: bytes, encoding: str | None = None) -> Decoded:
    """Read `content` in `encoding`, else by its byte order mark, else as UTF-8.

    Raises UnknownEncoding with a guess if it is none of these, BardlabError if it is no plain text or does not fit the
    encoding given.
    """
    for start, kind in _KINDS:
        if content.startswith(start):
            raise BardlabError(f"this is {kind}, not plain text; save it as plain text (.txt) and give that")
    if encoding is not None:
        return _as(content, canonical_name(encoding))
    for mark, name in MARKS:
        if content.startswith(mark):
            return Decoded(_as(content[len(mark) :], name).text, name, marked=True)
    wide = _wide(content)
    if (at := content.find(0)) >= 0 and wide is None:
        raise BardlabError(f"this is a binary file, not text: byte {at:,} is zero; give plain text")
    try:
        if wide is None:
            return Decoded(content.decode("utf-8"), "utf-8")
    except UnicodeDecodeError as error:
        raise UnknownEncoding(error.start, content[error.start], guess(content)) from None
    raise UnknownEncoding(content.find(0), 0, wide)


def _as(content: bytes, encoding: str) -> Decoded:
    try:
        return Decoded(content.decode(encoding).removeprefix("\ufeff"), encoding)
    except UnicodeDecodeError as error:
        raise BardlabError(
            f"the text is not {ENCODINGS[encoding]}: byte {content[error.start]:#04x} at offset {error.start:,}; "
            "choose another encoding"
        ) from None


def _wide(content: bytes) -> str | None:
    """Return the UTF-16 that a text without a mark is in, if it is: every second byte is then mostly zero."""
    head = content[: LOOKED_AT // 2 * 2]
    half = max(1, len(head) // 2)
    even, odd = head[::2].count(0) / half, head[1::2].count(0) / half
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > _ZEROS and others < 0.01:
            try:
                content.decode(name)
            except UnicodeDecodeError:
                return None
            return name
    return None


def guess(content: bytes) -> str:
    """Return what a text that is not UTF-8 probably is, one of ENCODINGS that can read it."""
    from charset_normalizer import from_bytes

    single = [name for name in ENCODINGS if not name.startswith(("utf-", "latin-1")) and _reads(content, name)]
    found = list(from_bytes(_part(content), cp_isolation=single)) if single else []
    if found:
        best = found[0]
        alike = [each for each in found if (each.chaos, each.coherence) == (best.chaos, best.coherence)]
        if "cp1252" in single and any("cp1252" in each.could_be_from_charset for each in alike):
            return "cp1252"  # by far the commonest of those that read it equally well
        name = best.encoding.replace("_", "-")
        if name in single:
            return name
    return "cp1252" if "cp1252" in single else "latin-1"


def _part(content: bytes) -> bytes:
    """Return as much as a guess needs, from where the first byte beyond ASCII stands, ending at a line or a blank."""
    if len(content) <= LOOKED_AT:
        return content
    found = re.search(rb"[\x80-\xff]", content)
    start = max(content.rfind(b"\n", 0, found.start() if found else 0), 0)
    part = content[start : start + LOOKED_AT]
    end = max(part.rfind(b"\n"), part.rfind(b" "))
    return part[:end] if end > LOOKED_AT // 2 else part


def _reads(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
