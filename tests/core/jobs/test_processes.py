"""Locks, identities of processes, and who is ended first when memory runs out."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from core import paths, system
from core.runs import editing, folder, reading, state
from core.runs.folder import State
from core.system import Lock, Taken
from tests.conftest import make_run

pytestmark = pytest.mark.started

LOOKERS = """
import sys
from pathlib import Path
from core.runs import folder
path, seen = Path(sys.argv[1]), 0
print("ready", flush=True)
for _ in range(4000):
    seen += folder.is_alive(path)
print(seen)
"""


def test_a_lock_is_held_by_one_and_seen_by_all(tmp_path: Path):
    lock, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert not system.is_locked(lock.path)
    with lock:
        assert system.is_locked(lock.path) and not other.take(0.05)
        with pytest.raises(Taken), other:
            pass
    assert not system.is_locked(lock.path) and other.take()
    other.release()


def test_a_lock_ends_with_its_process(tmp_path: Path):
    code = "import sys; from pathlib import Path; from core.system import Lock\n"
    code += "assert Lock(Path(sys.argv[1])).take(); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin and holder.stdout and holder.stdout.readline() == b"held\n"
    assert system.is_locked(tmp_path / "lock")
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()

    assert not system.is_locked(tmp_path / "lock")


def test_looking_at_a_lock_neither_makes_nor_takes_it():
    """Two who look at once, in processes of their own, do not take each other for a worker."""
    run = make_run("bigram")
    assert not folder.is_alive(run.path) and not (run.path / folder.LOCK).exists()
    with folder.hold(run.path):
        pass
    lookers = [
        subprocess.Popen([sys.executable, "-c", LOOKERS, str(run.path)], cwd=paths.ROOT, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [looker.communicate()[0].split() for looker in lookers]

    assert said == [[b"ready", b"0"]] * 3


def test_no_ghost_of_a_run_deleted_while_others_look_at_it():
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            reading.list_runs()

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(150):
            run = make_run("bigram")
            with folder.hold(run.path):
                pass
            state.write_status(run.path, run.status.model_copy(update={"state": State.RUNNING}))
            editing.delete(reading.read(run.path))
    finally:
        over.set()
        for looker in lookers:
            looker.join()

    assert [path.name for path in paths.runs().iterdir()] == []
    with pytest.raises(FileNotFoundError), folder.hold(run.path):
        pass
    assert not run.path.exists()


def test_a_process_is_the_same_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch):
    """The time of day at which it was made moves with the clock; what tells it from others does not."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert child.stdin
    born = system.born(child.pid)
    before = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: before(process) + 60)

    assert system.same(child.pid, born) and not system.same(child.pid, born - 60)
    assert not system.same(os.getpid(), born)
    assert system.end(child.pid, born, kill=True)
    child.wait()
    child.stdin.close()
    assert not system.same(child.pid, born) and not system.end(child.pid, born, kill=True)


def test_a_process_may_bound_its_own_memory():
    code = "from core import system; import psutil\n"
    code += "system.limit_memory(psutil.Process().memory_info().vms + 50_000_000); bytearray(100_000_000)"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True)

    assert done.returncode == 1 and done.stderr.strip().endswith("MemoryError")

    code = code.replace("; bytearray", "; system.lift_memory_limit(); bytearray")
    assert subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT).returncode == 0


def test_the_calling_process_is_never_ended():
    assert not system.end(os.getpid(), system.born(os.getpid()), kill=True)
