"""Ten broken trainings: each differs from its whole twin in what its plot shows, none is ranked, all can be resumed."""

from pathlib import Path

import pytest
import torch

from core.errors import BardlabError
from core.exchange import archive
from core.jobs import work
from core.ladder import registry
from core.runs import editing, plan, reading
from core.runs.folder import State
from core.runs.metrics import MetricsReader
from core.runs.state import BROKEN, Run
from core.studies import differences, findings, standings, sweeps
from core.studies.course import faults, shelf, signs
from core.studies.course.faults import FAULTS, Fault
from core.studies.course.progress import Progress
from core.texts.corpus import Corpus
from core.training import sabotages
from core.training.config import TrainConfig
from core.training.sabotage import Sabotage
from core.training.trainer import Trainer


def trained(fault: Fault, *, whole: bool = False, steps: int) -> Run:
    """Train it, cut short."""
    config = fault.config(whole=whole, number=1)
    train = config.train.model_copy(update={"steps": steps, "eval_every": steps, "sample_chars": 0})
    return work.work(editing.create(config.model_copy(update={"train": train})).path, log=lambda line: None)


def seen(fault: Fault, *, whole: bool = False, steps: int = 40) -> tuple[signs.Signs, signs.Inside]:
    run = trained(fault, whole=whole, steps=steps)
    assert run.state is State.FINISHED, run.status.message
    found, inside = signs.signs(run, MetricsReader(run.path).refresh()), signs.inside(run)
    assert found and inside
    return found, inside


def test_what_the_trainings_of_the_mlp_show():
    """One whole twin stands for all of them: only the fault differs."""
    ok, ok_inside = seen(FAULTS["leak"], whole=True)
    found = {key: seen(FAULTS[key]) for key in ("rate", "start", "off-by-one", "leak", "same-batch", "gradients-kept")}

    assert ok.jump < 1 < 10 < found["rate"][0].jump
    assert ok_inside.saturated < 0.2 and found["start"][1].saturated > 0.6
    assert ok.val < ok.train + 0.2 and found["off-by-one"][0].val > found["off-by-one"][0].train + 0.2
    leak, same = found["leak"][0], found["same-batch"][0]
    assert leak.train < ok.train and leak.val_lowest > leak.chance > ok.val
    assert same.train < ok.train - 0.3 and same.val > same.train + 0.5
    kept = found["gradients-kept"][0]
    assert kept.norm_last > 4 * ok.norm_last
    assert abs(ok_inside.again - ok_inside.reported) < 0.1
    for key, (its, inside) in found.items():
        hints = {other.look(its, inside) for other in faults.DECLARED}
        assert len(hints) == len(faults.DECLARED) and not any("nan" in hint for hint in hints), key


def test_dropout_left_on_and_a_text_inside_another_are_seen_by_measuring_again():
    _, ok = seen(FAULTS["dropout-on"], whole=True)
    _, dropout = seen(FAULTS["dropout-on"])
    _, inside = seen(FAULTS["validation-inside"])

    assert abs(ok.again - ok.reported) < 0.04 < dropout.reported - dropout.again
    assert inside.again > inside.reported + 0.1


def test_a_dead_layer_lets_no_gradient_back_and_32_layers_need_normalisation():
    ok, ok_inside = seen(FAULTS["dead-layer"], whole=True, steps=12)
    dead, dead_inside = seen(FAULTS["dead-layer"], steps=12)
    assert dead.quietest == 0.0 < ok.quietest and dead_inside.dead == 1.0 > ok_inside.dead
    normed, bare = (signs.inside(trained(FAULTS["no-norm"], whole=whole, steps=1)) for whole in (True, False))
    assert normed and bare and bare.spread < 0.05 < 0.5 < normed.spread


def sabotaged(key: str, corpus: Corpus) -> Trainer:
    torch.manual_seed(1)
    model = registry.get("mlp").build(registry.get("mlp").config.parse({"d_hidden": 16, "dropout": 0.2}), 65)
    config = TrainConfig(steps=8, batch_size=2, window=16, precision="float32")
    return Trainer(model, config, corpus.train_ids, torch.device("cpu"), sabotages.make(key))


@pytest.mark.parametrize("key", ["rate", "same-batch", "gradients-kept", "leak"])
def test_a_broken_training_goes_on_exactly_where_it_was(key: str, corpus: Corpus):
    straight = sabotaged(key, corpus)
    losses = [float(straight.step()) for _ in range(6)]
    halves = sabotaged(key, corpus)
    first = [float(halves.step()) for _ in range(3)]
    kept = halves.state_dict()
    resumed = sabotaged(key, corpus)
    resumed.load_state_dict(kept)

    assert first + [float(resumed.step()) for _ in range(3)] == losses
    assert all(map(torch.equal, straight.model.state_dict().values(), resumed.model.state_dict().values()))


def test_a_training_that_is_whole_asks_and_nothing_changes(corpus: Corpus):
    """The seam itself does nothing: the same losses with and without it, and every method of it is answered."""
    quiet = Sabotage()
    x, y = corpus.train_ids[None, :8], corpus.train_ids[None, 1:9]
    assert quiet.batch(x, y) == (x, y) and not quiet.state_dict()
    assert quiet.texts(x, y) == (x, y)
    with quiet.evaluation(registry.get("bigram").build(registry.get("bigram").config.parse({}), 65)):
        pass
    assert set(sabotages.SABOTAGES) == set(FAULTS)


def test_an_unknown_fault_is_told_and_still_counts_as_broken():
    config = plan.plan("bigram").model_copy(update={"fault": "gremlins"})
    run = editing.create(config)
    assert run.broken
    ended = work.work(run.path, log=lambda line: None)
    assert ended.state is State.FAILED and "'gremlins'" in ended.status.message
    with pytest.raises(BardlabError, match="no fault 'x'"):
        faults.get("x")


def test_a_broken_run_stands_in_no_ranking(corpus: Corpus, tmp_path: Path):
    fault = FAULTS["leak"]
    steps = {"steps": 2, "eval_every": 2, "sample_chars": 0, "batch_size": 2, "window": 8}
    made = []
    for config in (fault.config(number=4), fault.config(whole=True)):
        train = config.train.model_copy(update=steps)
        run = editing.create(config.model_copy(update={"train": train, "group": "sweep-1"}))
        made.append(work.work(run.path, log=lambda line: None))
    broken, whole = made

    assert broken.broken and not whole.broken and broken.name == "broken training 4"
    assert [each.run.slug for each in standings.standings(made, corpus).values()] == [whole.slug]
    assert [[run.slug for run in group] for group in sweeps.groups(made).values()] == [[whole.slug]]
    assert not findings.findings(made) and len(differences.families(made)) == 2
    assert BROKEN in differences.differences(made)
    again = archive.import_run(archive.export_run(broken), file_name="broken.zip")
    assert again.broken and BROKEN in editing.rename(again, "mine").label


def test_the_shelf_keeps_what_was_said():
    first = shelf.shelf(())
    assert sorted(first.order) == sorted(FAULTS) and shelf.shelf(()).order == first.order and not first.answers
    mine = shelf.answered(shelf.answered(Progress(), "leak", "rate"), "leak", "leak")
    mine = shelf.answered(shelf.given_up(mine, "rate"), "rate", "rate")
    now = shelf.shelf(mine.marks)

    assert now.answers == {"leak": 2} and now.over("rate") and not now.found("rate")
    assert shelf.shelf(Progress().merged(mine).marks) == now
    anew = shelf.again(mine, "leak")
    assert not shelf.shelf(anew.merged(mine).marks).said and shelf.shelf(anew.marks).given_up == ("rate",)
    assert shelf.shelf(shelf.answered(anew, "leak", "leak").marks).answers == {"leak": 1}
    assert not shelf.shelf(mine.forgotten().marks).said
    with pytest.raises(BardlabError):
        shelf.answered(mine, "leak", "gremlins")
    for spoilt in ("fault.gremlins.0.0.rate", "fault.leak.x.0.rate", "fault.leak.0.0.gremlins", "fault.leak.0.told.x"):
        assert not shelf.shelf((spoilt,)).said and not shelf.shelf((spoilt,)).given_up
    (reading.paths.runs() / shelf.FILE).write_bytes(b'{"seed": "x"}')
    assert sorted(shelf.shelf(()).order) == sorted(FAULTS)
