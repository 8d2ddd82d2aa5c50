"""What the README says is so: its commands exist, its ladder is the shipped runs', its links lead somewhere."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tasks
from core.ladder import cost
from core.ladder.registry import RUNGS
from core.texts.corpus import load
from tests.screenshots import pictures
from tests.screenshots.__main__ import with_ladder
from tests.screenshots.camera import MOST_BYTES, PICTURES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_opens_with_the_two_commands_and_make_knows_them():
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert first
    targets = re.findall(r"^make (\w+)", first[1], re.MULTILINE)
    known = subprocess.run(["make", "-n", "-C", str(ROOT), *targets], capture_output=True, text=True, check=False)

    assert targets == ["app", "test"]
    assert known.returncode == 0, known.stderr
    assert re.findall(r"tasks\.py (\w+)", known.stdout) == targets
    assert re.findall(r"`python tasks\.py (\w+)`", README) == targets


def test_make_knows_every_task_and_no_other():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert declared
    known = subprocess.run(["make", "-n", "-C", str(ROOT), *tasks.COMMANDS], capture_output=True, text=True, check=True)

    assert declared[1].split() == list(tasks.COMMANDS)
    assert re.findall(r"tasks\.py (\w+)", known.stdout) == list(tasks.COMMANDS)


def test_without_a_task_all_are_named():
    said = subprocess.run([sys.executable, tasks.__file__], capture_output=True, text=True, check=False)

    assert said.returncode == 1
    assert re.findall(r"^  (\w+) ", said.stderr, re.MULTILINE) == list(tasks.COMMANDS)


def test_an_old_python_can_say_that_it_is_old():
    """The file of the commands is understood from 3.8 on; it, the README and the project name the same versions."""
    ast.parse(Path(tasks.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest, newest = (
        tuple(map(int, each.split("."))) for each in re.search(r"Python (3\.\d+)\s+to (3\.\d+)", README).groups()
    )

    assert oldest == tasks.OLDEST and newest == tasks.NEWEST
    assert project["requires-python"] == f">=3.{oldest[1]},<3.{newest[1] + 1}"


def test_its_ladder_is_that_of_the_shipped_runs(monkeypatch: pytest.MonkeyPatch):
    """If this fails, `python -m tests.screenshots ladder` writes it anew."""
    monkeypatch.delenv("BARDLAB_PRETRAINED")

    assert with_ladder(README) == README
    for rung in RUNGS.values():
        assert f"| [{rung.title}](docs/rungs/{rung.key}.md) | {rung.idea} | " in README


def test_its_pictures_are_what_the_camera_takes_and_small():
    shown = set(re.findall(r"\]\(docs/pictures/([^)]+)\)", README))
    taken = {path.name for path in PICTURES.iterdir()}

    assert shown == taken == {"train.webp", *(f"{name}.png" for name in [*pictures.ALL, "training"])}
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < MOST_BYTES


def test_the_reference_has_the_parameters_it_names():
    rung = RUNGS["transformer"]
    model, train = rung.settings("reference", {}, {})

    assert f"{cost.cost(rung, model, train, load().tokenizer.size).parameters:,} parameters" in README


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_its_links_lead_somewhere(target: str):
    assert target.startswith("https://") or (ROOT / target).exists()
