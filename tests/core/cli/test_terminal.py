"""What is printed reaches any terminal whole, and commands none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core import paths
from core.cli.main import main
from core.cli.output import as_json_line
from core.jobs import work
from core.runs import editing, folder, state
from core.runs import plan as runs_plan
from core.runs.state import Run
from core.texts import own as texts_own
from tests.conftest import TINY


@pytest.fixture
def arabic() -> Run:
    """A run on Arabic letters, one line without a line break."""
    own = texts_own.add(("شمس قمر كتاب بيت " * 80).encode(), "Arabic")
    tiny = TINY["mlp"]
    plan = runs_plan.plan("mlp", model=tiny["model"], train=tiny["train"], device="cpu", corpus_name=own.name)
    return work.work(editing.create(plan).path)


def printed(encoding: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with standard streams in an encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "core", *words]
    return subprocess.run(command, env=environment, cwd=paths.ROOT, capture_output=True, timeout=240)


@pytest.mark.parametrize("encoding", [pytest.param("cp1252", marks=pytest.mark.started), "latin-1", "ascii"])
def test_a_terminal_that_lacks_the_characters_gets_all_the_text_there_is(encoding: str, arabic: Run):
    """Text, or the numbers of the characters; JSON stays JSON."""
    result = printed(encoding, "sample", arabic.slug, "--tokens", "12")
    assert (result.returncode, result.stderr) == (0, b"")
    told = result.stdout.decode("utf-8" if encoding == "ascii" else encoding)  # click takes ASCII for a mistake
    assert "\\u06" in told or set(told.strip()) <= set(arabic.need().characters)

    written = json.loads(printed(encoding, "sample", arabic.slug, "--tokens", "12", "--json").stdout.decode(encoding))
    assert len(written["text"]) == 12 and set(written["text"]) <= set(arabic.need().characters)

    refused = printed(encoding, "sample", arabic.slug, "--prompt", "Ж")
    assert refused.returncode == 2 and b"Traceback" not in refused.stderr and b"outside the alphabet" in refused.stderr


def test_without_a_prompt_a_run_of_one_line_goes_on_from_its_own_text(arabic: Run, capsys: Any):
    main(["sample", arabic.slug, "--tokens", "3", "--json"])

    assert json.loads(capsys.readouterr().out)["prompt"] in "شمس قمر كتاب بيت " * 3


@pytest.mark.parametrize("temperature", ["1e-300", "5e-324", "1e-45", "1e-9", "0"])
def test_a_temperature_near_zero_takes_the_likeliest(temperature: str, finished: Run, capsys: Any):
    main(["sample", finished.slug, "--prompt", "ROMEO:\\n", "--tokens", "9", "--temperature", temperature, "--json"])
    near = json.loads(capsys.readouterr().out)
    main(["sample", finished.slug, "--prompt", "ROMEO:\n", "--tokens", "9", "--temperature", "0", "--json"])

    assert near["prompt"] == "ROMEO:\n"
    assert near["text"] == json.loads(capsys.readouterr().out)["text"]


def test_what_an_imported_run_holds_commands_no_terminal(finished: Run, capsys: Any):
    """Escape sequences in a sample, a status or the name of a file are shown as signs; JSON escapes them."""
    evil = "\x1b]0;owned\x07\x9b2J"
    row = json.dumps({"step": 4, "val_loss": 4.0, "prompt": "\n", "text": evil})
    (finished.path / folder.SAMPLES).write_text(row + "\n")
    state.write_status(finished.path, finished.status.model_copy(update={"message": evil}))
    for words in (["show", finished.slug], ["runs"], ["show", finished.slug, "--json"], ["runs", "--json"]):
        main(words)
    with pytest.raises(SystemExit):
        main(["text", "add", str(Path("no") / evil)])
    out = capsys.readouterr()

    assert not set(out.out + out.err) & {"\x1b", "\x07", "\x9b"}
    assert "␛]0;owned␇" in out.out and "␛]0;owned␇" in out.err
    assert json.loads(as_json_line({"x": evil, "y": float("inf")})) == {"x": evil, "y": None}
