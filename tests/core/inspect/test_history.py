"""Snapshots followed over time, maps drawn in other ways than PCA, and the tables that models hold."""

import csv
import io
import itertools
import math

import numpy as np
import pytest
import torch

from core.errors import BardlabError
from core.inspect import embeddings, heads, history
from core.inspect.embeddings import Map
from core.inspect.trace import trace
from core.ladder.registry import RUNGS
from core.runs import checkpoints, layout
from core.runs.state import Run, Sample
from core.texts.corpus import Corpus
from tests.conftest import TINY


def build(key: str, **more: object):
    rung = RUNGS[key]
    torch.manual_seed(0)
    return rung.build(rung.config.parse({**TINY[key]["model"], **more}), 65)


@pytest.mark.parametrize(
    ("rung", "more", "keys"),
    [
        ("bigram", {}, ["token"]),
        ("mlp", {}, ["token", "output"]),
        ("recurrent", {}, ["token", "output"]),
        ("wavenet", {}, ["token", "output"]),
        ("residual", {}, ["token", "output"]),
        ("transformer", {}, ["token", "output", "position"]),
        ("transformer", {"positions": "sinusoidal"}, ["token", "output", "position"]),
        ("transformer", {"positions": "rotary"}, ["token", "output"]),
    ],
)
def test_every_rung_shows_the_tables_it_has(rung: str, more: dict[str, object], keys: list[str]):
    found = embeddings.tables(build(rung, **more))

    assert [table.key for table in found] == keys
    assert all(len(table.vectors) == (16 if table.positions else 65) for table in found)
    assert all(np.isfinite(table.vectors).all() for table in found)


def test_a_bigram_row_without_a_successor_stays_finite():
    """Counting without smoothing makes logarithms of zero."""
    model = build("bigram", fit="count", smoothing=0.0)
    model.fit(torch.tensor([0, 1, 0, 1, 2]))

    assert np.isfinite(embeddings.token_vectors(model)).all()


def test_rotary_resemblance_is_that_of_the_models_own_scores():
    """With one and the same content everywhere, a rotary model's scores are this table, up to a factor."""
    found = embeddings.position_similarity(build("transformer", positions="rotary", context=12, d_model=16, n_head=2))
    distance = np.arange(12)[:, None] - np.arange(12)[None]
    rate = 10_000.0 ** (-np.arange(0, 8, 2) / 8)
    expected = np.cos(distance[..., None] * rate).mean(axis=-1)

    np.testing.assert_allclose(found, expected, atol=1e-5)


def two_groups() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, 0.1, (15, 5)) + 2, rng.normal(0, 0.1, (15, 5)) - 2])


def test_tsne_keeps_groups_apart_and_repeats_itself():
    vectors = two_groups()
    first = embeddings.project(vectors, "tsne", 2, near=5).places

    np.testing.assert_array_equal(first, embeddings.project(vectors, "tsne", 2, near=5).places)
    assert (np.array(embeddings.neighbours(first, "euclidean"))[:15, 0] < 15).all()
    assert (np.array(embeddings.neighbours(first, "euclidean"))[15:, 0] >= 15).all()


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_fewer_numbers_than_dimensions_leave_the_rest_at_zero(method: embeddings.Method):
    found = embeddings.project(two_groups()[:, :1], method, 2).places

    assert found.shape == (30, 2)
    assert (found[:, 1] == 0).all()


def test_histograms_of_a_weight_hold_all_its_numbers():
    """Shares add up to one at each moment; the deviation and the way are those of the numbers themselves."""
    start = np.random.default_rng(0).normal(0, 0.1, (40, 30))
    later = start + 0.5
    found = history.spread([start, start, later])
    np.testing.assert_allclose(found.shares.sum(1), 1.0)
    np.testing.assert_allclose(found.deviation, [start.std(), start.std(), later.std()])
    np.testing.assert_allclose(found.moved, [0, 0, 0.5])
    middle = (found.edges[:-1] + found.edges[1:]) / 2
    assert abs(float(found.shares[2] @ middle) - later.mean()) < 0.02
    assert len(found.edges) == 62 and found.edges[-1] == -found.edges[0] == np.quantile(np.abs(later), 0.999)
    assert np.isfinite(history.spread([np.zeros(20), np.zeros(20)]).shares).all()


def test_umap_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embeddings, "umap_installed", lambda: False)

    with pytest.raises(BardlabError, match="pip install umap-learn"):
        embeddings.project(two_groups(), "umap")


def test_orders_put_like_beside_like():
    order = embeddings.cluster_order(two_groups()[np.random.default_rng(1).permutation(30)])
    shuffled = two_groups()[np.random.default_rng(1).permutation(30)]
    signs = [shuffled[i, 0] > 0 for i in order]

    assert sorted(order) == list(range(30))
    assert sum(a != b for a, b in itertools.pairwise(signs)) == 1
    assert "".join("eA b,\n"[i] for i in embeddings.class_order("eA b,\n")) == "ebA, \n"


def test_same_class_neighbours_against_chance():
    vectors = two_groups()
    kinds = ["vowel"] * 15 + ["capital"] * 15

    assert embeddings.same_class(vectors, kinds) == (1.0, pytest.approx(14 / 29))
    assert math.isnan(embeddings.same_class(np.zeros((4, 2)), ["vowel"] * 4)[0])


def test_a_run_is_followed_snapshot_by_snapshot(finished: Run, corpus: Corpus):
    """What is shown of a step comes from the weights of that step."""
    steps = layout.snapshot_steps(finished.path)
    ids = corpus.tokenizer.encode("ROMEO:\nI l")
    portraits, answers = [], []
    for step in steps:
        model, tokenizer = checkpoints.load_model(finished, step)
        probe = heads.probe(corpus.text[-2000:], tokenizer, model.context)
        portraits.append(history.portrait(model, step, probe))
        answers.append(history.answer(model, ids, 8))
        logits = model(torch.tensor([ids]))[0, -1]
        np.testing.assert_allclose(answers[-1].probabilities, logits.softmax(-1).detach(), atol=1e-6)
        assert answers[-1].pattern.shape == (2, 2, 8, 8)
    followed = history.careers(portraits, corpus.tokenizer.chars)
    overview = followed[0]

    assert steps == [0, 2, 4]
    assert [career.key for career in followed] == ["heads", *(kind.key for kind in heads.KINDS), "vectors"]
    assert overview.values.shape == (3, len(heads.KINDS))
    for kind, best in zip(followed[1:-1], overview.values.T, strict=True):
        np.testing.assert_allclose(best, kind.values.max(axis=1))
    assert np.isnan(followed[-1].values[0, 1]) and 0 <= followed[-1].values[1, 1] <= 1
    rows = list(csv.DictReader(io.StringIO(history.film_csv(portraits, answers, followed, "x" * 65).decode())))
    assert sum(float(row["value"]) for row in rows if row["what"] == "next" and row["step"] == "4") == pytest.approx(1)


def test_a_model_without_attention_is_followed_too():
    model = build("mlp")
    portraits = [history.portrait(model, step, None) for step in (0, 1)]

    answer = history.answer(model, [1, 2, 3], 0)
    assert answer.pattern is None
    none = history.answer(build("bigram"), [1, 2, 3], 0).activations
    assert none.shape == (0, answer.activations.shape[1]) and none.dtype == answer.activations.dtype == np.float32
    ((bend),) = model.nonlinearities()
    given = trace(model, torch.tensor([[1, 2, 3]]), bend.tap).activations[bend.tap].numpy()
    low = np.searchsorted(history.ACTIVATION_EDGES, 0.0)  # the bins from here on hold what is positive
    assert answer.activations.shape == (1, 160) and answer.activations.sum() == pytest.approx(1)
    assert answer.activations[0, low:].sum() == pytest.approx((given >= history.ACTIVATION_EDGES[low]).mean(), abs=1e-6)
    assert [career.key for career in history.careers(portraits, "ab" * 32 + "c")] == ["vectors"]
    assert history.careers(portraits, "ab" * 32 + "c")[0].values[1, 1] == 1.0  # the same vectors: all neighbours kept


def test_milestones_are_measured():
    val = np.array([10.0, 20, 30, 40]), np.array([3.0, 2.4, np.nan, 2.1])
    samples = [Sample(0, None, "\n", "xq"), Sample(20, 2.4, "\n", "The\nKING HENRY:\nO"), Sample(30, 2, "\n", "A:\n")]
    scores = np.array([[0.0, 0.1, 0.2], [0.05, 0.1, 0.4], [0.6, 0.2, 0.4]])
    overview = history.Career("heads", "", "", ("induction", "previous", "word"), scores)
    found = history.milestones(val, samples, 2.48, [0, 20, 40], [overview])

    assert [(m.step, m.label) for m in found] == [
        (20, "beats bigram"),
        (20, "first name"),
        (20, "word"),
        (40, "best"),
        (40, "induction"),
    ]
    assert "0.05 to 0.60" in found[-1].help
    assert history.milestones((np.empty(0), np.empty(0)), [], 2.48, [0], []) == []


def test_only_frames_that_the_browser_lacks_are_sent():
    from pages.ui.components.charts.time_machine import Film, Frame, pack
    from tests.message import unpack

    answer = history.Answer(
        np.full(3, 1 / 3, dtype=np.float32),
        np.ones((1, 1, 2, 2), dtype=np.float32),
        np.zeros((0, 160), dtype=np.float32),
    )
    frames = [Frame(s, 2.0, Map(np.zeros((3, 2)), (0.5, 0.5)), answer, Sample(s, 2.0, "", "x")) for s in (0, 1, 2)]
    curve = np.arange(3.0), np.arange(3.0)
    film = Film("f", 2, "abc", "ab", frames, [], [], curve, curve, 2.5)
    how = dict(live=True, interval=2.0, start=None)

    def sent(have: dict[str, object]) -> list[int]:
        return [frame["step"] for frame in unpack(pack(film, have, **how))["frames"]]

    assert sent({}) == [0, 1, 2]
    assert sent({"film": "f", "steps": [0, 1]}) == [2]
    assert sent({"film": "other", "steps": [0, 1]}) == [0, 1, 2]
    assert sent({"film": "f", "steps": [0, 7]}) == [0, 1, 2]  # one of them has gone since
    newest = unpack(pack(film, {"film": "f", "steps": [0, 1]}, **how))
    assert newest["from"] == 2
    frame = newest["frames"][0]
    assert [len(frame[part]) for part in ("places", "chances", "pattern")] == [6, 3, 3]
    assert frame["pattern"].tolist() == [255, 255, 255]
