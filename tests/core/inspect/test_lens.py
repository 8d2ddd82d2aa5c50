"""The lens ends in the logits, and the parts of a prediction add up to it."""

import numpy as np
import pytest
import torch

from core.errors import BardlabError
from core.inspect.lens import Lens, attribution, contrast, has_stream, lens, next_logits
from core.inspect.trace import trace
from core.ladder import registry
from core.models.contract import LanguageModel
from core.models.residual import ResidualConfig, ResidualNet
from core.models.transformer import Transformer, TransformerConfig
from core.sampling import SamplingConfig, generate
from tests.conftest import TINY

V = 11
SMALL = dict(n_layer=2, n_head=2, d_model=16, context=12, dropout=0.3)
MODELS = {
    "pre": lambda: Transformer(TransformerConfig(**SMALL), V),
    "post": lambda: Transformer(TransformerConfig(norm="post", activation="gelu", **SMALL), V),
    "rotary": lambda: Transformer(TransformerConfig(positions="rotary", **SMALL), V),
    "smear": lambda: Transformer(TransformerConfig(positions="sinusoidal", smear=True, **SMALL), V),
    "trigrams": lambda: Transformer(TransformerConfig(positions="none", smear=True, trigrams=20, **SMALL), V),
    "residual": lambda: ResidualNet(ResidualConfig(context=4, d_embed=4, width=16, depth=3, skip=0.7), V),
    "no norm": lambda: ResidualNet(ResidualConfig(context=4, d_embed=4, width=16, depth=3, norm=False), V),
}


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> LanguageModel:
    torch.manual_seed(1)
    model = MODELS[request.param]()
    for parameter in model.parameters():  # biases too, so that leaving one out is seen
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def ids() -> list[int]:
    return torch.randint(V, (12,), generator=torch.Generator().manual_seed(2)).tolist()


def test_the_last_reading_is_the_prediction(model: LanguageModel, ids: list[int]):
    found = lens(model, ids)
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0].numpy()

    assert found.rows[0] == "embed"
    assert found.logits.shape == (len(found.rows), 12, V)
    assert np.array_equal(found.logits[-1].astype(np.float32), logits)
    assert not np.allclose(found.logits[0], logits, atol=0.1)
    np.testing.assert_allclose(np.exp(found.log_probs).sum(-1), 1)
    assert (found.entropy <= np.log2(V)).all() and (found.entropy >= 0).all()
    assert not found.kl_to_final[-1].any() and (found.kl_to_final[0] > 0).all()


def test_the_end_of_a_long_text(model: LanguageModel, ids: list[int]):
    """Beyond the context only its end is read; `last` crops without changing what is there."""
    found = lens(model, [3, 1, 4, *ids], last=5)

    assert found.logits.shape[1] == 5
    expected = next_logits(model, [3, 1, 4, *ids]).numpy()
    np.testing.assert_allclose(found.logits[-1, -1], expected, atol=1e-5)


@pytest.mark.parametrize("position", [0, 5, -1])
def test_the_parts_add_up_to_the_logits(model: LanguageModel, ids: list[int], position: int):
    found = attribution(model, ids, position)
    logits = trace(model, torch.tensor([ids])).logits[0, position].numpy()

    assert found.contributions.shape == (len(found.parts), V)
    assert found.parts[-1] == "biases"
    np.testing.assert_allclose(found.contributions.sum(0), logits, atol=1e-4)
    np.testing.assert_allclose(found.centred.sum(1), 0, atol=1e-9)
    if isinstance(model, Transformer):
        assert {"embed", "L0 H0", "L1 H1", "L1 MLP"} < set(found.parts)
        assert len(set(found.parts)) == len(found.parts)


def test_a_head_that_is_switched_off_contributes_nothing(ids: list[int]):
    torch.manual_seed(1)
    model = MODELS["pre"]()
    with torch.no_grad():
        model.blocks[1].attention.proj.weight[:, :8] = 0  # the first head of two
    found = attribution(model, ids)

    assert not found.contributions[found.parts.index("L1 H0")].any()
    assert found.contributions[found.parts.index("L1 H1")].any()


def test_models_without_a_stream_say_so(ids: list[int]):
    for key, rung in registry.RUNGS.items():
        model = rung.build(rung.config(**TINY[key]["model"]), V).eval()
        assert has_stream(model) == (key in ("residual", "transformer"))
        if not has_stream(model):
            with pytest.raises(BardlabError, match="no residual stream"):
                lens(model, ids)
            with pytest.raises(BardlabError, match="no residual stream"):
                attribution(model, ids)


@pytest.mark.parametrize("key", list(registry.RUNGS))
def test_the_next_logits_are_those_of_writing(key: str, ids: list[int]):
    torch.manual_seed(3)
    rung = registry.RUNGS[key]
    model = rung.build(rung.config(**TINY[key]["model"]), V).eval()
    written = next(iter(generate(model, ids * 2, SamplingConfig(tokens=1))))

    torch.testing.assert_close(next_logits(model, ids * 2), written.logits, atol=1e-5, rtol=0)


def test_entropy_and_divergence_by_hand():
    """A half and two quarters are 1.5 bits; logits that are all larger by 900 say the same."""
    final, reading = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    found = Lens(("embed", "L0"), np.log(np.stack([reading, final]))[:, None] + 900.0)

    np.testing.assert_allclose(found.entropy, 1.5)
    np.testing.assert_allclose(found.kl_to_final, [[0.25], [0.0]], atol=1e-12)


def test_no_divergence_is_negative_where_two_readings_are_nearly_alike():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 200, V))
    found = Lens(("embed", "L0"), np.concatenate([logits + 1e-9 * rng.normal(size=logits.shape), logits]))

    assert (found.kl_to_final >= 0).all() and found.kl_to_final.max() < 1e-12


def test_what_speaks_for_one_character_against_another_adds_up(model: LanguageModel, ids: list[int]):
    """To the difference of the logits that the model gives, a long text's too; the other way round, its negative."""
    for text in (ids, [3, 1, 4, *ids]):
        found, back = contrast(model, text, 2, 7), contrast(model, text, 7, 2)
        logits = next_logits(model, text)

        assert found.whole == pytest.approx(float(logits[2] - logits[7]), abs=1e-6)
        assert found.adds.sum() == pytest.approx(found.whole, abs=1e-4)
        assert found.residual == pytest.approx(found.whole - found.adds.sum())
        np.testing.assert_allclose(back.adds, -found.adds)
        assert len(found.parts) == len(found.adds) and np.abs(found.adds).max() > 0
