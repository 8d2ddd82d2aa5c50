"""Whose a run is, and what another may do with it: refused in core, whoever asks."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import BardlabError
from core.exchange import archive, export, import_process
from core.jobs import control, queue, rankings
from core.ladder.registry import RUNGS
from core.runs import beginnings, editing, folder, layout, owners, reading, set_ups, state
from core.runs.folder import State
from core.runs.owners import EVERYBODY, GUEST, Who
from core.runs.state import Run
from core.studies import sweeps
from core.studies.course import faults
from core.texts import own
from tests.conftest import copied, make_run

ANN, BOB, TEACHER = Who("ann"), Who("bob"), Who("eve", teaches=True)


def made(who: Who, **train: object) -> Run:
    with owners.acting_as(who):
        return make_run("bigram", **train)


def put(run: Run, **status: object) -> Run:
    state.write_status(run.path, run.status.model_copy(update=status))
    return reading.read(run.path)


def test_a_run_belongs_to_whoever_made_it_and_old_ones_to_nobody(finished: Run):
    assert (made(ANN).owner, made(Who()).owner, made(EVERYBODY).owner) == ("ann", GUEST, GUEST)
    assert finished.owner == GUEST
    file = finished.path / folder.CONFIG
    config = json.loads(file.read_text())
    del config["owner"], config["crc32"]
    file.write_text(json.dumps(config))
    assert reading.read(finished.path).owner == GUEST and not reading.read(finished.path).damage


def test_an_owner_is_no_setting():
    """The same settings of another are the same run again: nothing to fork, and no other fingerprint."""
    ours, theirs = made(ANN).need(), made(BOB).need()
    assert sweeps._identity(ours) == sweeps._identity(theirs)
    assert ours.model_dump(exclude={"owner", "created"}) == theirs.model_dump(exclude={"owner", "created"})


ACTS: dict[str, Callable[[Run], object]] = {
    "delete": editing.delete,
    "rename": lambda run: editing.rename(run, "mine now"),
    "annotate": lambda run: editing.annotate(run, "bad"),
    "pin": lambda run: editing.pin(run, True),
    "start": control.start,
    "claim": control.claim,
    "train on": lambda run: beginnings.extend(run, 5),
}
UNDER_WAY: dict[str, Callable[[Run], object]] = {
    "pause": control.pause,
    "proceed": control.proceed,
    "change": lambda run: control.change(run, {"learning_rate": 0.01}),
    "step": control.single_step,
    "stop": control.stop,
}


def everything(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != folder.LOCK}


@pytest.mark.parametrize("who", [BOB, Who(), Who("ANN")], ids=lambda who: who.name)
def test_another_changes_nothing(who: Who, trained: Path):
    ended = copied(trained, "transformer-ended")
    editing_config = ended.need().model_copy(update={"owner": "ann"})
    (ended.path / folder.CONFIG).write_bytes(state.sealed(editing_config))
    ended = put(reading.read(ended.path), state=State.STOPPED)
    before = everything(ended.path)
    for what, act in ACTS.items():
        with owners.acting_as(who), pytest.raises(BardlabError, match="belongs to ann: only its owner, or who teaches"):
            act(ended)
        assert everything(ended.path) == before, what
    running = made(ANN)
    with folder.hold(running.path):
        for what, act in UNDER_WAY.items():
            now = put(running, state=State.PAUSED if what == "step" else State.RUNNING)
            before = everything(running.path)
            with owners.acting_as(who), pytest.raises(BardlabError, match="belongs to ann"):
                act(now)
            assert everything(running.path) == before, what


@pytest.mark.parametrize("who", [ANN, TEACHER, EVERYBODY], ids=lambda who: who.name)
def test_its_owner_and_who_teaches_may(who: Who):
    run = made(ANN)
    with owners.acting_as(who):
        with folder.hold(run.path):
            for what in UNDER_WAY:
                UNDER_WAY[what](put(run, state=State.PAUSED if what == "step" else State.RUNNING))
        ended = put(run, state=State.STOPPED)
        assert editing.rename(ended, "renamed").owner == "ann"
        editing.delete(reading.read(run.path))
    assert not run.path.exists()


def test_nobody_is_the_guest():
    """Who has logged in without a name owns no guest's run, and a run of a terminal is only for those who teach."""
    run = put(made(EVERYBODY), state=State.STOPPED)
    for who in (Who(), Who(GUEST), ANN):
        with owners.acting_as(who), pytest.raises(BardlabError, match="belongs to nobody who has logged in"):
            editing.delete(run)
    with owners.acting_as(TEACHER):
        editing.delete(run)


def test_who_acts_is_asked_when_they_act(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(owners, "_ask", [])
    assert owners.acting() == EVERYBODY
    names = iter(["ann", "bob"])
    owners.told_by(lambda: Who(next(names)))
    assert [owners.acting().name, owners.acting().name] == ["ann", "bob"]
    with owners.acting_as(TEACHER):
        assert owners.acting() == TEACHER


def test_anybody_may_begin_from_anothers_weights(trained: Path):
    theirs = copied(trained, "transformer-theirs")
    with owners.acting_as(BOB):
        mine = beginnings.train_on(theirs, 2)
    assert mine.path != theirs.path and mine.owner == "bob" and reading.read(theirs.path).state is State.FINISHED
    assert beginnings.train_on(theirs, 2).path == theirs.path


def test_nobody_is_passed_in_the_queue_but_by_who_teaches():
    line = [put(made(who, seed=i), device="cpu", queued=float(i)) for i, who in enumerate((ANN, BOB, BOB), 1)]
    first, second, third = line
    with folder.hold(first.path), folder.hold(second.path), folder.hold(third.path):
        with owners.acting_as(BOB):
            assert [run.slug for run in queue.move(third, 1)] == [first.slug, third.slug, second.slug]
            with pytest.raises(BardlabError, match=f"{first.slug} belongs to ann"):
                queue.move(third, 1)
        with owners.acting_as(TEACHER):
            assert queue.move(second, 9)[0].slug == second.slug


def test_a_ranking_is_cancelled_by_who_began_it(finished: Run):
    with owners.acting_as(ANN):
        path = rankings._claim(finished, None, "zero")
    assert path is not None and (found := rankings.read(finished, None, "zero")) and found.owner == "ann"
    with owners.acting_as(BOB), pytest.raises(BardlabError, match="belongs to ann"):
        rankings.cancel(finished, None, "zero")
    with owners.acting_as(ANN):
        rankings.cancel(finished, None, "zero")
    assert (layout.ranking_path(finished.path, None, "zero") / folder.STOP).exists()


def test_a_fault_of_ones_own_is_trained_beside_anothers(taken: list[Run]):
    fault = faults.DECLARED[0]
    with owners.acting_as(ANN):
        theirs = put(faults.start(fault, []), state=State.STOPPED, step=1)
    with owners.acting_as(BOB):
        assert faults.start(fault, [theirs]).owner == "bob"
    with owners.acting_as(ANN):
        assert faults.start(fault, [theirs]).path == theirs.path


def test_a_run_goes_elsewhere_without_its_owners_name(trained: Path):
    run = copied(trained, "transformer-anns")
    (run.path / folder.CONFIG).write_bytes(state.sealed(run.need().model_copy(update={"owner": "ann@school.example"})))
    run = reading.read(run.path)
    file = archive.export_run(run)
    with zipfile.ZipFile(file) as packed:
        assert not any(b"ann@school" in packed.read(name) for name in packed.namelist())
    assert b"ann@school" not in export.config_json(run).read_bytes()
    with owners.acting_as(BOB):
        assert import_process.bring_in(file).owner == "bob"


def test_a_text_is_deleted_by_who_added_it():
    """Others read it and train on it; the same text again stays the first one's, with its title."""
    content = b"To be, or not to be, that is the question. " * 50
    with owners.acting_as(ANN):
        name = own.add(content, "Hamlet").name
    with owners.acting_as(BOB):
        again = own.add(content, "Mine")
        assert (again.name, again.title, again.owner) == (name, "Hamlet", "ann")
        with pytest.raises(BardlabError, match="the text Hamlet belongs to ann: only its owner, or who teaches"):
            own.delete(name)
        assert own.read(name)[1].startswith("To be")
    with owners.acting_as(TEACHER):
        assert own.add(content, "Act III").title == "Act III" and own.listing()[0].owner == "ann"
    with owners.acting_as(ANN):
        own.delete(name)
    old = own.add(content, "Old").name
    with owners.acting_as(ANN), pytest.raises(BardlabError, match="belongs to nobody who has logged in"):
        own.delete(old)
    own.delete(old)


def test_kept_settings_are_replaced_and_forgotten_by_who_kept_them():
    rung = RUNGS["bigram"]
    settings = rung.settings("seconds", {}, {"seed": 3})

    def keep() -> str:
        return set_ups.keep("ours", rung, "seconds", *settings)

    with owners.acting_as(ANN):
        keep()
    with owners.acting_as(BOB):
        assert set_ups.find("bigram", "ours").train["seed"] == 3 and not set_ups.may_change("bigram", "ours")
        for act, what in ((keep, "replace"), (lambda: set_ups.forget("bigram", "ours"), "forget")):
            with pytest.raises(BardlabError, match=f"ours belongs to ann: .* can {what} it"):
                act()
        set_ups.forget("bigram", "gone already")
    with owners.acting_as(TEACHER):
        keep()
    assert set_ups.find("bigram", "ours").owner == "ann"
    with owners.acting_as(ANN):
        set_ups.forget("bigram", "ours")
    assert set_ups.saved_names("bigram") == []


# --- how many may wait -----------------------------------------------------------------------------------------------


def test_the_limit_is_the_teachers_else_the_environments(monkeypatch: pytest.MonkeyPatch):
    assert owners.most_waiting() is None
    for text, most in (("3", 3), ("0", None), ("-1", None), ("many", None)):
        monkeypatch.setenv(owners.WAITING, text)
        assert owners.most_waiting() == most
    monkeypatch.setenv(owners.WAITING, "3")
    owners.set_most_waiting(5)
    assert owners.most_waiting() == 5
    owners.set_most_waiting(None)
    assert owners.most_waiting() is None
    for damaged in ("", "[]", '{"waiting": "9"}', "{}"):
        owners._file().write_text(damaged)
        assert owners.most_waiting() in (None, 3)
    for most in (0, -1, 1001):
        with pytest.raises(BardlabError, match="give 1 to 1000"):
            owners.set_most_waiting(most)
    with owners.acting_as(ANN), pytest.raises(BardlabError, match="only who teaches"):
        owners.set_most_waiting(9)


def test_no_more_than_that_wait(taken: list[Run]):
    """Those of others, those that began and those that ended do not count; what is refused leaves nothing behind."""
    owners.set_most_waiting(2)
    made(BOB, seed=1)
    first, _ = made(ANN, seed=2), made(ANN, seed=3)
    with owners.acting_as(ANN):
        with pytest.raises(BardlabError, match="2 of yours wait already and 1 would come, where each may let 2 wait"):
            made(ANN, seed=4)
        put(first, state=State.STOPPED)
        with pytest.raises(BardlabError, match="1 of yours waits already and 2 would come"):
            sweeps.start([first.need().model_copy(update={"preset": None}) for _ in range(2)])
        assert len(reading.list_runs()) == 3
        made(ANN, seed=4)
        with pytest.raises(BardlabError, match="2 of yours wait already"):  # nor by Resume
            control.claim(reading.read(first.path))
    assert reading.read(first.path).state is State.STOPPED
    for who in (TEACHER, EVERYBODY):
        with owners.acting_as(who):
            assert len(sweeps.start([first.need()] * 4)) == 4


def test_a_run_that_comes_does_not_count_itself():
    owners.set_most_waiting(1)
    with owners.acting_as(ANN):
        assert control.claim(made(ANN)).state is State.QUEUED
