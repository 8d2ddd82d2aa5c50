"""What the documents point at exists, and the map of the house names every room."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"\b(?:core|pages|tests|docs|data)/[\w./-]*\w")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_in_a_document_exists(document: Path):
    text = document.read_text(encoding="utf-8")
    links = {document.parent / link for link in LINK.findall(text) if ":" not in link}
    paths = {ROOT / path for path in PATH.findall(LINK.sub("", text))}

    assert len(links) > 4
    assert not {str(path) for path in links | paths if not path.exists()}


def test_the_map_names_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path for top in ("core", "pages", "pages/ui") for path in (ROOT / top).iterdir() if path.is_dir()]
    missing = {str(room.relative_to(ROOT)) for room in rooms if not room.name.startswith("__") and room.name != "ui"}

    assert not {room for room in missing if f"(../{room}" not in text}
