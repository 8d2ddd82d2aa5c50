"""The command line: every command as text and as JSON; whatever is wrong is one line and exit status 2."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import paths
from core.cli.main import cli, main
from core.jobs import control, processes, queue
from core.ladder.registry import RUNGS
from core.models import memory
from core.runs import editing, folder, layout, reading, records, requests
from core.runs import plan as runs_plan
from core.runs.folder import State
from core.runs.state import Run
from core.studies import rounding
from core.texts import own as texts_own
from core.texts.corpus import Corpus
from tests.conftest import TINY, make_run

SMALL = ["model.n_layer=2", "model.n_head=2", "model.d_model=16", "model.context=16", "train.steps=5"]
SMALL += ["train.eval_every=5", "train.batch_size=4", "train.sample_chars=10"]
FAST = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command and return the object that it prints as its last line."""

    def run(*words: str) -> Any:
        main([*words, "--json"])
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


@pytest.fixture
def text(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command and return what it prints for a reader."""

    def run(*words: str) -> str:
        main(words)
        return capsys.readouterr().out

    return run


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command that must fail, and return its one line on standard error."""

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(words)
        printed = capsys.readouterr()
        assert caught.value.code == 2
        assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("error: ")
        return printed.err.removeprefix("error: ").strip()

    return run


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "core", *words],
        cwd=paths.ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- training --------------------------------------------------------------------------------------------------------


def test_train_as_documented_in_a_process_of_its_own():
    """The last line is one JSON object; the run is there afterwards, and the progress bar went to standard error."""
    settings = ["model.n_layer=2", "model.n_head=2", "model.d_model=64", "model.context=64", "train.steps=5"]
    done = process("train", "transformer", *(w for s in settings for w in ("--set", s)), "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    assert len(done.stdout.splitlines()) == 1 and "step/s" in done.stderr
    assert found["state"] == "finished" and found["step"] == found["of"] == 5
    assert found["parameters"] == 108_161 + 1536 * 64  # smear and the table of threes: the default preset
    assert 3 < found["val_loss"] < 4.5 and found["tokens_per_second"] > 0
    run = reading.find(found["run"])
    assert run.usable and run.config is not None and run.config.model["d_model"] == 64


@pytest.mark.started
def test_bad_input_in_a_process_of_its_own():
    """No traceback, nothing on standard output, nothing left behind."""
    done = process("train", "transformer", "--set", "model.n_layer=99")

    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: model.n_layer: 99 is not accepted; give a whole number from 1 to 12\n"
    assert reading.list_runs() == []


def test_train_takes_presets_seed_name_and_settings(call: Any):
    found = call("train", "transformer", "--preset", "minutes", *FAST, "--seed", "9", "--name", "my first")
    run = reading.find("my first")

    assert run.slug == found["run"] and found["name"] == "my first" and run.state is State.FINISHED
    assert run.config is not None and run.config.preset == "minutes" and run.config.train.seed == 9
    assert run.config.model["positions"] == "rotary" and run.config.model["n_layer"] == 2
    assert {"run", "state", "val_loss", "parameters", "tokens_per_second"} <= set(found)


@pytest.mark.parametrize("key", RUNGS)
def test_train_without_settings_is_the_first_preset(key: str, call: Any, corpus: Corpus):
    text = texts_own.add(corpus.text[:10_000].encode(), "Beginning").name  # evaluations of the whole take seconds
    few = ("--set", "train.steps=1", "--set", "train.sample_chars=1")
    found = call("train", key, *few, "--device", "cpu", "--text", text)
    run = reading.find(found["run"])

    assert run.config is not None and run.config.preset == RUNGS[key].default_preset
    assert run.config.model_config_ == RUNGS[key].settings(RUNGS[key].default_preset, {}, {})[0]


def test_stop_and_resume(call: Any, text: Any):
    """A detached run is stopped, shown, resumed to its end in the foreground, and refused a second time."""
    settings = [*FAST, "--set", "train.steps=100", "--set", "train.eval_every=50"]
    slug = call("train", "transformer", *settings, "--detach")["run"]
    stopped = call("stop", slug)
    assert stopped["state"] == "stopped" and stopped["step"] < 100
    assert "stopped" in text("runs")
    resumed = call("resume", slug)
    for child in processes.children:
        child.wait(60)
    processes.reap()

    assert resumed["state"] == "finished" and resumed["step"] == 100


def test_a_run_under_way_is_held_stepped_and_changed(call: Any, refusal: Any):
    """What waits behind it is listed and moved; each command tells what the run then is."""
    settings = [
        word for setting in [*SMALL[:4], "train.batch_size=4", "train.steps=100000"] for word in ("--set", setting)
    ]
    first, second = (call("train", "transformer", *settings, "--detach")["run"] for _ in range(2))
    control.wait_for_state(reading.find(first), State.RUNNING, 60.0)
    until = time.monotonic() + 60
    while not queue.queue() and time.monotonic() < until:  # its process may still be on the way
        time.sleep(0.05)

    held = call("pause", first)
    assert held["state"] == "paused"
    call("set", first, "train.learning_rate=0.001")
    assert call("step", first, "--steps", "2")["step"] == held["step"] + 2
    assert "cannot be changed while a run is under way" in refusal("set", first, "model.n_head=1")
    assert call("continue", first)["state"] == "running"
    assert [(change.name, change.value) for change in requests.changes(paths.runs() / first)] == [
        ("learning_rate", 0.001)
    ]

    assert [each["run"] for each in call("queue")] == [second]
    assert [each["run"] for each in call("queue", second, "--first")] == [second]
    assert "name a run and one of" in refusal("queue", second)
    for run in (second, first):
        call("stop", run)
    assert {each["state"] for each in call("runs")} == {"stopped"}
    for child in processes.children:
        child.wait(60)
    processes.reap()


def test_ctrl_c_stops_and_keeps_the_weights():
    """The first Ctrl-C ends the run after its step, with exit status 0 and weights to resume from."""
    settings = [*FAST, "--set", "train.steps=100000", "--set", "train.eval_every=10"]
    with subprocess.Popen(
        [sys.executable, "-m", "core", "train", "transformer", *settings, "--json"],
        cwd=paths.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            while not (found := reading.list_runs()) or (found[0].status.checkpoint_step or 0) < 10:
                assert running.poll() is None
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()

    assert running.returncode == 0 and "Traceback" not in err
    assert json.loads(out)["state"] == "stopped"
    assert reading.list_runs()[0].usable


# --- looking at runs -------------------------------------------------------------------------------------------------


def test_stages_lists_every_rung_with_its_presets(call: Any, text: Any):
    rows = {row["stage"]: row for row in call("stages")}

    assert list(rows) == list(RUNGS)
    for key, rung in RUNGS.items():
        assert list(rows[key]["presets"]) == list(rung.presets) and rows[key]["paper"]
        assert all(preset["parameters"] > 0 for preset in rows[key]["presets"].values())
    assert rows["transformer"]["presets"]["reference"]["parameters"] == 10_788_929
    assert "10,788,929" in text("stages")


def test_runs_lists_all_and_says_when_there_are_none(call: Any, text: Any, finished: Run):
    bad = make_run("bigram")
    (bad.path / folder.STATUS).write_bytes(b"{")
    rows = {row["run"]: row for row in call("runs")}

    assert rows[finished.slug]["state"] == "finished"
    assert rows[bad.slug]["state"] == "damaged" and rows[bad.slug]["message"].startswith("status.json")
    for run in (finished, bad):
        editing.delete(reading.read(run.path))
    assert call("runs") == [] or all(row["run"].startswith("pretrained/") for row in call("runs"))
    assert text("runs")


def test_show_rename_delete(call: Any, text: Any, finished: Run):
    shown = call("show", finished.slug)
    assert shown["config"]["train"]["steps"] == 4 and shown["path"] == str(finished.path)
    assert "model.d_model = 16" in text("show", finished.slug)
    assert records.samples(finished.path)[-1].text.splitlines()[0] in text("show", finished.slug)

    assert call("rename", finished.slug, "Yorick")["name"] == "Yorick"
    assert call("delete", "Yorick") == {"run": finished.slug, "deleted": True}
    assert not finished.path.exists()


def test_show_of_a_damaged_run_says_why(call: Any, finished: Run):
    (finished.path / folder.CONFIG).write_bytes(b"")
    shown = call("show", finished.slug)

    assert shown["state"] == "damaged" and shown["config"] is None and "config.json" in shown["message"]


def test_sample_is_what_the_page_would_write(call: Any, text: Any, finished: Run, corpus: Corpus):
    """Same settings, same text; as text it begins with the prompt."""
    words = ["sample", finished.slug, "--prompt", "ROMEO:", "--tokens", "30", "--seed", "7", "--temperature", "0.9"]
    found = call(*words, "--top-k", "20", "--top-p", "0.9")

    assert len(found["text"]) == 30 and not corpus.tokenizer.unknown(found["text"])
    assert (found["top_k"], found["top_p"], found["seed"]) == (20, 0.9, 7)
    assert found == call(*words, "--top-k", "20", "--top-p", "0.9")
    assert text(*words, "--top-k", "20", "--top-p", "0.9") == f"ROMEO:{found['text']}\n"


def test_evaluating_the_counted_bigram_equals_an_independent_computation(call: Any, text: Any, corpus: Corpus):
    """Add-one counts and the mean of -log p over all 111,539 pairs, with numpy, from the text itself."""
    slug = call("train", "bigram", "--preset", "counted", "--device", "cpu")["run"]
    found = call("evaluate", slug)
    points = np.frombuffer(corpus.text.encode("utf-32-le"), dtype=np.uint32)
    alphabet, ids = np.unique(points, return_inverse=True)
    split = int(0.9 * len(ids))
    counts = np.ones((len(alphabet), len(alphabet)))
    np.add.at(counts, (ids[: split - 1], ids[1:split]), 1)
    chances = counts / counts.sum(axis=1, keepdims=True)
    losses = -np.log(chances[ids[split:-1], ids[split + 1 :]])

    assert found["predictions"] == len(losses) == 111_539 and found["impossible"] == 0
    assert found["val_loss"] == pytest.approx(losses.mean(), abs=1e-6)
    assert found["val_loss"] == pytest.approx(2.4819, abs=5e-5)
    assert found["bits_per_character"] == pytest.approx(losses.mean() / math.log(2), abs=1e-6)
    assert f"{losses.mean():.6f} nats" in text("evaluate", slug)


def test_evaluating_the_impossible_gives_null_and_the_reason(call: Any, text: Any):
    slug = call("train", "bigram", "--preset", "counted", "--set", "model.smoothing=0")["run"]
    found = call("evaluate", slug)

    assert found["val_loss"] is None and found["impossible"] > 0
    assert "use smoothing above 0" in text("evaluate", slug)


def test_evaluate_agrees_with_the_end_of_the_training(call: Any, finished: Run):
    assert call("evaluate", finished.slug)["val_loss"] == pytest.approx(finished.status.val_loss, abs=1e-6)


def test_every_command_has_help_and_json(text: Any):
    for name, command in cli.commands.items():
        assert command.help and f"python -m core {name}" in text(name, "--help")
        for each in getattr(command, "commands", {"": command}).values():
            assert each.help and any("--json" in parameter.opts for parameter in each.params)
    overview = text()
    assert all(name in overview for name in cli.commands) and overview.count("\n") > len(cli.commands)


# --- refused ---------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[list[str], str]] = {
    "stage": (["train", "gpt5"], "unknown stage 'gpt5'; choose one of bigram"),
    "no stage": (["train"], "Missing argument 'RUNG'"),
    "preset": (["train", "bigram", "--preset", "fast"], "bigram has no preset 'fast'; choose one of seconds"),
    "setting": (
        ["train", "transformer", "--set", "model.heads=3"],
        "model.heads: no such setting; choose from n_layer",
    ),
    "group": (["train", "bigram", "--set", "steps=3"], "unknown setting 'steps'; write model.NAME=VALUE"),
    "range": (
        ["train", "bigram", "--set", "train.steps=0"],
        "train.steps: 0 is not accepted; give a whole number from 1",
    ),
    "word": (["train", "bigram", "--set", "train.steps=many"], "train.steps: many is not accepted"),
    "nothing": (["train", "bigram", "--set", "train.steps="], "train.steps:  is not accepted".replace("  ", " ")),
    "nan": (["train", "bigram", "--set", "train.learning_rate=nan"], "train.learning_rate: nan"),
    "heads": (["train", "transformer", "--set", "model.n_head=5"], "give n_head one of 1, 2, 4, 8, 16"),
    "no equals": (["train", "bigram", "--set", "train.steps"], "'train.steps' has no value; write NAME=VALUE"),
    "device": (
        ["train", "bigram", "--device", "tpu"],
        "unknown device 'tpu'; choose one of auto, cpu, cuda, cuda:1, mps",
    ),
    "seed": (["train", "bigram", "--seed", "-1"], "train.seed: -1 is not accepted"),
    "bad seed": (["train", "bigram", "--seed", "x"], "'x' is not a valid integer"),
    "window": (["train", "bigram", "--set", "train.window=5000"], "train.window: 5000 is not accepted"),
    "long window": (["train", "transformer", "--set", "train.window=128"], "is longer than model.context 64"),
    "prompt": (["train", "bigram", "--set", "train.prompt=¿qué?"], "outside the alphabet: '¿', 'é'; leave them out"),
    "empty prompt": (["train", "bigram", "--set", "train.prompt="], "train.prompt is empty"),
    "lines": (["train", "bigram", "--set", "train.steps=1\n2"], "train.steps: 1 2 is not accepted"),
    "run": (["show", "nobody"], "no run 'nobody'; list them with: python -m core runs"),
    "shipped": (["show", "pretrained/nobody"], "no run 'pretrained/nobody' ships with the product"),
    "command": (["fly"], "No such command 'fly'"),
    "option": (["runs", "--fast"], "No such option"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line(case: str, refusal: Any):
    """It names what is wrong and what would be right, and no run is left behind."""
    words, expected = REFUSED[case]

    assert expected in refusal(*words)
    assert reading.list_runs() == []


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_before_there_is_a_run(device: str, refusal: Any):
    import torch

    if getattr(torch.backends, device).is_available() if device == "mps" else torch.cuda.is_available():
        pytest.skip(f"this machine has {device}")

    assert f"no {device} device on this machine; use --device auto, or one of: cpu" in refusal(
        "train", "bigram", "--device", device
    )
    assert reading.list_runs() == []


def test_what_rounding_costs_is_measured_once_and_told_where_rounded_weights_write(
    call: Any, finished: Run, monkeypatch: pytest.MonkeyPatch
):
    losses = call("evaluate", finished.slug, "--rounded")["val_loss"]
    assert losses["float32"] == pytest.approx(finished.status.val_loss, abs=1e-6)
    assert 0 < abs(losses["bfloat16"] - losses["float32"]) < 0.01

    monkeypatch.setattr(rounding, "evaluate", None)  # nothing is measured a second time
    assert call("evaluate", finished.slug, "--rounded")["val_loss"] == losses
    written = call("sample", finished.slug, "--tokens", "5", "--weights", "bfloat16")
    assert written["val_loss"] == losses and written["weights"] == "bfloat16"
    assert "val_loss" not in call("sample", finished.slug, "--tokens", "5")


@pytest.mark.parametrize("command", ["show", "stop", "resume", "delete", "evaluate", "sample", "export"])
def test_an_unknown_run_is_refused_by_every_command(command: str, refusal: Any):
    assert "no run 'nobody'" in refusal(command, "nobody")


@pytest.mark.parametrize("command", ["resume", "evaluate", "sample"])
@pytest.mark.parametrize("file", [folder.CONFIG, folder.STATUS, layout.WEIGHTS])
def test_a_damaged_run_is_refused_by_what_needs_it(command: str, file: str, refusal: Any, finished: Run):
    (finished.path / file).write_bytes(b"")

    assert "is damaged: " in refusal(command, finished.slug) and file in refusal(command, finished.slug)


def test_a_run_without_weights_is_refused(refusal: Any):
    run = make_run("bigram")
    for command in ("evaluate", "sample"):
        assert "has no weights yet; train it first" in refusal(command, run.slug)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--prompt", "naïve"], "outside the alphabet: 'ï'; leave them out"),
        (["--prompt", ""], "the prompt is empty; give at least one character"),
        (["--temperature", "-1"], "temperature: -1 is not accepted; give a number from 0 to 3"),
        (["--top-p", "0"], "top_p: 0 is not accepted; give a number from 0.01 to 1"),
        (["--tokens", "1.5"], "tokens: 1.5 is not accepted; give a whole number from 1 to 20000"),
    ],
)
def test_what_cannot_be_sampled(words: list[str], expected: str, refusal: Any, finished: Run):
    assert expected in refusal("sample", finished.slug, *words)


def test_what_makes_no_sense_for_a_finished_run(refusal: Any, finished: Run):
    assert "is finished; there is nothing to stop" in refusal("stop", finished.slug)
    assert "has finished its 4 steps" in refusal("resume", finished.slug)
    assert "a name has 1 to 60" in refusal("rename", finished.slug, " ")
    with folder.hold(finished.path):
        assert "is still ending; delete it in a moment" in refusal("delete", finished.slug)


def test_a_name_that_is_taken_leaves_no_run_behind(refusal: Any, finished: Run):
    assert "another run is called" in refusal("train", "bigram", "--name", finished.slug)
    assert [run.slug for run in reading.list_runs()] == [finished.slug]


def test_a_training_that_fails_fails_the_command(capsys: pytest.CaptureFixture[str]):
    """The last line on standard error says why; with --json the object is printed all the same."""
    settings = {**TINY["transformer"]["train"], "steps": 300, "optimizer": "sgd", "learning_rate": 100, "grad_clip": 0}
    words = [w for k, v in settings.items() for w in ("--set", f"train.{k}={v}")]
    words += [w for k, v in TINY["transformer"]["model"].items() for w in ("--set", f"model.{k}={v}")]
    with pytest.raises(SystemExit) as caught:
        main(["train", "transformer", *words, "--json"])
    printed = capsys.readouterr()

    assert caught.value.code == 2
    assert json.loads(printed.out)["state"] == "failed"
    assert "failed: the loss is no longer a number" in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err


def test_a_folder_that_cannot_be_written_is_one_line(
    refusal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Run
):
    """A file where a folder should be: refused, not a traceback."""
    (finished.path / folder.LABEL).mkdir()
    assert f"is a directory: {finished.path / folder.LABEL}" in refusal("rename", finished.slug, "Yorick")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BARDLAB_HOME", str(tmp_path / "file"))

    assert "cannot make a run in" in refusal("train", "bigram")


def test_the_plan_is_what_the_command_trains(call: Any):
    """A form and the command line make the same run of the same settings."""
    plan = runs_plan.plan("bigram", preset="seconds", train={"steps": 2, "sample_chars": 1}, device="cpu")
    slug = call("train", "bigram", "--set", "train.steps=2", "--set", "train.sample_chars=1", "--device", "cpu")["run"]
    config = reading.find(slug).config

    assert config is not None and config.model_copy(update={"created": plan.created, "memory_needed": None}) == plan
    assert config.memory_needed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "mlp", "--detach"], "this run needs about"),
        (["fork", "BASE", "--set", "model.n_head=1"], "this run needs about"),
        (["fork", "BASE", "--set", "model.n_head=1", "--seeds", "2"], "3 of these 3 runs will hardly fit: the largest"),
        (["sweep", "mlp", "--over", "model.d_hidden=64,128"], "2 of these 2 runs will hardly fit: the largest"),
    ],
)
def test_what_will_not_fit_the_memory_starts_only_by_force(
    words: list[str], said: str, refusal: Any, call: Any, monkeypatch: pytest.MonkeyPatch, finished: Run
):
    """Refused in one line before anything is there; with --force it is queued, and what it needs is noted."""
    queued: list[Run] = []
    monkeypatch.setattr(memory, "available", lambda: 301_000_000)
    monkeypatch.setattr(control, "start", lambda run: queued.append(run) or run)
    words = [finished.slug if word == "BASE" else word for word in words]
    told = refusal(*words)
    assert said in told and "0.3 GB are free" in told and told.endswith("or give --force")
    assert [run.slug for run in reading.list_runs()] == [finished.slug]

    call(*words, "--force")
    assert queued and all((run.need().memory_needed or 0) > 200_000_000 for run in queued)
