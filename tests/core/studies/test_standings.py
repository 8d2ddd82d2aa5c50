"""Who stands where: the best run of each rung, and what may not pass for it."""

import json
import math
from pathlib import Path

import pytest

from core import files
from core.runs import folder, reading, records, state
from core.runs.folder import State
from core.runs.state import Run
from core.studies.landmarks import COUNTED, Counted
from core.studies.standings import places, rows, standings
from core.texts.corpus import Corpus
from tests.conftest import make_run


def ended(run: Run, loss: float, **status: object) -> Run:
    update = {"state": State.FINISHED, "best_val_loss": loss, "step": 4, "of": 4, **status}
    state.write_status(run.path, run.status.model_copy(update=update))
    return reading.read(run.path)


def with_config(run: Run, **changes: object) -> Run:
    file = run.path / folder.CONFIG
    config = json.loads(file.read_text())
    files.replace(file, json.dumps({**config, **changes}).encode())
    return reading.read(run.path)


def test_the_lowest_loss_stands_for_its_rung(corpus: Corpus):
    found = [ended(make_run("mlp"), loss) for loss in (2.0, 1.7, 1.9)]
    best = standings([*found, make_run("mlp")], corpus)

    assert list(best) == ["mlp"]
    assert best["mlp"].run.slug == found[1].slug and not best["mlp"].imported
    assert best["mlp"].bits == pytest.approx(1.7 / math.log(2)) and best["mlp"].choices == pytest.approx(math.exp(1.7))


def test_an_n_gram_does_not_pass_for_the_bigram(corpus: Corpus):
    """It has a place of its own, right behind, under its own name."""
    pair = ended(make_run("bigram"), 2.48)
    longer = with_config(ended(make_run("bigram"), 1.53), model={"order": 6, "fit": "count"})
    best = standings([pair, longer], corpus)

    assert best["bigram"].run.slug == pair.slug
    assert (best["bigram+"].title, best["bigram+"].run.slug) == ("Counted 6-gram", longer.slug)
    assert [key for key, _ in rows()][:3] == ["bigram", "bigram+", "mlp"]


def test_damaged_runs_and_other_texts_do_not_count(corpus: Corpus):
    damaged = ended(make_run("mlp"), 1.0)
    (damaged.path / folder.CONFIG).write_text("{")
    elsewhere = with_config(ended(make_run("mlp"), 1.1), corpus_sha256="0" * 64)

    assert standings([reading.read(damaged.path), elsewhere], corpus) == {}


def test_what_was_trained_elsewhere_is_known_as_such(corpus: Corpus):
    run = ended(make_run("transformer"), 1.4, step=0, of=0, message="imported from model.pth")

    assert standings([run], corpus)["transformer"].imported


def test_a_line_is_the_first_that_says_something(corpus: Corpus, home: Path):
    run = ended(make_run("mlp"), 1.7)
    standing = standings([run], corpus)["mlp"]
    assert standing.line() is None
    records.append_sample(run.path, state.Sample(4, 1.7, "\n", "ROMEO:\n  What light through yonder window breaks\nIt"))
    assert standing.line() == "What light through yonder window breaks"
    records.append_sample(run.path, state.Sample(5, 1.7, "\n", "a\nbcd\n"))
    assert standing.line() == "bcd"


def test_the_better_of_counted_and_own_names_the_line(corpus: Corpus):
    own = with_config(ended(make_run("bigram"), 1.73), model={"order": 4, "fit": "count"})
    line = {place.key: place for place in places([own], corpus, [Counted(7, 1.53, 1, 0.1)])}[COUNTED]
    assert (line.best, line.title, line.own.loss) == (1.53, "Counted 7-gram", 1.73)

    line = {place.key: place for place in places([own], corpus, [Counted(2, 2.48, 1, 0.1)])}[COUNTED]
    assert (line.best, line.title) == (1.73, "Counted 4-gram")


def test_the_ladder_has_the_best_at_the_top_and_the_untrained_at_the_foot(corpus: Corpus):
    found = [ended(make_run("bigram"), 2.48), ended(make_run("mlp"), 1.7)]
    keys = [place.key for place in places(found, corpus, [])]

    assert keys == ["mlp", "bigram", *(key for key, _ in reversed(rows()) if key not in ("mlp", "bigram"))]
