"""What a rung's views say is what an independent calculation says: reach, gates, activations, positions, tables."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.inspect.activations import health, verdict
from core.inspect.anatomy import anatomy, anatomy_of
from core.inspect.counting import tables
from core.inspect.embeddings import film, position_similarity
from core.inspect.receptive import UNBOUNDED, Field, gates, measured_field, receptive_tree
from core.inspect.trace import trace
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.texts.corpus import Corpus
from core.texts.tokenizer import CharTokenizer
from tests.conftest import TINY

V = 11
EMBEDDING = [key for key in RUNGS if key != "bigram"]


def build(key: str, **changes: object) -> LanguageModel:
    """A tiny model with weights that are not all alike."""
    torch.manual_seed(0)
    rung = RUNGS[key]
    model = rung.build(rung.config.parse({**TINY[key]["model"], **changes}), V)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def text(length: int, seed: int = 1) -> Tensor:
    return torch.randint(V, (length,), generator=torch.Generator().manual_seed(seed))


# --- how far back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", EMBEDDING)
def test_the_receptive_field_is_nothing_beyond_the_reach_and_something_within(key: str):
    model = build(key)
    field = measured_field(model, text(400), 12)

    assert field.reach == model.context
    assert field.gradient[: model.context].min() > 0
    if model.context is None:
        assert len(field.gradient) == UNBOUNDED
    else:
        assert np.all(field.gradient[model.context :] == 0)
        assert (len(field.gradient) > model.context) == model.slides


@pytest.mark.parametrize("key", EMBEDDING)
def test_the_receptive_field_counts_from_the_current_character(key: str):
    """Distance 0 is the character just read: the gradient there is the one that autograd gives for the last input."""
    model = build(key)
    window = len(measured_field(model, text(400), 1).gradient)
    ids = text(window + 1)
    held: list[Tensor] = []
    handle = model.token_embedding.register_forward_hook(lambda _, __, out: held.append(out.requires_grad_()))
    logits = model(ids[None, :-1])[0, -1]
    handle.remove()
    (gradient,) = torch.autograd.grad(logits.log_softmax(-1)[ids[-1]], held[0])
    expected = gradient[0].norm(dim=-1).flip(0)

    np.testing.assert_allclose(
        measured_field(model, torch.cat((ids, ids[:1])), 1).gradient, expected, rtol=1e-4, atol=1e-9
    )


def test_the_share_within_is_that_of_the_nearest_characters():
    field = Field(4, np.array([4.0, 3.0, 2.0, 1.0]), 1)

    np.testing.assert_allclose(field.share, [0.4, 0.3, 0.2, 0.1])
    assert [field.within(part) for part in (0.4, 0.41, 0.7, 1.0)] == [1, 2, 2, 4]


def test_the_tree_of_dilations_doubles_and_reaches_as_far_as_their_sum():
    tree = receptive_tree((1, 2, 4))

    assert [len(level) for level in tree.levels] == [8, 4, 2, 1]
    assert tree.levels[0] == tuple(range(8))
    assert tree.below(3, 0)[0] == set(range(8))
    assert tree.below(1, 4)[0] == {4, 5}


# --- inside a WaveNet ------------------------------------------------------------------------------------------------


def test_gates_are_the_sigmoids_that_the_layers_multiply_by():
    model = build("wavenet")
    ids = text(9).tolist()
    found = gates(model, ids)
    run = trace(model, torch.tensor([ids]), ("layers.*.filter", "layers.*.gate", "layers.*.z"))

    assert found.shape == (3, 8, 9) and found.min() > 0 and found.max() < 1
    for i in range(3):
        np.testing.assert_array_equal(found[i], run[f"layers.{i}.gate"][0].T.double())
        torch.testing.assert_close(run[f"layers.{i}.filter"] * run[f"layers.{i}.gate"], run[f"layers.{i}.z"])
    first = model.layers[0]
    embedded = model.token_embedding(torch.tensor(ids))  # (T, C)
    pairs = torch.cat((F.pad(embedded, (0, 0, 1, 0))[:-1], embedded), dim=-1)  # (T, 2C)
    by_hand = torch.sigmoid(first.filter_gate(pairs)[:, 8:])  # (T, C)
    np.testing.assert_allclose(found[0], by_hand.T.detach(), rtol=1e-5)


def test_a_model_without_gates_has_none():
    assert gates(build("mlp"), [1, 2, 3]).shape == (0, 0, 3)


# --- activations -----------------------------------------------------------------------------------------------------


def set_hidden(model: LanguageModel, biases: list[float]) -> None:
    """Give an MLP's units fixed values whatever is read: tanh of these biases."""
    with torch.no_grad():
        model.hidden[0].linear.weight.zero_()
        model.hidden[0].linear.bias.copy_(torch.tensor(biases))


def test_saturation_counts_what_is_beyond_and_dead_what_never_leaves():
    """Of 16 units 4 stand at tanh 3, two of them below; all others at tanh 0.5: 25 % saturated, 4 dead."""
    model = build("mlp")
    set_hidden(model, [3.0, 3.0, -3.0, -3.0] + [0.5] * 12)
    ids = text(41)
    (layer,) = health(model, ids[None, :-1], ids[None, 1:])

    assert (layer.name, layer.kind, layer.units) == ("hidden.0", "tanh", 16)
    assert layer.saturated == pytest.approx(0.25)
    assert layer.dead == 4
    assert layer.mean == pytest.approx(12 / 16 * np.tanh(0.5), abs=1e-6)
    assert layer.counts.sum() == pytest.approx(1)
    assert layer.counts[0] + layer.counts[-1] == pytest.approx(0.25)
    assert "25%" not in verdict([layer]) and "dead" in verdict([layer])


def test_a_relu_is_stuck_where_it_is_zero():
    model = build("residual", depth=1, norm=False)
    ids = text(41)
    with torch.no_grad():
        model.widen.weight.zero_()
        model.widen.bias.copy_(torch.tensor([-1.0] * 4 + [1.0] * 12))
    (layer,) = health(model, ids[None, :-1], ids[None, 1:])

    assert layer.kind == "relu"
    assert layer.saturated == pytest.approx(0.25)
    assert layer.dead == 4
    assert layer.mean == pytest.approx(0.75)


@pytest.mark.parametrize("key", EMBEDDING)
def test_the_gradient_at_a_layer_is_that_of_the_loss(key: str):
    """Moving one unit by a little moves the loss as the histogram's gradients say in the mean square."""
    model = build(key, **({"dropout": 0.0} if "dropout" in RUNGS[key].config.model_fields else {}))
    ids = text(model.usual_window + 1)
    x, y = ids[None, :-1], ids[None, 1:]
    layers = health(model, x, y)
    tap = model.nonlinearities()[-1].tap
    run = trace(model, x, tap)[tap]
    gradient = torch.zeros_like(run)
    for where in itertools.product(*map(range, run.shape)):
        losses = []
        for delta in (1e-2, -1e-2):
            moved = run.clone()
            moved[where] += delta
            logits = trace(model, x, (), {tap: lambda _, moved=moved: moved}).logits
            losses.append(F.cross_entropy(logits[0].double(), y[0]))
        gradient[where] = (losses[0] - losses[1]) / 2e-2

    assert len(layers) == len(model.nonlinearities())
    assert layers[-1].gradient_std == pytest.approx(float(gradient.std()), rel=0.02)


# --- positions, shapes, tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["learned", "sinusoidal", "rotary"])
def test_a_position_is_most_like_itself(kind: str):
    similarity = position_similarity(build("transformer", positions=kind))

    np.testing.assert_allclose(np.diag(similarity), 1, atol=1e-6)
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-6)
    assert np.abs(similarity).max() <= 1 + 1e-6


def test_similarity_of_learned_positions_is_the_cosine_of_their_vectors():
    model = build("transformer", positions="learned")
    a, b = model.position_embedding.weight[[2, 5]].detach().numpy()

    assert position_similarity(model)[2, 5] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)


@pytest.mark.parametrize("key", ["bigram", "mlp"])
def test_who_needs_no_positions_has_none(key: str):
    assert position_similarity(build(key)) is None
    assert position_similarity(build("transformer", positions="none")) is None


@pytest.mark.parametrize("key", list(RUNGS))
def test_shapes_read_without_numbers_are_those_of_the_real_model(key: str):
    rung = RUNGS[key]
    config = rung.config.parse(TINY[key]["model"])
    on_meta = anatomy(key, config.model_dump_json(), V, 2, 0)
    real = anatomy_of(rung.build(config, V), 2, on_meta.window)

    assert on_meta == real
    assert on_meta.parameters == sum(int(np.prod(shape)) for shape in real.weights.values())
    assert on_meta.outputs.get("logits", (2, on_meta.window, V)) == (2, on_meta.window, V)


def test_only_dropout_that_is_switched_on_is_listed():
    rung = RUNGS["transformer"]
    config = rung.config.parse({**TINY["transformer"]["model"], "dropout": 0.25})

    assert not anatomy_of(build("transformer", dropout=0.0), 1, 4).dropouts
    assert anatomy_of(rung.build(config, V), 1, 4).dropouts["blocks.0.mlp.drop"] == 0.25


def test_the_bigrams_tables_are_counted_and_its_distance_is_the_divergence(corpus: Corpus):
    torch.manual_seed(3)
    model = RUNGS["bigram"].build(RUNGS["bigram"].config(), corpus.tokenizer.size)
    torch.nn.init.normal_(model.logits)
    found = tables(model, corpus)
    ids = corpus.train_ids.numpy()
    counts = np.zeros((65, 65))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    p = counts / counts.sum(1, keepdims=True)
    q = np.exp(model.logits.detach().double().numpy())
    q /= q.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(p > 0, p * np.log(p / q), 0).sum(1)

    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.model, q, rtol=1e-6)
    np.testing.assert_allclose(found.counted.sum(1), 1)
    assert found.kl == pytest.approx((divergence * counts.sum(1)).sum() / counts.sum(), rel=1e-6)
    assert all(isinstance(table, np.ndarray) for table in (found.counted, found.model, found.row_kl))


def test_a_character_without_a_successor_and_an_impossible_pair_leave_finite_numbers():
    """The training split of 900 characters ends in its only c; the model gives b after a no probability at all."""
    corpus = Corpus("odd", "", "ab" * 449 + "ac" + "ab" * 50, "", CharTokenizer("abc"))
    model = RUNGS["bigram"].build(RUNGS["bigram"].config(), 3)
    model.logits.data[0, 1] = -1e5
    found = tables(model, corpus)

    assert not found.counted[2].any() and found.model[0, 1] == 0
    assert np.isfinite(found.row_kl).all() and found.row_kl[2] == 0 and found.kl > 100


def test_a_film_turns_each_map_like_the_one_before():
    """A table that was only turned over does not move in the film; one that was stretched is stretched in it."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(20, 5)) * [3, 2, 0.1, 0.1, 0.1]
    turned = first @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    found = film([first, turned, 2 * first])

    np.testing.assert_allclose(found.places[1], found.places[0], atol=1e-6)
    np.testing.assert_allclose(found.places[2], 2 * found.places[0], atol=1e-6)
    np.testing.assert_allclose(found.explained[2], found.explained[0])
    assert found.explained[0, 0] > found.explained[0, 1] > 0
