"""What the documents point at exists, the map names every room, and what a teacher's page asks for can be done."""

import re
import shlex
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
import pytest

from core import paths
from core.cli.main import cli
from core.ladder.registry import RUNGS
from core.runs import plan
from pages.ui.navigation import addresses
from pages.ui.run.rung_page import CODE, IDEA, RECORD, SAMPLES
from pages.ui.run.set_up import _read

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAPS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
TEACHERS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "rungs").iterdir()}
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"\b(?:core|pages|tests|docs|data)/[\w./-]*\w")
COMMAND = re.compile(r"`(python -m core [^`]+)`")
SERVER = "http://127.0.0.1:8501/"
SECTIONS = ["Fifteen minutes", "Three questions", "What is often misunderstood", "Further reading"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_in_a_document_leads_somewhere(document: Path):
    links = LINK.findall(document.read_text(encoding="utf-8"))

    assert not [link for link in links if ":" not in link and not (document.parent / link).exists()]


@pytest.mark.parametrize("document", MAPS, ids=lambda path: path.name)
def test_every_path_in_a_map_exists(document: Path):
    text = document.read_text(encoding="utf-8")

    assert len(LINK.findall(text)) > 4
    assert not [path for path in PATH.findall(LINK.sub("", text)) if not (ROOT / path).exists()]


def test_no_document_holds_two_versions_of_itself():
    """What a merge could not decide is left between such marks, and a page of text still reads with them."""
    marks = ("<<<<<<< ", ">>>>>>> ")
    lines = {path.name: path.read_text(encoding="utf-8").splitlines() for path in [*DOCUMENTS, ROOT / "CHANGELOG.md"]}

    assert not [name for name, text in lines.items() if any(line.startswith(marks) for line in text)]


def test_the_map_names_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path for top in ("core", "pages", "pages/ui") for path in (ROOT / top).iterdir() if path.is_dir()]
    missing = {str(room.relative_to(ROOT)) for room in rooms if not room.name.startswith("__") and room.name != "ui"}

    assert not {room for room in missing if f"(../{room}" not in text}


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_its_commands_are_understood(document: Path):
    """Every word is an argument or an option of a command that exists, and every setting of a training can be set."""
    for command in COMMAND.findall(document.read_text(encoding="utf-8")):
        _, _, _, name, *arguments = shlex.split(command)
        entry = cli.commands[name]
        with click.Context(entry, info_name=name) as context:
            entry.parse_args(context, arguments)
        asked = context.params
        if name == "train":
            changes = dict(each.split("=", 1) for each in asked["assignments"])
            rung = RUNGS[asked["rung"]]
            rung.settings(asked["preset"], *plan.split_settings(changes))


def test_the_list_of_commands_names_every_command():
    listed = COMMAND.findall((ROOT / "docs" / "commands.md").read_text(encoding="utf-8"))

    assert {shlex.split(command)[3] for command in listed} == set(cli.commands)


# --- the teachers' pages ---------------------------------------------------------------------------------------------


def test_every_rung_has_a_page_for_teachers():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")

    assert set(TEACHERS) == set(RUNGS)
    for key, rung in RUNGS.items():
        text = TEACHERS[key]
        assert text.startswith(f"# {rung.title}\n\n**{rung.idea}**")
        assert rung.paper_url in text
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
        assert len(re.findall(r"^### [123]\. .+\?$", text, re.MULTILINE)) == 3
        assert f"| [{rung.title}](rungs/{key}.md) | {rung.idea} |" in index


@pytest.mark.parametrize("key", TEACHERS)
def test_the_addresses_of_a_teachers_page_open(key: str, monkeypatch: pytest.MonkeyPatch):
    """Each names a page, and of a rung's page a preset, settings, a view and a shipped run that there are."""
    monkeypatch.delenv("BARDLAB_PRETRAINED")
    links = [link for link in LINK.findall(TEACHERS[key]) if link.startswith(SERVER)]
    assert len(links) >= 4
    for link in links:
        where = urlsplit(link)
        page, asked = where.path.strip("/"), {name: values[0] for name, values in parse_qs(where.query).items()}
        assert page in addresses(), link
        if "run" in asked:
            assert (paths.pretrained() / asked["run"].removeprefix("pretrained/")).is_dir(), link
        if page in RUNGS:
            rung = RUNGS[page]
            assert set(asked) <= {"preset", "set", "tab", "run"}, link
            rung.settings(asked.get("preset"), *plan.split_settings(_read(asked.get("set", ""))))
            assert asked.get("tab", IDEA) in (IDEA, *rung.views, SAMPLES, CODE, RECORD), link
