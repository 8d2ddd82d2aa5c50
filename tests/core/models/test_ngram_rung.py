"""The bigram's order slider: from order 3 on the rung is the counted n-gram, a run like any other."""

import dataclasses

import pytest
import torch

from core.errors import BardlabError
from core.evaluation import evaluate
from core.inspect.counting import reading, table_after
from core.jobs import work
from core.ladder import rung
from core.ladder.registry import RUNGS
from core.models.bigram import Bigram, count_pairs
from core.models.contract import parameter_count
from core.models.ngram import NGram, NGramConfig
from core.runs import checkpoints, editing, plan, records
from core.runs.folder import State
from core.sampling import SamplingConfig, generate
from core.studies import landmarks
from core.texts.corpus import Corpus

RUNG = RUNGS["bigram"]


def test_the_order_decides_what_is_built():
    """Order 2 is the table of pairs, learned or counted; every other order is the n-gram."""
    assert isinstance(RUNG.build(RUNG.config(), 65), Bigram)
    for order in range(3, 9):
        built = RUNG.build(RUNG.config(order=order), 65)
        assert isinstance(built, NGram) and built.context == order - 1 and built.closed_form


def test_an_order_alone_means_counting_and_learning_it_is_refused():
    model, _ = RUNG.settings("seconds", {"order": "5"}, {})
    assert model.model_dump()["fit"] == "count"
    with pytest.raises(BardlabError, match=r"model\.order 5 can only be counted.*set model\.fit to count"):
        RUNG.settings("seconds", {"order": 5, "fit": "gradient"}, {})


def test_name_equation_and_code_follow_the_order():
    two, five = RUNG.config(), RUNG.config(order=5)

    assert (RUNG.title_of(two), RUNG.title_of(five)) == ("Bigram", "Counted 5-gram")
    assert "softmax" in RUNG.equation_of(two, 65) and "x_{t-5+2}" in RUNG.equation_of(five, 65)
    assert "$" not in RUNG.equation_of(five, 65)
    assert rung.file_of(RUNG.code_of(two)) == "core/models/bigram.py"
    assert rung.file_of(RUNG.code_of(five)) == "core/models/ngram.py"
    assert rung.source_of(RUNG.code_of(five)).startswith("def interpolate")


def test_an_n_gram_run_is_a_run_like_any_other(corpus: Corpus):
    """Counted by the worker, loaded from its folder: the same loss, as many numbers as it says, and it writes."""
    run = editing.create(plan.plan("bigram", model={"order": 4}, train={"sample_chars": 20}))
    run = work.work(run.path)
    model, tokenizer = checkpoints.load_model(run)
    counted = NGram(NGramConfig(order=4), 65)
    counted.fit(corpus.train_ids)

    assert run.state is State.FINISHED
    assert isinstance(model, NGram)
    assert run.status.val_loss == pytest.approx(evaluate(counted, corpus.val_ids).loss, abs=1e-6)
    assert run.status.train_loss and run.status.train_loss < run.status.val_loss
    assert run.status.parameters == parameter_count(model) == 65 + sum(len(t.share) for t in counted.tables)
    assert len(records.samples(run.path)[-1].text) == 20
    assert len(list(generate(model, tokenizer.encode("ROMEO"), SamplingConfig(tokens=30)))) == 30


def test_an_alphabet_too_large_is_refused_before_there_is_a_run(corpus: Corpus):
    class Big:
        train_ids = val_ids = corpus.val_ids
        name = "big"
        tokenizer = type("T", (), {"size": 300, "encode": lambda self, text: [0]})()

    model, train = RUNG.settings(None, {"order": 8}, {})
    with pytest.raises(BardlabError, match="give at most 7"):
        plan.check(RUNG, model, train, Big())  # type: ignore[arg-type]


@torch.no_grad()
@pytest.mark.parametrize("key", RUNGS)
def test_every_rungs_probabilities_sum_to_one(key: str, corpus: Corpus):
    """Of each rung, and of what can be counted at every order."""
    rung = RUNGS[key]
    every = [rung.settings(name, {}, {})[0] for name in rung.presets if name != "reference"]
    for config in every:
        model = rung.build(config, 65).eval()
        if model.closed_form:
            model.fit(corpus.train_ids[:50_000])
        probs = model(corpus.val_ids[: max(8, model.readable(64))][None]).double().softmax(-1)

        assert probs.shape[-1] == 65
        assert float((probs.sum(-1) - 1).abs().max()) < 1e-6
        if model.closed_form:
            assert float((model(corpus.val_ids[:64][None]).double().exp().sum(-1) - 1).abs().max()) < 1e-5


def test_every_pair_of_the_training_text_is_counted(corpus: Corpus):
    counts = count_pairs(corpus.train_ids, 65)

    assert int(counts.sum()) == len(corpus.train_ids) - 1
    q, u = (corpus.tokenizer.chars.index(c) for c in "qu")
    assert int(counts[q, u]) == corpus.text[: corpus.split].count("qu")


def test_landmarks_of_counting_are_computed_once_and_kept(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    """Nothing is known at first; each order is measured as the model itself is, and read back from disk."""
    assert landmarks.counted_ngrams(corpus) == {} and landmarks.best_ngram(corpus) is None
    found = landmarks.count_ngram(corpus, 3)
    model = NGram(NGramConfig(order=3), 65)
    model.fit(corpus.train_ids)

    assert found.loss == evaluate(model, corpus.val_ids).loss
    assert landmarks.counted_ngrams(corpus) == {3: found}

    monkeypatch.setattr(landmarks, "_method", lambda: "another version")
    assert landmarks.counted_ngrams(corpus) == {}


def test_the_best_order_is_named_once_all_are_known(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    losses = {order: 1.5 + abs(order - 6) / 10 for order in landmarks.ORDERS}
    rows = {order: landmarks.Counted(order, loss, 1, 0.1) for order, loss in losses.items()}
    monkeypatch.setattr(landmarks, "_kept", lambda corpus: rows)
    best = landmarks.best_ngram(corpus)

    assert best and best.value == 1.5 and best.label == "counted 6-gram: 1.500"
    del rows[8]
    assert landmarks.best_ngram(corpus) is None


def test_published_losses_belong_to_the_published_text(corpus: Corpus):
    other = dataclasses.replace(corpus, sha256="0" * 64)

    assert [mark.value for mark in landmarks.published(corpus)] == [1.88, 1.4697]
    assert all("README gives" in mark.help and "Not measured here" in mark.help for mark in landmarks.published(corpus))
    assert landmarks.published(other) == []


@torch.no_grad()
@pytest.mark.parametrize("asked", ["th", "the kin", "q", "", "\n\n\n\n", "zzzz"])
def test_a_prediction_is_the_sum_of_its_orders_parts(asked: str, corpus: Corpus):
    """Known contexts, unknown ones and none: parts add up to the model's distribution, weights to one."""
    model = NGram(NGramConfig(order=5), 65)
    model.fit(corpus.train_ids[:100_000])
    ids = corpus.tokenizer.encode(asked)
    found = reading(model, ids)
    expected = model(torch.tensor([ids]))[0, -1].double().exp() if ids else model.unigram.double().softmax(0)

    assert found.probs.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert sum(level.weight for level in found.levels) == pytest.approx(1)
    assert [level.order for level in found.levels] == list(range(min(5, len(ids) + 1), 0, -1))
    for level in found.levels:
        assert level.part.sum() == pytest.approx(level.weight, abs=1e-6)
        text = corpus.text[:100_000]
        context = corpus.tokenizer.decode(level.context)
        if level.order > 1:
            after = {text[i + len(context)] for i in range(len(text) - len(context)) if text.startswith(context, i)}
            assert level.followers == len(after)


@torch.no_grad()
def test_the_table_after_a_prefix_holds_the_models_rows(corpus: Corpus):
    model = NGram(NGramConfig(order=4), 65)
    model.fit(corpus.train_ids[:100_000])
    table = table_after(model, corpus.tokenizer.encode("th"))
    row = corpus.tokenizer.chars.index("e")

    assert table[row].tolist() == pytest.approx(reading(model, corpus.tokenizer.encode("the")).probs.tolist(), abs=1e-6)
    assert table_after(model, []).shape == (65, 65)
