"""A process that is made by a fork is to whoever asked for it what one is that was started."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from core import paths
from tests.forks import template

pytestmark = pytest.mark.skipif(not template.possible(), reason="nothing is forked here")

TELLS = """
import json, os, signal, sys
seen = {
    "argv": sys.argv, "folder": os.getcwd(), "path": sys.path[0], "main": __name__, "input": sys.stdin.read(),
    "leads": os.getsid(0) == os.getpid(), "name": os.environ.get("NAME"), "home": os.environ.get("HOME"),
    "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "encoding": sys.stdout.encoding, "seekable": sys.stdout.seekable(), "lines": sys.stdout.line_buffering,
    "torch": "torch" in sys.modules,
}
print(json.dumps(seen))
print("aside", file=sys.stderr)
sys.exit(3)
"""


def told(folder: Path, **how: object) -> tuple[int, dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-c", TELLS, "a", "b c"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "NAME": "ü", **template.for_python(dict(os.environ))},
        input="in",
        capture_output=True,
        text=True,
        **how,  # type: ignore[call-overload]
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("apart", [False, True])
def test_it_is_told_and_tells_the_same(apart: bool, tmp_path: Path):
    forked = told(tmp_path, start_new_session=apart)
    with template.starting():
        started = told(tmp_path, start_new_session=apart)

    assert (forked[1].pop("torch"), started[1].pop("torch")) == (True, False)
    assert forked == started


def test_it_is_a_child_that_ends_as_it_ends():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert psutil.Process(child.pid).ppid() == os.getpid()
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    failed = subprocess.run([sys.executable, "-c", "print(1); 1 / 0"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (1, "1\n")
    assert failed.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert subprocess.run([sys.executable, "-c", "import sys; sys.exit('no')"], capture_output=True).stderr == b"no\n"


def test_a_module_runs_as_the_main_one_with_its_own_streams(tmp_path: Path):
    command = [sys.executable, "-m", "core", "--help"]
    with (tmp_path / "said").open("wb") as file:
        assert subprocess.run(command, cwd=paths.ROOT, stdout=file, stderr=file).returncode == 0
    with template.starting():
        said = subprocess.run(command, cwd=paths.ROOT, capture_output=True).stdout

    assert (tmp_path / "said").read_bytes() == said
