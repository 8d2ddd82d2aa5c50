"""Shared fixtures: every test has a home of its own, so none touches the learner's runs."""

import contextlib
import gc
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the tests themselves fill the cores

from core import paths
from core.inference import loader
from core.jobs import control, processes
from core.jobs.launchers import local
from core.ladder.registry import RUNGS
from core.runs import editing, plan, reading
from core.runs.state import Run
from core.texts import shakespeare
from core.texts.corpus import Corpus, load
from core.training import devices
from tests.forks import template

SHORT = {"steps": 4, "batch_size": 4, "window": 16, "eval_every": 2, "sample_chars": 20}
DEEP = {"steps": 4, "batch_size": 4, "eval_every": 2, "sample_chars": 20, "learning_rate": 1e-3}
TINY = {
    key: {"model": dict(rung.tiny), "train": DEEP if key == "transformer" else SHORT} for key, rung in RUNGS.items()
}
"""Settings of every rung small enough to train within a test."""


PRECISIONS = ("float32", "bfloat16")
"""What `auto` means on one processor or another, where the arithmetic differs."""

os.environ.setdefault(devices.PRECISION, "float32")  # also for what is trained once for all tests


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests write in memory, if there is room: a disk is waited for at every file that is to last.

    Workers are forks of what has loaded all already.
    """
    if config.getoption("numprocesses", None):
        forks = contextlib.ExitStack()
        forks.enter_context(template.forking())
        config.add_cleanup(forks.close)
    memory = Path("/dev/shm")
    if memory.is_dir() and not os.statvfs(memory).f_flag & os.ST_NOEXEC and shutil.disk_usage(memory).free > 4 * 2**30:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that are marked `numeric` once for each meaning of `auto`."""
    if metafunc.definition.get_closest_marker("numeric"):
        metafunc.fixturenames.append("auto_precision")
        metafunc.parametrize("auto_precision", PRECISIONS, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long ones."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Look for no garbage while all is loaded."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Take what is loaded out of the garbage collector's sight, as the server does: a look at all takes it 0.2 s.

    It looks rarely at the rest too: a test leaves little, and a twelfth of the tests' time would go into looking.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def forked() -> Iterator[None]:
    """Processes are made by forks of one that has loaded torch."""
    with template.forking():
        yield


@pytest.fixture(autouse=True)
def started(request: pytest.FixtureRequest) -> Iterator[None]:
    """But for the tests that are marked so."""
    with template.starting() if request.node.get_closest_marker("started") else contextlib.nullcontext():
        yield


@pytest.fixture
def auto_precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the precision `auto` means in this test and in the processes that it starts."""
    monkeypatch.setenv(devices.PRECISION, request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text that ships, rebuilt once for all tests. Not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", str(tmp_path_factory.mktemp("text")))
        load()
        return paths.data() / shakespeare.CACHE


@pytest.fixture(autouse=True)
def home(tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point everything that is written to a folder of this test, with no shipped runs but those it makes."""
    monkeypatch.setenv("BARDLAB_HOME", str(tmp_path))
    paths.data().mkdir()
    os.link(text_file, paths.data() / text_file.name)
    monkeypatch.setenv("BARDLAB_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setattr(processes, "_probed", True)  # nobody times the machine beside a test
    if left := processes._spare:  # by an earlier test: it has that one's home, and takes no job of this one
        hand = processes.hand_to_spare
        monkeypatch.setattr(local, "hand_to_spare", lambda path: processes._spare is not left and hand(path))
    yield tmp_path


@pytest.fixture(autouse=True)
def views_work(request: pytest.FixtureRequest) -> Iterator[None]:
    """A view that fails is told in one line in its place: no test passes by that, unless it is about it."""
    failed: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: failed.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("pages.ui.run.rung_page")
    log.addHandler(handler)
    yield
    log.removeHandler(handler)
    assert not failed or request.node.get_closest_marker("view_fails"), failed


@pytest.fixture(scope="session")
def machine_code(pytestconfig: pytest.Config) -> Path:
    """Where the machine code that writes texts is kept: it is compiled once for all test runs of this checkout."""
    folder = pytestconfig.rootpath / ".pytest_cache" / "compiled"
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, FileLock(folder.with_suffix(".lock")):
        patch.setenv("NUMBA_CACHE_DIR", str(folder))
        assert loader.load() is not None
    return folder


@pytest.fixture
def corpus() -> Corpus:
    """The real text."""
    return load()


def make_run(rung: str, **train: object) -> Run:
    """Create a run of a tiny model, not started."""
    tiny = TINY[rung]
    return editing.create(plan.plan(rung, model=tiny["model"], train={**tiny["train"], **train}, device="cpu"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny Transformer to its end, once for all tests. Its folder is not to be changed."""
    from core.jobs import work

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", str(tmp_path_factory.mktemp("trained")))
        return work.work(make_run("transformer").path).path


@pytest.fixture
def finished(trained: Path, home: Path) -> Run:
    """A finished run of a tiny Transformer in this test's home."""
    return copied(trained, trained.name)


def copied(source: Path, name: str) -> Run:
    """Copy a run into this test's home."""
    target = paths.runs() / name
    shutil.copytree(source, target)
    return reading.read(target)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Take jobs in without starting them."""
    found: list[Run] = []

    def start(run: Run) -> Run:
        found.append(run)
        return run

    monkeypatch.setattr(control, "start", start)
    return found
