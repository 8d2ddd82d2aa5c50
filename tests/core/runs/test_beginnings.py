"""Training on: the same run beyond its last step, and a new run that begins with the weights of another."""

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.errors import BardlabError
from core.jobs import control, work
from core.runs import beginnings, checkpoints, editing, layout, plan, reading
from core.runs.folder import State
from core.runs.metrics import TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run
from core.studies import differences
from core.texts import own
from core.training.config import TrainConfig
from core.training.optimizers import schedule
from tests.conftest import TINY

NEW = "Ωmega ßeta: to be, or not to be? " * 40


FIRST = "To be, or not to be: that is the question, whether 'tis nobler in the mind to suffer. " * 40


def brief(rung: str, **train: object) -> Run:
    """Create a tiny run on a short text, which is evaluated at once; not started."""
    tiny, text = TINY[rung], own.add(FIRST.encode(), "Short").name
    return editing.create(
        plan.plan(rung, model=tiny["model"], train={**tiny["train"], **train}, device="cpu", corpus_name=text)
    )


def weights(run: Run) -> dict[str, Tensor]:
    return load_file(run.path / layout.WEIGHTS)


def worked(run: Run) -> Run:
    """Train in this process, through the queue's own door."""
    return work.work(control.claim(run).path)


def same(a: Run, b: Run) -> bool:
    ours, theirs = weights(a), weights(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_finished_run_goes_on_as_if_it_had_been_asked_for_more_from_the_start(monkeypatch: pytest.MonkeyPatch):
    """Bit for bit, dropout, Muon and cool-down included; twice, and over a resumed stop in the middle."""
    monkeypatch.setattr("core.training.loop.PROGRESS_INTERVAL", 0.0)  # every step is told, however long it takes
    settings = {"optimizer": "muon", "cooldown": 0.5, "warmup": 1, "afterwards": 0.5, "snapshots": 9}
    whole = work.work(brief("transformer", **settings, steps=9, schedule=4).path)
    run = work.work(brief("transformer", **settings | {"afterwards": 0.0}).path)
    first = run.status

    run = worked(beginnings.train_on(run, 2, afterwards=0.5))
    assert (run.state, run.status.step, run.status.of) == (State.FINISHED, 6, 6)
    run = worked(beginnings.train_on(run, 3, afterwards=0.5))
    assert run.need().train == whole.need().train and run.name == whole.name
    assert same(run, whole)
    for tag in (TRAIN_LOSS, VAL_LOSS):
        ours, theirs = (MetricsReader(each.path).refresh().curve(tag) for each in (run, whole))
        assert dict(zip(*ours, strict=True)) == dict(zip(*theirs, strict=True))
    assert run.status.characters > first.characters and run.status.seconds > first.seconds


def test_the_schedule_ends_where_it_ended_and_stays_there():
    train = TrainConfig(steps=4, cooldown=0.5, warmup=0)
    longer = beginnings.on(train, 7, 0.0)
    assert longer.schedule == 4 and [schedule(i, longer) for i in range(4)] == [schedule(i, train) for i in range(4)]
    assert {schedule(i, longer) for i in range(4, 7)} == {schedule(3, train)}
    assert [schedule(i, beginnings.on(train, 6, 0.5)) for i in (3, 4, 5)] == [schedule(3, train), 0.5, 0.5]
    assert beginnings.on(longer, 9, 0.0).schedule == 4
    assert beginnings.on(TrainConfig(steps=4), 7, 0.0) == TrainConfig(steps=7)
    stopped = beginnings.on(TrainConfig(steps=1000, cooldown=0.5, patience=3), 600, 0.0)
    assert schedule(599, stopped) == schedule(599, TrainConfig(steps=1000, cooldown=0.5)) and not stopped.patience


@pytest.mark.parametrize("key", ["transformer", "mlp", "recurrent", "wavenet"])
def test_another_text_makes_a_new_run_that_keeps_what_it_knows_by_name(key: str):
    """Every weight of a character that both texts have is that character's; others are the source's as they were."""
    text = own.add(NEW.encode(), "Greek").name
    run = work.work(brief(key, steps=1, eval_every=1, sample_chars=1).path)
    new = beginnings.train_on(run, 2, text=text)
    config, old = new.need(), run.need()
    assert config.start and (config.start.run, config.start.step) == (run.slug, 1) and config.parent == run.slug
    assert "are new" in config.start.remark and new.path != run.path

    before, begun = weights(run), load_file(new.path / layout.START)
    ours, theirs = config.characters.index("b"), old.characters.index("b")
    rows = [name for name in before if before[name].shape != begun[name].shape]
    assert any(torch.equal(begun[n][ours], before[n][theirs]) for n in rows)
    assert all(torch.equal(begun[name], before[name]) for name in before if name not in rows)

    ended = worked(new)
    assert ended.state is State.FINISHED and ended.status.step == 2 and ended.status.val_loss
    assert "Began with the weights of" in beginnings.told(ended)
    assert differences.BEGUN in differences.settings(ended)


def test_of_weights_alone_a_new_run_is_made_and_said():
    """So it is with what was imported: it has no optimiser to go on with."""
    run = work.work(brief("transformer").path)
    (run.path / layout.TRAINER).unlink()
    with pytest.raises(BardlabError, match="no optimiser"):
        beginnings.extend(run, 2)
    new = beginnings.train_on(run, 2)
    assert new.slug != run.slug and new.need().corpus == run.need().corpus
    model, _ = checkpoints.load_model(run)
    assert all(torch.equal(value, load_file(new.path / layout.START)[n]) for n, value in model.state_dict().items())
    (new.path / layout.START).write_bytes(b"nothing")
    assert "missing or damaged" in worked(new).status.message


def test_what_cannot_be_trained_on_is_refused_in_one_line():
    fresh = brief("transformer")
    with pytest.raises(BardlabError, match="queued"):
        beginnings.train_on(fresh, 2)
    run = work.work(brief("transformer").path)
    with pytest.raises(BardlabError, match="not accepted"):
        beginnings.train_on(run, 100_000)
    assert reading.read(run.path).need() == run.need()
    with pytest.raises(BardlabError, match="knows no character"):
        beginnings.train_on(run, 2, text=own.add("αβγδιεζηθ".encode() * 200, "Greek").name)


def test_a_run_ends_when_its_seconds_are_up():
    run = work.work(brief("transformer", steps=100_000, eval_every=10_000, seconds=1).path)
    assert run.state is State.FINISHED and "seconds were up" in run.status.message
    assert run.status.seconds >= 1.0 and run.status.val_loss and 1 < run.status.step < 100_000
    assert run.status.checkpoint_step == run.status.step
