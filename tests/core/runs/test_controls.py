"""What may be asked of a run under way: pause, step, another learning rate; and how it ends by itself or by force."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
import torch
from safetensors.torch import load_file

from core import files, system
from core.errors import BardlabError
from core.jobs import control, processes, queue, timing, turns, work
from core.models import memory
from core.runs import checkpoints, editing, folder, layout, reading, records, requests
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.metrics import MetricsReader
from core.runs.state import Run
from core.training.trainer import Trainer
from core.training.watch import Alert, Watch
from tests.conftest import make_run

LONG = {"steps": 4000, "eval_every": 2000, "sample_chars": 1}


def until(run: Run, reached: Callable[[Run], bool]) -> Run:
    """Wait until a run looks as wanted."""
    patience = time.monotonic() + 120
    while not reached(found := reading.read(run.path)):
        assert time.monotonic() < patience, f"still {found.state} at {found.status.step}: {found.status.message}"
        time.sleep(0.01)
    return found


@contextmanager
def meanwhile(action: Callable[[], None]) -> Iterator[None]:
    """Do something in a second thread, as a page would; what fails there fails the test."""
    failed: list[BaseException] = []

    def act() -> None:
        try:
            action()
        except BaseException as error:
            failed.append(error)
            for run in reading.list_runs():
                requests.request_stop(run)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]


def same_weights(a: Run, b: Run) -> bool:
    ours, theirs = load_file(a.path / layout.WEIGHTS), load_file(b.path / layout.WEIGHTS)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def refused(what: str) -> "pytest.RaisesExc[BardlabError]":
    return pytest.raises(BardlabError, match=rf"\A[^\n]*{what}[^\n]*\Z")


# --- pause, step, change ---------------------------------------------------------------------------------------------


def test_pause_step_continue_change_nothing_but_the_time():
    """Held at step 3, stepped twice, let go: the same weights as a run that nobody touched, and the pause not timed."""
    settings = {"steps": 12, "eval_every": 4, "sample_chars": 1}
    whole = work.work(make_run("bigram", **settings).path)
    run = make_run("bigram", **settings)
    files.replace(run.path / folder.PAUSE, b"3")
    seen = []

    def page() -> None:
        held = until(run, lambda r: r.state is State.PAUSED)
        seen.append((held.status.step, held.status.checkpoint_step, held.status.message))
        time.sleep(1.0)
        assert reading.read(run.path).status.step == 3
        for steps, reached in ((1, 4), (2, 6)):
            control.single_step(held, steps)
            held = until(run, lambda r: r.state is State.PAUSED and r.status.step == reached)  # noqa: B023
            seen.append((held.status.step, held.status.checkpoint_step, held.status.message))
        control.proceed(held)

    with meanwhile(page):
        ended = work.work(run.path)

    assert seen == [(n, n, f"paused at step {n}") for n in (3, 4, 6)]
    assert ended.state is State.FINISHED and same_weights(ended, whole)
    assert records.samples(ended.path) == records.samples(whole.path)
    assert ended.status.seconds < (ended.status.ended or 0) - (ended.status.started or 0) - 0.9


def test_a_paused_run_stops_with_its_weights_and_resumes():
    """What was saved for the pause is not saved again for the stop: the state before it is kept."""
    run = make_run("bigram", **LONG)
    files.replace(run.path / folder.PAUSE, b"2")
    with meanwhile(lambda: void(control.stop(until(run, lambda r: r.state is State.PAUSED)))):
        ended = work.work(run.path)

    assert ended.state is State.STOPPED and ended.status.checkpoint_step == ended.status.step >= 2
    before = torch.load(ended.path / layout.PREVIOUS, weights_only=True)
    assert before["done"] < ended.status.step
    editing.queue_again(ended)
    assert requests.hold_from(run.path) is None


def void(result: object) -> None:
    """Forget it."""


def test_a_paused_run_lets_others_have_the_device():
    """It gives its place up to one that waits, and takes it again to go on."""
    first, second = make_run("bigram", **LONG), make_run("bigram")
    files.replace(first.path / folder.PAUSE, b"1")

    def page() -> None:
        until(first, lambda r: r.state is State.PAUSED)
        control.start(second)
        assert until(second, lambda r: not r.state.active).state is State.FINISHED
        assert reading.read(first.path).state is State.PAUSED
        control.proceed(first)
        until(first, lambda r: r.state is State.RUNNING and r.status.step > 1)
        control.stop(first)

    with meanwhile(page):
        ended = work.work(first.path)
    assert ended.state is State.STOPPED, ended.status.message
    for child in processes.children:
        child.wait(60)
    processes.reap()


def test_a_changed_rate_holds_from_its_step_on_and_a_resumed_run_repeats_it():
    """The same weights whether the run went through or went back to before the change."""
    settings = {"steps": 12, "eval_every": 4, "sample_chars": 1, "learning_rate": 1e-3, "cooldown": 0.5}
    plain = work.work(make_run("bigram", **settings).path)
    run = make_run("bigram", **settings)
    files.replace(run.path / folder.PAUSE, b"6")
    before: dict[str, bytes] = {}

    def page() -> None:
        held = until(run, lambda r: r.state is State.PAUSED)
        before.update({name: (run.path / name).read_bytes() for name in (layout.TRAINER, layout.WEIGHTS)})
        control.change(held, {"learning_rate": "0.1"})
        until(run, lambda r: bool(requests.changes(r.path)))
        control.proceed(held)

    with meanwhile(page):
        whole = work.work(run.path)
    said = "learning_rate changed from 0.001 to 0.1"
    assert [(a.step, a.kind, a.text) for a in records.alerts(run.path)][:1] == [(6, "change", said)]
    steps, rates = MetricsReader(run.path).refresh().curve("train/lr")
    assert rates[steps == 12][0] == pytest.approx(0.1 / 7) and not same_weights(whole, plain)
    assert requests.current(whole)["learning_rate"] == 0.1
    kept = {
        name: value.clone() for name, value in load_file(run.path / layout.WEIGHTS).items()
    }  # not a view of the file

    for name, content in before.items():  # as if it had died soon after
        (run.path / name).write_bytes(content)
    runs_state.write_status(run.path, whole.status.model_copy(update={"state": State.STOPPED}))
    editing.queue_again(reading.read(run.path))
    again = work.work(run.path)

    assert again.state is State.FINISHED
    assert all(torch.equal(kept[name], value) for name, value in load_file(run.path / layout.WEIGHTS).items())


def test_a_change_given_anew_takes_the_place_of_a_later_one(tmp_path):
    """A run that went back is given another rate before it comes to the old change: that one no longer counts."""
    run = make_run("bigram")
    config = run.need().train
    requests.order(run, {"learning_rate": 0.5})
    assert [c.step for c in requests.take_order(run.path, config, 9)] == [9]
    requests.order(run, {"learning_rate": 0.25})
    requests.take_order(run.path, config, 4)

    assert requests.rates(run.path) == {4: {"learning_rate": 0.25}}
    assert requests.take_order(run.path, config, 5) == []


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"learning_rate": "1e9"}, "train.learning_rate: 1e9 is not accepted; give a number from"),
        ({"steps": 3}, "train.steps cannot be changed while a run is under way; these can: train.learning_rate"),
        ({"muon_learning_rate": 0.1}, "the run's optimiser is adamw"),
    ],
)
def test_what_cannot_be_changed(values: dict[str, object], what: str):
    run = make_run("bigram")
    with refused(what):
        control.change(run, values)
    assert not (run.path / requests.ORDER).exists()


def test_what_makes_no_sense_for_a_run_that_has_ended(finished: Run):
    for ask in (control.pause, control.proceed, lambda run: control.change(run, {"learning_rate": 0.1})):
        with refused("is finished; there is nothing to"):
            ask(finished)
    with refused("pause it first"):
        control.single_step(finished)


# --- ended by itself -------------------------------------------------------------------------------------------------


def test_patience_ends_a_run_and_its_best_weights_are_kept(monkeypatch: pytest.MonkeyPatch):
    """A rate that overshoots: the run ends two evaluations after the best one, whose weights load as such."""
    settings = {"steps": 100, "eval_every": 1, "optimizer": "sgd", "learning_rate": 100.0, "patience": 2}
    run = work.work(make_run("bigram", **settings, sample_chars=1).path)
    best = run.status.best_step

    assert run.state is State.FINISHED and best and run.status.step == best + 2 < 100
    assert run.status.message == "stopped early: no better validation loss in 2 evaluations"
    assert records.alerts(run.path)[-1].kind == "early stop"
    assert layout.snapshot_steps(run.path)[-1] == run.status.step
    ours = checkpoints.load_model(run, "best")[0].state_dict()
    newest = checkpoints.load_model(run)[0].state_dict()
    assert not all(torch.equal(ours[name], newest[name]) for name in ours)
    with (run.path / layout.BEST).open("rb") as file:
        assert f'"step":"{best}"' in file.read(400).decode(errors="replace")


def test_best_weights_have_the_best_loss(finished: Run):
    """The loss measured on them is the one that the status names."""
    from core.evaluation import evaluate
    from core.texts.corpus import load

    model, _ = checkpoints.load_model(finished, "best")
    assert evaluate(model, load().val_ids).loss == pytest.approx(finished.status.best_val_loss, abs=1e-6)
    (finished.path / layout.BEST).unlink()
    with refused("no weights kept as the best yet"):
        checkpoints.load_model(finished, "best")


def told(losses: list[float], trained: list[float]) -> list[tuple[int, str]]:
    """What is said of a run with these validation and training losses."""
    watch, found = Watch(), []
    for step, (loss, train) in enumerate(zip(losses, trained, strict=True), 1):
        watch.progress(step, train)
        state = watch.state_dict()
        watch = Watch()  # as after a resume
        watch.load_state_dict(state)
        if alert := watch.evaluated(step, loss):
            found.append((alert.step, alert.kind))
    return found


def test_overfitting_is_told_once_when_validation_rises_while_training_falls():
    falling = [3.0 - 0.1 * i for i in range(10)]

    assert told([2.0, 1.9, 1.8, 1.85, 1.9, 2.0, 2.1, 2.2, 2.3, 2.4], falling) == [(6, "overfit")]
    assert told([3.0 - 0.05 * i for i in range(10)], falling) == []


def test_a_plateau_is_told_once_when_nothing_moves():
    assert told([2.0] + [1.9 - 1e-4 * i for i in range(9)], [2.0] * 10) == [(7, "plateau")]
    assert told([2.0 - 0.01 * i for i in range(10)], [2.0] * 10) == []


def test_a_spike_is_told_against_the_usual_scatter():
    noise = [2.0 + 0.05 * (i % 5) for i in range(30)]
    watch = Watch()

    assert not [a for i, loss in enumerate(noise) if (a := watch.progress(i, loss))]
    assert watch.progress(30, 3.5) == Alert(30, "spike", "the training loss jumped from about 2.10 to 3.50")
    assert watch.progress(31, 3.5) is None


def test_a_loss_that_is_no_number_is_an_alert_too():
    run = work.work(make_run("transformer", steps=300, optimizer="sgd", learning_rate=100.0, weight_decay=1.0).path)

    assert run.state is State.FAILED
    assert [(a.kind, a.text) for a in records.alerts(run.path)][-1] == ("nan", run.status.message)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_out_of_memory_names_a_batch_that_fits(error: Exception, monkeypatch: pytest.MonkeyPatch):
    def step(self: Trainer) -> None:
        raise error

    monkeypatch.setattr(Trainer, "step", step)
    run = work.work(make_run("transformer", batch_size=64).path)

    assert run.state is State.FAILED
    assert run.status.message == "out of memory with train.batch_size 64; about 32 would fit on this cpu"
    monkeypatch.setattr(memory, "available", lambda: 1000)
    assert timing.fitting_batch(run.need(), torch.device("cpu")) == 0


# --- the queue -------------------------------------------------------------------------------------------------------


@contextmanager
def waiting(count: int) -> Iterator[list[Run]]:
    """Make runs that wait for the CPU, their locks held by this process, oldest first."""
    made = []
    locks = []
    for number in range(count):
        run = make_run("bigram")
        lock = folder.hold(run.path)
        assert lock.take()
        locks.append(lock)
        runs_state.write_status(run.path, run.status.model_copy(update={"device": "cpu", "queued": 1000.0 + number}))
        made.append(reading.read(run.path))
    yield made
    for lock in locks:
        lock.release()


def test_the_queue_is_first_come_first_served_until_somebody_moves_a_run():
    with waiting(4) as made:
        a, b, c, d = (run.slug for run in made)
        order = lambda: [run.slug for run in queue.queue("cpu")]  # noqa: E731

        assert order() == [a, b, c, d] and queue.queue("cuda") == []
        queue.move(made[3], 1)
        assert order() == [a, b, d, c]
        queue.move(made[2], 1_000_000)
        assert order() == [c, a, b, d]
        queue.move(made[0], -1)
        assert order() == [c, b, a, d]
        queue.move(made[2], -1_000_000)
        assert order() == [b, a, d, c]
        queue.move(made[1], 1)
        assert order() == [b, a, d, c]
    with refused("does not wait for a device"):
        queue.move(made[0], 1)


def test_the_first_in_the_queue_gets_the_device_and_as_many_as_there_are_places(monkeypatch: pytest.MonkeyPatch):

    def asks(run: Run) -> bool:
        tries = iter([False, False, True])
        found = turns.wait_for(("cpu",), run.path, lambda: next(tries), lambda message: None)
        if found:
            held.append(found[0][0])
            runs_state.write_status(run.path, run.status.model_copy(update={"state": State.RUNNING}))
        return found is not None

    with waiting(3) as (first, second, third):
        held: list[system.Lock] = []
        queue.move(third, 1_000_000)
        assert [asks(run) for run in (first, second, third)] == [False, False, True]
        assert not asks(first)
        monkeypatch.setenv("BARDLAB_JOBS_PER_DEVICE", "2")
        assert [asks(run) for run in (second, first, second)] == [False, True, False]
        for lock in held:
            lock.release()


# --- ended by force --------------------------------------------------------------------------------------------------


def test_no_signal_for_a_process_that_only_has_the_same_number():
    """A recycled process id is not signalled; nor is this very process."""
    child = psutil.Popen(["sleep", "60"])
    try:
        run = make_run("bigram")
        with folder.hold(run.path):
            update = {"state": State.RUNNING, "pid": child.pid, "born": system.born(child.pid) - 1000}
            runs_state.write_status(run.path, run.status.model_copy(update=update))
            requests.request_stop(run)
            os.utime(run.path / folder.STOP, (1, 1))
            assert control.look_after(reading.read(run.path)).state is State.STOPPING
            assert child.is_running() and child.status() != psutil.STATUS_ZOMBIE
            runs_state.write_status(run.path, run.status.model_copy(update={**update, "pid": os.getpid()}))
            assert control.look_after(reading.read(run.path)).state is State.STOPPING
    finally:
        child.kill()
        child.wait()


def test_a_second_request_does_not_begin_the_grace_anew():
    run = make_run("bigram")
    requests.request_stop(run)
    os.utime(run.path / folder.STOP, (1000, 1000))
    requests.request_stop(run)

    assert (run.path / folder.STOP).stat().st_mtime == 1000


def test_a_worker_that_dies_before_it_begins_is_seen_at_once():
    child = psutil.Popen(["true"])
    run = make_run("bigram")
    folder.announce(run.path, child.pid)
    child.wait()

    assert reading.read(run.path).state is State.LOST


def test_places_of_a_device_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    for value, expected in (("3", 3), ("0", 1), ("many", 1)):
        monkeypatch.setenv("BARDLAB_JOBS_PER_DEVICE", value)
        assert [slot.number for slot in turns.slots("cpu")] == list(range(expected))
        assert len({slot.lock_path for slot in turns.slots("cpu")}) == expected
