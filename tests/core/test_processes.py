"""Locks, identities of processes, and who is ended first when memory runs out."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from core import paths, processes, runs
from core.processes import Lock, Taken
from core.runs import State
from tests.conftest import make_run

LOOKERS = """
import sys
from pathlib import Path
from core import folder
path, seen = Path(sys.argv[1]), 0
print("ready", flush=True)
for _ in range(4000):
    seen += folder.is_alive(path)
print(seen)
"""


def test_a_lock_is_held_by_one_and_seen_by_all(tmp_path: Path):
    lock, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert not processes.is_locked(lock.path)
    with lock:
        assert processes.is_locked(lock.path) and not other.take(0.05)
        with pytest.raises(Taken), other:
            pass
    assert not processes.is_locked(lock.path) and other.take()
    other.release()


def test_a_lock_ends_with_its_process(tmp_path: Path):
    code = "import sys; from pathlib import Path; from core.processes import Lock\n"
    code += "assert Lock(Path(sys.argv[1])).take(); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin and holder.stdout and holder.stdout.readline() == b"held\n"
    assert processes.is_locked(tmp_path / "lock")
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()

    assert not processes.is_locked(tmp_path / "lock")


def test_looking_at_a_lock_neither_makes_nor_takes_it():
    """Two who look at once, in processes of their own, do not take each other for a worker."""
    run = make_run("bigram")
    assert not runs.is_alive(run.path) and not (run.path / runs.LOCK).exists()
    with runs.hold(run.path):
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
            runs.list_runs()

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(150):
            run = make_run("bigram")
            with runs.hold(run.path):
                pass
            runs.write_status(run.path, run.status.model_copy(update={"state": State.RUNNING}))
            runs.delete(runs.read(run.path))
    finally:
        over.set()
        for looker in lookers:
            looker.join()

    assert [path.name for path in paths.runs().iterdir()] == []
    with pytest.raises(FileNotFoundError), runs.hold(run.path):
        pass
    assert not run.path.exists()


def test_a_process_is_the_same_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch):
    """The time of day at which it was made moves with the clock; what tells it from others does not."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert child.stdin
    born = processes.born(child.pid)
    before = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: before(process) + 60)

    assert processes.same(child.pid, born) and not processes.same(child.pid, born - 60)
    assert not processes.same(os.getpid(), born)
    assert processes.end(child.pid, born, kill=True)
    child.wait()
    child.stdin.close()
    assert not processes.same(child.pid, born) and not processes.end(child.pid, born, kill=True)


def test_a_process_may_bound_its_own_memory():
    code = "from core import processes; import psutil\n"
    code += "processes.limit_memory(psutil.Process().memory_info().vms + 50_000_000); bytearray(100_000_000)"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True)

    assert done.returncode == 1 and done.stderr.strip().endswith("MemoryError")


def test_the_calling_process_is_never_ended():
    assert not processes.end(os.getpid(), processes.born(os.getpid()), kill=True)
