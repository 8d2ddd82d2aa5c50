"""Beginnings for a model to go on from, in its own alphabet and of its own text: what pages and commands start with."""

import re
from dataclasses import dataclass

from core.errors import BardlabError
from core.runs import records
from core.runs.state import Run
from core.texts.corpus import Corpus, load
from core.texts.shakespeare import SHA256

LINE, SENTENCE, PASSAGE, PAIR = 24, 54, 64, 10  # characters


@dataclass(frozen=True)
class Openings:
    """Some beginnings of one text."""

    line: str
    """A few characters: a line to write on from."""
    sentence: str
    """Some words that end where a word is not over, if the text has words."""
    passage: str
    """A little more of it, to look into."""
    pair: tuple[str, str]
    """Two of one length that end differently."""
    start: str
    """Two characters, to see what may follow them."""


SHAKESPEARE = Openings(
    line="ROMEO:\n",
    sentence="ROMEO:\nBut, soft! what light through yonder window b",
    passage="ROMEO:\nI love thee well.\n\nJULIET:\nI love thee too.\n\nROMEO:\nI l",
    pair=("JULIET:\nO Ro", "ROMEO:\nO Jul"),
    start="th",
)


def openings(run: Run) -> Openings:
    """Return beginnings for a run: from its text, or, if that is gone, from what it wrote; else from its alphabet."""
    text = text_of(run)
    return _from(remembered(run), run.need().characters) if text is None else of_text(text)


def of_text(text: Corpus) -> Openings:
    """Return beginnings of a text; those of its own validation split, for a text of the learner's own."""
    if text.sha256 == SHA256:
        return SHAKESPEARE
    return _from(text.text[text.split :], text.tokenizer.chars)


def text_of(run: Run) -> Corpus | None:
    """Return the text that a run was trained on; None if it is no longer here, or no longer the same."""
    config = run.need()
    try:
        text = load(config.corpus)
    except BardlabError:
        return None
    return text if text.sha256 == config.corpus_sha256 else None


def remembered(run: Run) -> str:
    """Return the latest text that a run wrote, with the prompt it began with; empty if it wrote none."""
    written = records.samples(run.path)
    return written[-1].prompt + written[-1].text if written else ""


def passage(text: str, turn: int, length: int = 420) -> str:
    """Return a piece of `text` of about `length` characters, another one for each `turn`.

    It begins where something begins, a paragraph, a line or a word, and ends with a line if one ends in time.
    """
    at = (turn * 9973) % max(1, len(text) - 2 * length)
    start = 0
    for mark in ("\n\n", "\n", " "):
        if (found := text.find(mark, at, at + length)) >= 0:
            start = found + len(mark)
            break
    else:
        start = at
    start = min(start, max(0, len(text) - length))
    end = text.rfind("\n", start, start + length)
    return text[start : max(end, start + length // 2)]


def _from(source: str, alphabet: str) -> Openings:
    letters, known = "".join(c for c in alphabet if c.isalnum()) or alphabet, set(alphabet)
    source = "".join(c for c in source if c in known)
    source = source if len(source) >= PASSAGE else source + letters * PASSAGE
    starts = [0 if "\n" not in source[: len(source) // 2] else source.index("\n") + 1]
    starts += [m.end() for m in re.finditer(r"\n+", source[: len(source) - PAIR]) if m.end() > starts[0]]
    at = next((s for s in starts if source[s : s + 1].strip()), starts[0])
    rest = source[at:] if len(source) - at >= PASSAGE else source
    line = rest.partition("\n")[0][:LINE] or rest[:LINE]
    if len(line) == LINE and " " in line.strip():
        line = line[: line.rindex(" ")]
    return Openings(line, rest[:SENTENCE], rest[:PASSAGE], _pair(source, rest, starts), rest[:2])


def _pair(source: str, rest: str, starts: list[int]) -> tuple[str, str]:
    """Return the first piece and another of its length that ends differently."""
    first = rest[:PAIR]
    places = [*starts[1:], *range(PAIR, max(PAIR + 1, len(source) - PAIR))]
    others = (source[at : at + PAIR] for at in places)
    second = next((each for each in others if len(each) == len(first) and each[-1:] != first[-1:]), first)
    return first, second
