"""A job from its first step to whatever end: finished, stopped, killed, diverged, out of disk."""

import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from core import files
from core.errors import BardlabError
from core.jobs import control, processes, work
from core.ladder.registry import RUNGS
from core.runs import checkpoints, editing, layout, plan, reading, records, requests
from core.runs import folder as runs_folder
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.metrics import CHARACTERS, SECONDS, TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run, Status
from core.system import Lock
from core.texts import own as texts_own
from core.texts.corpus import load
from tests.conftest import TINY, make_run

LONG = {"steps": 240, "eval_every": 10, "sample_chars": 5}
"""Long enough to be interrupted for certain."""


def short_run(rung: str, model: dict[str, object] | None = None, **train: object) -> Run:
    """Create a run of a tiny model on the beginning of the text: evaluations of the whole would take most of it."""
    own = texts_own.add(load().text[:50_000].encode(), "Beginning")
    settings = {**TINY[rung]["train"], **train}
    return editing.create(
        plan.plan(rung, model=model or TINY[rung]["model"], train=settings, device="cpu", corpus_name=own.name)
    )


def weights(run: Run) -> dict[str, Tensor]:
    return load_file(run.path / layout.WEIGHTS)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """True if two sets of weights agree bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def curve(run: Run, tag: str) -> tuple[list[float], list[float]]:
    steps, values = MetricsReader(run.path).refresh().curve(tag)
    return steps.tolist(), values.tolist()


def until(run: Run, reached: Callable[[Status], bool]) -> Status:
    """Wait until a run's own status file says something, and return it. Fails if the run ends before."""
    patience = time.monotonic() + 120
    while time.monotonic() < patience:
        status = reading.read(run.path).status
        if reached(status):
            return status
        assert status.state.active, f"ended early: {status.state} {status.message}"
        time.sleep(0.005)
    raise AssertionError("it took too long")


def begun(status: Status) -> bool:
    return (status.checkpoint_step or 0) >= 10


def stopped_on_the_way(run: Run) -> Run:
    """Train in this process while a second thread, like a page, asks for a stop."""

    def ask() -> None:
        until(run, begun)
        control.stop(reading.read(run.path))

    asker = threading.Thread(target=ask)
    asker.start()
    ended = work.work(run.path)
    asker.join()
    return ended


def resumed(run: Run) -> Run:
    """Go on in this process."""
    control.check_startable(run)
    editing.queue_again(run)
    return work.work(run.path)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that every interrupted one must equal in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", str(tmp_path_factory.mktemp("reference")))
        return work.work(short_run("transformer", **LONG).path)


def equals_the_uninterrupted(run: Run, whole: Run) -> None:
    """Same weights bit for bit, and the curves of one run: every evaluation once, in order, with the same losses."""
    assert run.state is State.FINISHED and run.status.step == LONG["steps"]
    assert same(weights(run), weights(whole))
    assert curve(run, VAL_LOSS) == curve(whole, VAL_LOSS)
    steps, _ = curve(run, TRAIN_LOSS)
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == LONG["steps"]
    seconds = curve(run, SECONDS)[1]
    assert seconds == sorted(seconds)
    assert records.samples(run.path) == records.samples(whole.path)
    assert layout.snapshot_steps(run.path) == layout.snapshot_steps(whole.path)


# --- to the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", RUNGS)
def test_a_run_ends_finished_with_all_that_it_promises(key: str):
    """Status, curves, samples, weights, snapshots, in the formats and at the steps that readers expect."""
    run = work.work(make_run(key).path)
    status, model = run.status, checkpoints.load_model(run)[0]

    assert run.state is State.FINISHED and run.damage is None and run.usable and status.message == ""
    assert status.step == status.of == status.checkpoint_step == status.best_step == 4
    assert status.device == "cpu" and status.pid == os.getpid() and status.eta_seconds is None
    assert status.parameters == sum(p.numel() for p in model.parameters())
    assert 0 < status.queued <= (status.started or 0) <= (status.ended or 0)
    assert status.seconds > 0 and status.characters == 4 * 4 * 16
    assert (status.steps_per_second or 0) > 0
    assert status.tokens_per_second == pytest.approx((status.steps_per_second or 0) * 64)
    assert 3 < (status.val_loss or 0) < 5 and status.best_val_loss == status.val_loss
    assert curve(run, VAL_LOSS)[0] == [2, 4]
    assert curve(run, VAL_LOSS)[1][-1] == pytest.approx(status.val_loss)
    assert curve(run, TRAIN_LOSS)[0][0] == 0 and curve(run, TRAIN_LOSS)[0][-1] == 4
    assert curve(run, CHARACTERS)[1][-1] == 256
    assert [(s.step, len(s.text)) for s in records.samples(run.path)] == [(0, 20), (2, 20), (4, 20)]
    assert layout.snapshot_steps(run.path) == [0, 2, 4]
    assert "finished" in records.log_tail(run.path)
    assert not runs_folder.is_alive(run.path) and not list(run.path.glob(".*.part"))


def test_the_newest_snapshot_is_the_newest_weights(finished: Run):
    ours, theirs = (checkpoints.load_model(finished, step)[0].state_dict() for step in (None, 4))

    assert same(ours, theirs)
    assert not same(ours, checkpoints.load_model(finished, 2)[0].state_dict())
    with pytest.raises(BardlabError, match="no weights of step 3 yet"):
        checkpoints.load_model(finished, 3)


@pytest.mark.parametrize(("wanted", "steps"), [(0, 10), (1, 10), (2, 10), (3, 10), (4, 9), (5, 10), (100, 3)])
def test_no_more_snapshots_than_asked_for(wanted: int, steps: int):
    """Evenly along the run, the last weights among them; from two on also the untrained ones."""
    run = work.work(short_run("bigram", steps=steps, eval_every=1, snapshots=wanted, sample_chars=0).path)
    kept = layout.snapshot_steps(run.path)

    assert len(kept) <= wanted
    assert kept[-1:] == ([steps] if wanted else [])
    assert wanted < 2 or kept[0] == 0
    assert len({b - a for a, b in itertools.pairwise(kept[:-1])}) <= 1


def test_best_is_the_lowest_validation_loss():
    """With a rate that overshoots, the best evaluation is not the last one."""
    run = work.work(short_run("bigram", steps=12, eval_every=3, optimizer="sgd", learning_rate=100.0).path)
    steps, losses = curve(run, VAL_LOSS)

    assert run.status.best_val_loss == pytest.approx(min(losses))
    assert run.status.best_step == steps[losses.index(min(losses))]


@pytest.mark.numeric
@pytest.mark.parametrize("key", RUNGS)
def test_same_seed_same_weights(key: str):
    """Twice the same settings give the same weights bit for bit; another seed gives others."""
    one, two, other = (weights(work.work(short_run(key, seed=seed).path)) for seed in (1, 1, 2))

    assert same(one, two) and not same(one, other)


def test_a_counted_bigram_is_one_step():
    """A model fitted in closed form has nothing to report between its start and its end."""
    run = work.work(editing.create(plan.plan("bigram", preset="counted", device="cpu")).path)

    assert run.state is State.FINISHED and run.status.of == run.status.step == 1
    assert run.status.val_loss == pytest.approx(2.481889, abs=1e-5)


def test_an_impossible_text_is_counted_not_stored_as_infinity():
    """Without smoothing the loss is infinite: files hold no infinity, the number of impossible pairs says why."""
    config = plan.plan("bigram", preset="counted", model={"smoothing": 0.0}, device="cpu")
    run = work.work(editing.create(config).path)

    assert run.state is State.FINISHED and run.status.val_loss is None and run.status.impossible > 0
    assert run.damage is None and curve(run, VAL_LOSS) == ([], [])
    assert "nfinity" not in (run.path / runs_folder.STATUS).read_text() + (run.path / runs_folder.SAMPLES).read_text()


def test_a_second_worker_leaves_a_held_run_alone(finished: Run, monkeypatch: pytest.MonkeyPatch):
    """Two workers for one folder: the later one goes away without touching it."""
    monkeypatch.setattr(runs_folder, "hold", lambda path: Lock(path / runs_folder.LOCK, patience=0.1))
    with Lock(finished.path / runs_folder.LOCK):
        before = (finished.path / runs_folder.STATUS).read_bytes()
        work.work(finished.path)
        assert (finished.path / runs_folder.STATUS).read_bytes() == before


def test_a_worker_that_comes_late_finds_nothing_to_do(finished: Run):
    """A run that has ended is not begun again by a worker that nobody queued it for."""
    before = (finished.path / runs_folder.STATUS).read_bytes(), sorted(p.name for p in finished.path.iterdir())
    work.work(finished.path)

    assert (
        (finished.path / runs_folder.STATUS).read_bytes(),
        sorted(p.name for p in finished.path.iterdir()),
    ) == before


# --- interrupted -----------------------------------------------------------------------------------------------------


def test_stop_and_resume_end_where_an_uninterrupted_run_does(uninterrupted: Run):
    """Stopped mid-run with its weights saved; resumed, it reaches the same weights, dropout and all."""
    assert TINY["transformer"]["model"]["dropout"] > 0
    run = stopped_on_the_way(short_run("transformer", **LONG))

    assert run.state is State.STOPPED and 10 <= run.status.step < LONG["steps"]
    assert run.status.message == f"stopped at step {run.status.step}"
    assert run.status.checkpoint_step == run.status.step and not runs_folder.stop_requested(run.path)
    checkpoints.load_model(run)
    equals_the_uninterrupted(resumed(run), uninterrupted)


@pytest.mark.numeric
@pytest.mark.parametrize("optimizer", ["muon", "sgd"])
def test_resume_is_exact_with_every_optimiser(optimizer: str):
    """Momentum, warm-up and cool-down go on where they were."""
    settings = {**LONG, "steps": 60, "optimizer": optimizer, "warmup": 30, "cooldown": 0.5, "grad_clip": 1.0}
    whole = work.work(short_run("transformer", **settings).path)
    run = stopped_on_the_way(short_run("transformer", **settings))
    assert run.state is State.STOPPED

    assert same(weights(resumed(run)), weights(whole))


def test_a_stop_before_the_first_step_keeps_the_run_resumable(finished: Run):
    run = make_run("transformer")
    requests.request_stop(run)
    run = work.work(run.path)

    assert run.state is State.STOPPED and run.status.message == "stopped while it waited"
    assert same(weights(resumed(run)), weights(finished))


def test_a_killed_worker_is_seen_as_lost_and_resumes_exactly(uninterrupted: Run):
    """SIGKILL leaves no time for anything: the run is lost, keeps its last checkpoint, and ends as if never killed."""
    run = control.start(short_run("transformer", **LONG))
    try:
        pid = until(run, begun).pid
    finally:
        for child in processes.children:
            child.kill()
            child.wait()
    assert pid is not None and not Path(f"/proc/{pid}").exists()
    lost = reading.read(run.path)

    assert lost.state is State.LOST and lost.damage is None and not runs_folder.is_alive(run.path)
    assert lost.status.message == f"the worker died; Resume goes on from step {lost.status.checkpoint_step}"
    checkpoints.load_model(lost)
    equals_the_uninterrupted(resumed(lost), uninterrupted)


def test_a_worker_killed_before_its_first_checkpoint_starts_over(finished: Run):
    """What it had shown is taken back: no step twice, no sample twice. What it had half written is removed.

    It may have died in any of its files; what a page is just writing there is not touched.
    """
    run = make_run("transformer")
    for name in ("events.out.tfevents.0000000001.host.1.0", runs_folder.SAMPLES):
        source = next(iter(finished.path.glob(name[:13] + "*"))) if name.startswith("events") else finished.path / name
        (run.path / name).write_bytes(source.read_bytes())
    own = (runs_folder.STATUS, runs_folder.SAMPLES, records.FILE, requests.CHANGES, layout.TRAINER, layout.WEIGHTS)
    for name in (*own, runs_folder.LABEL):
        (run.path / f".{name}.1-1.part").touch()
    runs_state.write_status(run.path, run.status.model_copy(update={"state": State.RUNNING, "step": 3}))
    assert reading.read(run.path).state is State.LOST
    run = resumed(reading.read(run.path))

    assert same(weights(run), weights(finished))
    assert curve(run, VAL_LOSS) == curve(finished, VAL_LOSS)
    assert curve(run, TRAIN_LOSS)[0].count(0) == 1
    assert records.samples(run.path) == records.samples(finished.path)
    assert [part.name for part in run.path.glob(".*.part")] == [f".{runs_folder.LABEL}.1-1.part"]


def test_sigterm_stops_after_the_step(uninterrupted: Run):
    """A machine that shuts down asks first: the run ends stopped, with its weights."""
    run = short_run("transformer", **LONG)

    def ask() -> None:
        until(run, begun)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    asker = threading.Thread(target=ask)
    asker.start()
    run = work.work(run.path)
    asker.join()

    assert run.state is State.STOPPED and 10 <= run.status.step < LONG["steps"]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    equals_the_uninterrupted(resumed(run), uninterrupted)


# --- gone wrong ------------------------------------------------------------------------------------------------------


def finite(run: Run) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in weights(run).values())


@pytest.mark.numeric
@pytest.mark.parametrize("eval_every", [1, 2, 50])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_loss_that_is_no_number_fails_and_keeps_earlier_weights(optimizer: str, eval_every: int):
    """One line names the learning rate; those on disk are the last good weights, also when it happens just there."""
    settings = {"steps": 300, "eval_every": eval_every, "optimizer": optimizer, "learning_rate": 100.0}
    model = {**TINY["transformer"]["model"], "dropout": 0.0}
    run = work.work(short_run("transformer", model, **settings, weight_decay=1.0, sample_chars=1).path)

    assert run.state is State.FAILED
    assert "no longer a number at step" in run.status.message
    assert "lower train.learning_rate (it is 100)" in run.status.message
    assert "\n" not in run.status.message
    assert run.status.checkpoint_step is not None
    assert run.status.checkpoint_step < int(re.findall(r"at step (\d+)", run.status.message)[0])
    assert finite(run)
    checkpoints.load_model(run)
    assert reading.read(run.path).damage is None


def spoil(file: Path, how: str) -> None:
    """Damage a trainer state: as a file, or as a file that holds something else."""
    content = file.read_bytes()
    if how in ("other", "flat"):
        state = torch.load(file, weights_only=True)
        torch.save({"model": {}, "done": 3} if how == "flat" else {**state, "model": {"x": torch.zeros(3)}}, file)
    else:
        flipped = (
            content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]
        )
        spoilt = {"cut": content[: len(content) // 2], "junk": bytes(range(256)) * 9, "empty": b"", "flipped": flipped}
        file.write_bytes(spoilt[how])


@pytest.mark.parametrize("how", ["cut", "flipped", "junk", "empty", "other", "flat"])
def test_a_damaged_trainer_state_is_refused_in_one_line(how: str):
    """If the one before it is damaged as well."""
    run = stopped_on_the_way(short_run("transformer", **LONG))
    for name in (layout.TRAINER, layout.PREVIOUS):
        spoil(run.path / name, how)
    run = resumed(run)

    assert run.state is State.FAILED
    assert run.status.message.startswith(f"{layout.TRAINER} is damaged (")
    assert run.status.message.endswith("start a new run with the same settings") and "\n" not in run.status.message
    checkpoints.load_model(run)


def test_a_damaged_trainer_state_gives_way_to_the_one_before_it(uninterrupted: Run):
    """One flipped bit: the run goes back a little, says so, and ends as if nothing had been."""
    run = stopped_on_the_way(short_run("transformer", **LONG))
    stopped_at = run.status.checkpoint_step or 0
    spoil(run.path / layout.TRAINER, "flipped")
    run = resumed(run)
    told = [alert for alert in records.alerts(run.path) if alert.kind == "checkpoint"]

    assert len(told) == 1 and told[0].step < stopped_at
    assert told[0].text.startswith("trainer.pt is damaged (the checksum of ")
    assert told[0].text.endswith(f"; the run went on from the state before it, of step {told[0].step}")
    equals_the_uninterrupted(run, uninterrupted)


def test_a_run_of_another_text_is_refused_in_one_line():
    run = make_run("bigram")
    file = run.path / runs_folder.CONFIG
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "corpus_sha256": "0" * 64}))
    run = work.work(run.path)

    assert run.state is State.FAILED and "no longer the one this run was made for" in run.status.message


@pytest.mark.parametrize("content", [b"", b'{"stage": "nobody"}'])
def test_a_damaged_configuration_is_not_trained(content: bytes):
    run = make_run("bigram")
    (run.path / runs_folder.CONFIG).write_bytes(content)
    ended = Status.model_validate_json((work.work(run.path).path / runs_folder.STATUS).read_bytes())

    assert ended.state is State.FAILED and "is damaged" in ended.message and "\n" not in ended.message


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a memory disk of a given size at a folder, or skip the test where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int) -> None:
    """Write until only `leave` bytes of the disk are free."""
    disk = os.statvfs(folder)
    with (folder / "filler").open("ab") as file:
        file.write(bytes(max(0, disk.f_bavail * disk.f_frsize - leave)))


@pytest.mark.parametrize("leave", [0, 4096, 20_000, 60_000])
def test_a_full_disk_fails_the_run_and_keeps_the_last_checkpoint(leave: int, home: Path):
    """Whichever file meets the end of the disk first: the run says so, and can be resumed once there is room."""
    with small_disk(home / "checkpoints" / "runs", "2m"):
        run = short_run("transformer", **{**LONG, "steps": 2000})

        def take_the_space() -> None:
            until(run, begun)
            fill(run.path.parent, leave)

        taker = threading.Thread(target=take_the_space)
        taker.start()
        full = work.work(run.path)
        taker.join()

        assert full.state is State.FAILED
        assert full.status.message == "could not write: the disk is full; free some space and try again"
        assert full.damage is None and not list(run.path.glob(".*.part"))
        assert (full.status.checkpoint_step or 0) >= 10
        found = checkpoints.load_trainer_state(run.path)
        assert found is not None
        state, fallback = found
        assert state["done"] >= 10 and fallback is None
        assert finite(full)
        checkpoints.load_model(full)

        (run.path.parent / "filler").unlink()
        again = stopped_soon(full)
        assert again.state is State.STOPPED and again.status.step > state["done"]


def stopped_soon(run: Run) -> Run:
    """Resume in this process and stop at the next evaluation."""
    first = run.status.checkpoint_step or 0

    def ask() -> None:
        until(run, lambda status: (status.checkpoint_step or 0) > first)
        control.stop(reading.read(run.path))

    editing.queue_again(run)
    asker = threading.Thread(target=ask)
    asker.start()
    ended = work.work(run.path)
    asker.join()
    return ended


def test_no_room_for_a_run_leaves_nothing_behind(home: Path):
    """A new run on a full disk is refused in one line."""
    with small_disk(home / "checkpoints" / "runs", "128k"):
        fill(home / "checkpoints" / "runs", 8192)
        with pytest.raises(BardlabError, match=r"\Acannot make a run in .*: the disk is full; free some space"):
            make_run("bigram")
        assert reading.list_runs() == []


@pytest.mark.parametrize(
    ("extra", "fails"),
    [
        ({"status": {"state": "finished", "pid": 1, "message": "<b>", "step": 3}}, False),
        ({"status": {"val_loss": "low"}}, True),
        ({"status": ["val_loss"]}, True),
        ({"watch": {"recent": "abc"}}, True),
        ({"watch": {"recent": [[1.0]]}}, True),
        ({"watch": {"best": None}}, True),
        ({"watch": [1]}, True),
        ([], True),
    ],
)
def test_a_resumed_run_takes_only_what_it_keeps_from_a_strangers_file(extra: object, fails: bool):
    """State and process are the worker's own; a value of another kind ends the run in one line, without a traceback."""
    run = work.work(short_run("transformer", steps=2).path)
    state = torch.load(run.path / layout.TRAINER, weights_only=True)
    torch.save({**state, "extra": extra}, run.path / layout.TRAINER)
    update = {"state": State.STOPPED}
    config = run.need()
    longer = config.model_copy(update={"train": config.train.model_copy(update={"steps": 4})})
    files.replace(run.path / runs_folder.CONFIG, runs_state.sealed(longer))
    runs_state.write_status(run.path, run.status.model_copy(update=update))
    editing.queue_again(reading.read(run.path))
    ended = work.work(run.path)

    assert ended.state is (State.FAILED if fails else State.FINISHED)
    assert ended.status.pid == os.getpid()
    assert "Traceback" not in records.log_tail(run.path)
    if fails:
        assert "trainer.pt is damaged" in ended.status.message and "\n" not in ended.status.message
