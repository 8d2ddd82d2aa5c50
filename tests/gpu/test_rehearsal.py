"""The check of the GPU path itself: every row is gone through on the CPU, so that none fails for want of a comma."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core import paths
from tests.gpu.__main__ import ROWS, limit, row


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.gpu", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT, timeout=280)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine with a GPU would begin")
def test_without_a_gpu_it_says_what_it_would_do():
    done = check()

    assert done.returncode == 77 and not done.stderr
    lines = done.stdout.splitlines()[1:]
    assert [line.split(maxsplit=3) for line in lines] == [[k, str(s), "s", what] for k, (_, what, s) in ROWS.items()]
    assert check("--only", "B,J").stdout.splitlines()[1:] == [line for line in lines if line.split()[0] in "BJ"]


@pytest.mark.long
@pytest.mark.parametrize("rows", ["A,C1,C2,C3,D2,E1,E2,E4,F,G,H,I"])
def test_every_row_runs_on_the_cpu_with_tiny_models(rows: str, tmp_path: Path):
    peer = tmp_path / "peer"
    peer.mkdir()
    (peer / "model.py").write_text((Path(__file__).parent / "stand_in.py").read_text())
    done = check("--rehearse", "--only", rows, "--beside", str(peer), "--out", str(tmp_path), "--budget", "250")
    found = json.loads((tmp_path / "gpu.json").read_text())

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert {name: each["result"] for name, each in found.items()} == dict.fromkeys(rows.split(","), "ok")


@pytest.mark.long
@pytest.mark.parametrize("rows", ["D1,E3,J", "B"])
def test_rows_that_start_processes_run_on_the_cpu_too(rows: str, tmp_path: Path):
    done = check("--rehearse", "--only", rows, "--out", str(tmp_path), "--budget", "250")
    found = json.loads((tmp_path / "gpu.json").read_text())

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert {name: each["result"] for name, each in found.items()} == dict.fromkeys(rows.split(","), "ok")


def test_a_row_past_its_time_is_skipped_and_one_that_raises_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import time

    from tests.gpu import speed_rows
    from tests.gpu.setting import Setting

    def breaks(setting: Setting) -> dict[str, object]:
        raise ValueError("broken")

    setting = Setting(tmp_path, None, True)
    monkeypatch.setattr(speed_rows, "machine", lambda setting: time.sleep(30))
    assert row(setting, "A", 0.2)["result"] == "SKIP (time)"
    monkeypatch.setattr(speed_rows, "machine", breaks)
    assert row(setting, "A", 5.0)["result"] == "FAIL"
    with limit(5.0):
        pass
