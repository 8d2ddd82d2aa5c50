"""Imports from page and command line run in a process of their own; hostile files end in one line and leave nothing."""

import io
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core import files as core_files
from core import paths
from core.cli.main import main
from core.errors import BardlabError
from core.exchange import archive, import_process
from core.jobs import work
from core.runs import checkpoints, editing, folder, layout, reading, records
from core.runs.folder import State
from core.runs.state import Run
from tests.core.exchange.test_interchange import content, reference
from tests.forks import template
from tests.hostile_imports import Files, a_stopped_run, events, packed, recipes, trainer


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a tiny run that can be resumed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", str(tmp_path_factory.mktemp("stopped")))
        return a_stopped_run()


def left() -> list[str]:
    """What lies beside the runs that is no run."""
    return [p.name for p in paths.runs().glob(".importing*")] if paths.runs().exists() else []


def test_a_stream_and_a_file_come_in_through_another_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As the page hands it over, twice over, and as the command line does."""
    state = content(reference(n_layer=1).state_dict())
    stream = io.BytesIO(state)
    stream.read()
    run = import_process.bring_in(stream, file_name="lecture.pth", text="tinyshakespeare")
    (tmp_path / "mine.pth").write_bytes(state)
    main(["import", str(tmp_path / "mine.pth"), "--name", "Mine"])

    assert run.name == "lecture" and run.state is State.FINISHED and run.usable
    assert reading.find("Mine").status.val_loss == run.status.val_loss
    assert "imported from mine.pth" in capsys.readouterr().out and left() == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU it is used")
def test_where_it_is_measured_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """On the CPU as by default; a device that is not there is one line, and no run is left."""
    (tmp_path / "mine.pth").write_bytes(content(reference(n_layer=1).state_dict()))
    main(["import", str(tmp_path / "mine.pth"), "--device", "auto"])
    with pytest.raises(SystemExit):
        main(["import", str(tmp_path / "mine.pth"), "--device", "cuda"])

    assert "cuda" in capsys.readouterr().err.splitlines()[-1]
    assert [run.name for run in reading.list_runs()] == ["mine"] and left() == []


def test_what_is_refused_there_is_said_here(tmp_path: Path):
    with template.starting(), pytest.raises(BardlabError, match=r"cannot read nowhere\.pth: no such file"):
        import_process.bring_in(tmp_path / "nowhere.pth")
    with pytest.raises(BardlabError, match="no text is called 'none'"):
        import_process.bring_in(io.BytesIO(content(reference().state_dict())), file_name="a.pth", text="none")
    assert left() == [] and reading.list_runs() == []


@pytest.mark.started
def test_a_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, stopped: Files):
    monkeypatch.setattr(import_process, "PATIENCE", 0.2)
    with pytest.raises(BardlabError, match=r"run\.zip was not imported: it took too long"):
        import_process.bring_in(io.BytesIO(packed(stopped)), file_name="run.zip")
    assert left() == [] and reading.list_runs() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit on the address space")
def test_memory_is_bounded():
    code = "import psutil; from core import system; from core.exchange.import_process import MEMORY\n"
    code += (
        "system.limit_memory(psutil.Process().memory_info().vms + MEMORY); print(1, flush=True); bytearray(4 * 2**30)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True)

    assert done.stdout == "1\n" and "MemoryError" in done.stderr


@pytest.mark.parametrize(
    "name", sorted(recipes({"config.json": b'{"train": {}}', "status.json": b"{}"}, 100, random.Random(1)))
)
def test_a_hostile_file_is_refused_in_one_line_or_is_harmless(name: str, stopped: Files):
    """The same recipes as `python -m tests.hostile_imports`, of a size that spares the machine."""
    try:
        run = archive.bring_in(recipes(stopped, 2_000_000, random.Random(7))[name](), file_name="hostile.zip")
    except BardlabError as error:
        assert "\n" not in str(error) and 10 < len(str(error)) < 500
        assert reading.list_runs() == []
    else:
        assert not run.damage and run.state is State.STOPPED and run.status.pid is None
        assert len(records.log_tail(run.path)) <= 4000
    assert left() == []
    assert not Path("/tmp/hostile-canary").exists()


REFUSED = {
    "a long log": ({"log.txt": b"x" * (101 * 1024**2)}, "log.txt has 101 MB; at most 100 MB"),
    "many samples": (
        {"samples.jsonl": b'{"step": 1, "val_loss": 1.0, "prompt": "a", "text": "b"}\n' * 10_002},
        "more than 10,001 samples",
    ),
    "a long sample": (
        {"samples.jsonl": b'{"step": 1, "val_loss": 1.0, "prompt": "a", "text": "%s"}\n' % (b"b" * 200_000)},
        "or one that is too long",
    ),
    "large settings": ({"config.json": b" " * (2 * 1024**2)}, "config.json has 2 MB; at most 1 MB"),
    "too many points": (
        {"events.out.tfevents.9999999999.x": events((1, {"train/loss": 1.0}), again=20)},
        "train/loss has .* points, more than steps were asked for",
    ),
    "a formula": ({"events.out.tfevents.9999999999.x": events((1, {"=A1": 1.0}))}, "one is called =A1"),
    "no end of time": ({"events.out.tfevents.9999999999.x": events((1, {"time/seconds": float("inf")}))}, "not finite"),
    "a step to come": ({"events.out.tfevents.9999999999.x": events((99, {"train/loss": 1.0}))}, "not asked for"),
    "large weights": (
        {"best.safetensors": bytes(20 * 1024**2)},
        "too few or too many for .*: best.safetensors",
    ),
    "a long header": (
        {"model.safetensors": (9 * 10**12).to_bytes(8, "little") + b"{}" + bytes(99)},
        "its header announces 9,000,000,000,000 bytes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_kind_of_file_in_a_run_has_its_limit(case: str, stopped: Files):
    files, reason = REFUSED[case]
    with pytest.raises(BardlabError, match=reason):
        archive.bring_in(packed({**stopped, **files}), file_name="run.zip")
    assert left() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"done": 99}, "more steps than were asked for"),
        ({"done": "4"}, "how many steps"),
        ({"seconds": float("nan")}, "its clock"),
        ({"model": {}}, "do not fit its settings"),
        ({"model": [1]}, "holds no model"),
        ({"extra": [1]}, "cannot be read"),
    ],
)
def test_a_state_to_resume_from_must_fit_its_run(changes: dict[str, object], reason: str, stopped: Files):
    with pytest.raises(BardlabError, match=reason):
        archive.bring_in(packed(trainer(stopped, **changes)), file_name="run.zip")


def test_of_a_long_log_the_end_is_kept(stopped: Files):
    run = archive.bring_in(packed({**stopped, "log.txt": b"x" * 3 * 1024**2 + b"\nthe end\n"}), file_name="run.zip")

    assert (run.path / folder.LOG).stat().st_size < archive.KEPT_LOG + 200
    assert "the end\n" in records.log_tail(run.path)


def test_a_run_that_comes_in_with_its_state_is_resumed(stopped: Files):
    """What is written anew of a stranger's file is all that a resumed run needs."""
    run = archive.bring_in(packed(trainer(stopped, done=2)), file_name="run.zip")
    editing.queue_again(run)
    ended = work.work(run.path)

    assert ended.state is State.FINISHED and ended.status.step == 4


def test_a_counted_table_whose_numbers_point_elsewhere_is_refused():
    """Rows of an n-gram are found by numbers in its weights: those that lead outside would take memory without end."""
    import torch
    from safetensors.torch import load

    from core.runs import plan
    from tests.conftest import TINY

    made = editing.create(plan.plan("bigram", model={"order": 3}, train=TINY["bigram"]["train"], device="cpu"))
    run = work.work(made.path)
    assert archive.bring_in(archive.export_run(run)).state is State.FINISHED
    state = load((run.path / layout.WEIGHTS).read_bytes())
    starts = state["orders.1.starts"]
    for spoiled in (torch.full_like(starts, 2**31 - 1), starts.flip(0), starts[:-1]):
        bad = checkpoints.packed({**state, "orders.1.starts": spoiled.contiguous()}, 1)
        core_files.replace(run.path / layout.WEIGHTS, bad)
        core_files.replace(run.path / layout.BEST, bad)
        with pytest.raises(BardlabError, match=r"a damaged n-gram: its (rows|tables)"):
            archive.bring_in(archive.export_run(run))


def test_a_run_without_a_name_of_its_own_is_called_after_its_file(finished: Run, tmp_path: Path):
    file = archive.export_run(finished, tmp_path / "from afar.zip")
    assert archive.bring_in(file).name == "from afar"
