"""What units follow and push, how far gradients go back, how gates stand: against independent calculations."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.errors import BardlabError
from core.inspect import memory_span as spans
from core.inspect.trace import trace
from core.inspect.units import (
    PROPERTIES,
    activations,
    correlate_units,
    correlations,
    direct_logit_effect,
    hidden_layers,
    line_position,
    speaker_name,
    word_start,
)
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from core.models.recurrent import CELLS, RecurrentConfig, RecurrentNet
from core.texts.corpus import Corpus
from tests.conftest import TINY

V = 65
WITH_UNITS = ["mlp", "recurrent", "wavenet", "residual", "transformer"]


def build(key: str, vocab: int = V, **changes: object) -> LanguageModel:
    torch.manual_seed(0)
    rung = RUNGS[key]
    model = rung.build(rung.config.parse({**TINY[key]["model"], **changes}), vocab)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def test_properties_of_a_text_are_counted_by_hand():
    text = "\n\nROMEO:\nO, it is"

    assert line_position(text).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert line_position("to\n").tolist() == [1, 2, 0]
    assert word_start("to b").tolist() == [1, 0, 0, 1]
    assert speaker_name(text).tolist() == [0] * 2 + [1] * 6 + [0] * 9
    assert word_start(text).tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0]


def test_correlations_are_numpys_and_zero_for_what_never_changes():
    random = np.random.default_rng(0)
    rows, others = random.normal(size=(2, 50)), random.normal(size=(3, 50))
    rows[1], others[2] = 4.0, -1.0
    found = correlations(rows, others)

    np.testing.assert_allclose(found[0, :2], np.corrcoef(np.vstack((rows[:1], others[:2])))[0, 1:], atol=1e-12)
    assert not found[1].any() and not found[:, 2].any()


@pytest.mark.parametrize("key", WITH_UNITS)
def test_units_are_read_and_correlated_in_every_hidden_layer(key: str, corpus: Corpus):
    model, text = build(key), corpus.text[corpus.split :][:300]
    ids = corpus.tokenizer.encode(text)
    for layer in hidden_layers(model):
        values, found = activations(model, ids, layer), correlate_units(model, ids, text, layer)
        order = found.order("word start")
        sizes = np.abs(found.correlations[2, order])
        assert (found.layer, found.characters) == (layer, 300)
        assert values.shape == (300, found.correlations.shape[1]) and found.correlations.shape[0] == len(PROPERTIES)
        assert np.all(np.diff(sizes) <= 0) and sizes[0] > 0 and sorted(order) == list(range(values.shape[1]))
    with pytest.raises(BardlabError, match="no hidden layer 'nowhere'"):
        activations(model, ids, "nowhere")


def test_a_unit_that_counts_along_the_line_is_found(corpus: Corpus):
    """A plain cell wired by hand: unit 2 grows with every character, and a line break throws it back."""
    model = RecurrentNet(RecurrentConfig(cell="plain", d_embed=1, d_hidden=4), V)
    text = corpus.text[corpus.split :][:1000]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.token_embedding.weight[corpus.tokenizer.encode("\n")[0]] = 1.0
        W, U, b, _ = next(model._layers()).weights
        U[2, 2], W[2, 0], b[2] = 1.0, -100.0, 0.01
    found = correlate_units(model, corpus.tokenizer.encode(text), text, "layers.0")

    assert found.order("line position")[0] == 2
    assert found.correlations[0, 2] > 0.6


@pytest.mark.parametrize("key", ["mlp", "recurrent", "transformer"])
def test_what_a_unit_pushes_is_what_a_little_more_of_it_does(key: str):
    """A small step along the unit, written by hand into the logits or into the last reading of the stream."""
    model, ids = build(key), torch.randint(V, (12,), generator=torch.Generator().manual_seed(1))
    layer = list(hidden_layers(model))[-1]
    found = direct_logit_effect(model, ids.tolist(), layer, 3)
    assert found is not None
    with torch.no_grad():
        if key == "transformer":
            last = model.stream()[-1]
            stream = trace(model, ids[None], last)[last].double()
            column = 1e-4 * model.get_submodule(f"{layer}.down").weight[:, 3].double()
            model.double()
            moved = (model.unembed(stream + column) - model.unembed(stream - column)).mean((0, 1)) / 2e-4
        else:
            tap = hidden_layers(model)[layer].tap
            up = torch.zeros(1, 12, model.unembedding.in_features)
            up[..., 3] = 1.0
            moved = (trace(model, ids[None], (), {tap: lambda x: x + up}).logits - model(ids[None])).mean((0, 1))

    np.testing.assert_allclose(found, (moved - moved.mean()).numpy(), rtol=1e-3, atol=1e-4)


def test_units_that_are_worked_on_further_push_nothing_directly():
    model = build("mlp", n_hidden=2)
    layers = list(hidden_layers(model))

    assert direct_logit_effect(model, [1, 2, 3], layers[0], 0) is None
    assert direct_logit_effect(model, [1, 2, 3], layers[1], 0) is not None
    assert direct_logit_effect(build("transformer", norm="post"), [1, 2], "blocks.0.mlp", 0) is None


@pytest.mark.parametrize("cell", list(CELLS))
def test_the_gradient_back_is_that_of_moving_the_memory(cell: str):
    """At each distance, the change of the last loss when one carried number is moved a little, for all of them."""
    model = build("recurrent", V, cell=cell, d_hidden=5).double()
    ids = torch.randint(V, (spans.READ_BEFORE + 6,), generator=torch.Generator().manual_seed(2))
    found = spans.memory_span(model, ids, back=4, texts=1)
    inputs, target = ids[:-2], ids[-2]  # the piece at the start of the text
    for k in range(1, 5):
        slopes = []
        cache = model.new_cache(1)
        with torch.no_grad():
            model(inputs[None, :-k], cache)
            held = cache.layers[0].clone()
            for unit in range(held.shape[1]):
                losses = []
                for delta in (1e-5, -1e-5):
                    cache.layers = [held.clone()]
                    cache.layers[0][0, unit] += delta
                    losses.append(F.cross_entropy(model(inputs[None, -k:], cache)[0, -1], target))
                slopes.append(float(losses[0] - losses[1]) / 2e-5)
        assert found.norms[0, k - 1] == pytest.approx(float(np.linalg.norm(slopes)), rel=1e-4)


def test_an_untrained_lstm_hands_more_gradient_back_than_plain_cells(corpus: Corpus):
    before = torch.get_rng_state()
    fresh = spans.untrained(RecurrentConfig(d_hidden=32, d_embed=16), V)
    found = {cell: spans.memory_span(model, corpus.val_ids, 32, 8) for cell, model in fresh.items()}

    assert list(fresh) == list(CELLS) and torch.equal(torch.get_rng_state(), before)
    assert found["lstm"].share[0, -1] > 10 * found["plain"].share[0, -1]
    assert found["plain"].survives(0.01) < found["lstm"].survives(0.01)
    with pytest.raises(BardlabError, match="carries no memory"):
        spans.memory_span(build("mlp"), corpus.val_ids)


def test_gates_along_a_text_are_those_of_the_run():
    model, ids = build("recurrent", cell="gru", n_layer=2), list(range(20))
    found = spans.gates_along(model, ids)
    cache = model.new_cache(1)
    layer = next(model._layers())
    x = model.token_embedding.weight[0]
    W, _, b, c = layer.weights
    H = layer.units

    assert list(found) == [f"layers.{i}.{gate}_gate" for i in range(2) for gate in ("reset", "update")]
    assert cache.length == 0 and found["layers.0.reset_gate"].shape == (H, 20)
    first = torch.sigmoid((W @ x + b + c)[:H]).detach().numpy()  # the memory is zero before the first character
    np.testing.assert_allclose(found["layers.0.reset_gate"][:, 0], first, atol=1e-6)
    assert spans.gates_along(build("recurrent", cell="plain"), ids) == {}


def test_what_survives_is_counted_to_the_first_distance_below():
    span = spans.MemorySpan(np.array([[8.0, 8.0, 8.0], [4.0, 2.0, 0.04]]), 1)

    np.testing.assert_allclose(span.share, [[1, 1, 1], [1, 0.5, 0.01]])
    assert [span.survives(part) for part in (0.6, 0.5, 0.02, 0.01, 0.001)] == [1, 2, 2, 3, 3]
    assert span.survives() == 3
    assert not spans.MemorySpan(np.zeros((1, 2)), 1).share.any()


def test_each_layer_is_measured_over_all_texts_and_a_text_too_short_is_refused():
    model = build("recurrent", cell="gru", n_layer=2, dropout=0.5).train()
    ids = torch.randint(V, (41,), generator=torch.Generator().manual_seed(2))
    several, again = spans.memory_span(model, ids, back=5, texts=4), spans.memory_span(model, ids, back=5, texts=4)

    np.testing.assert_array_equal(several.norms, again.norms)  # without dropout
    assert several.norms.shape == (2, 5) and several.texts == 4 and model.training
    both = spans.memory_span(model, ids, back=5, texts=2).norms
    pieces = [torch.cat((ids[s : s + 38], ids[:1])) for s in (0, 3)]
    alone = [spans.memory_span(model, piece, back=5, texts=1).norms for piece in pieces]
    np.testing.assert_allclose(both, np.mean(alone, axis=0), rtol=1e-4)
    with pytest.raises(BardlabError, match=r"\Athe text has 38 characters, too few to go back 5; choose a longer text"):
        spans.memory_span(model, ids[:38], back=5)
