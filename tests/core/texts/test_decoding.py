"""From bytes to text: named rightly, guessed where nothing says what they are, never taken for what they are not."""

import codecs

import pytest

from core.errors import BardlabError
from core.texts import own
from core.texts.decoding import ENCODINGS, UnknownEncoding, canonical_name, decode, guess

GERMAN = "Der Mann über Bord schrie. Größe zählt nicht, schöne Mädchen, süß.\n" * 30
RUSSIAN = "Мой дядя самых честных правил, когда не в шутку занемог\n" * 40
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n" * 40
CHINESE = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。\n" * 50
ARABIC = "السلام عليكم ورحمة الله وبركاته كتاب قمر\n" * 40


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE], ids=["german", "russian", "chinese"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mark_says_how_the_file_is_to_be_read(text: str, mark: bytes, encoding: str):
    found = decode(mark + text.encode(encoding))

    assert (found.text, found.encoding, found.marked) == (text, encoding, True)
    assert own.check(mark + text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "written", "named"),
    [
        (GERMAN, "latin-1", "cp1252"),
        ("plain lines of English\n" * 100 + "café\n", "cp1252", "cp1252"),
        (GERMAN, "utf-16-le", "utf-16-le"),
        (GERMAN, "utf-16-be", "utf-16-be"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "euc-jp", "euc-jp"),
        (CHINESE, "gb18030", "gb18030"),
        (ARABIC, "cp1256", "cp1256"),
        ("Η γλώσσα μου είναι ελληνική\n" * 60, "cp1253", "cp1253"),
        ("나는 학교에 갑니다. 오늘은 날씨가 좋습니다.\n" * 60, "euc-kr", "cp949"),
    ],
    ids=lambda value: value if len(value) < 12 else "",
)
def test_a_text_without_a_mark_is_named_and_read_on_request(text: str, written: str, named: str):
    content = text.encode(written)

    with pytest.raises(UnknownEncoding, match=f"--encoding {named}") as error:
        own.add(content)
    assert error.value.guess == named and "\n" not in str(error.value)
    assert own.check(content, named) == text


def test_a_guess_can_always_be_read():
    """Whatever the bytes: what is offered does not fail when it is taken."""
    for content in (bytes(range(128, 256)) * 20, b"\x81\x8d\x8f\x90\x9d" * 300, b"abc\xff" * 400):
        assert decode(content, guess(content)).text


def test_a_wrong_encoding_is_refused_in_a_line():
    with pytest.raises(
        BardlabError, match="the text is not Windows-1252, Western Europe: byte 0x81 at offset 0; choose"
    ):
        decode(b"\x81" * 1200, "cp1252")
    with pytest.raises(BardlabError, match="no encoding is called 'klingon' here; choose one of utf-8"):
        decode(b"abc", "klingon")


@pytest.mark.parametrize(
    ("called", "name"), [("Shift_JIS", "cp932"), ("gbk", "gb18030"), ("ISO-8859-1", "latin-1"), ("utf8", "utf-8")]
)
def test_encodings_go_by_other_names_too(called: str, name: str):
    assert canonical_name(called) == name and name in ENCODINGS


@pytest.mark.parametrize(
    ("start", "kind"), [(b"{\\rtf1", "an RTF document"), (b"%PDF-1.7", "a PDF"), (b"PK\x03\x04", "a zip archive")]
)
def test_documents_that_are_no_plain_text_are_named(start: bytes, kind: str):
    with pytest.raises(BardlabError, match=f"this is {kind}.*; save it as plain text"):
        own.add(start + b"abc " * 500)
