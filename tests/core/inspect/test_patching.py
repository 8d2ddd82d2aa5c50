"""What is carried over from one prompt's run is what that run had there, and moves the prediction accordingly."""

import numpy as np
import pytest
import torch

from core.errors import BardlabError
from core.inspect.interventions import patching
from core.inspect.interventions.patching import Reading, answers, patch, reading, recovered, run_patched, sites, sweep
from core.inspect.trace import trace
from core.models.contract import LanguageModel
from tests.core.inspect.test_ablation import LADDER, build

A = (1, 2, 3, 4, 5, 6, 7)
B = (1, 2, 9, 4, 8, 6, 7)


@pytest.fixture(params=LADDER)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return build(request.param)


def test_patching_everything_gives_the_other_prompts_logits(model: LanguageModel):
    there = trace(model, torch.tensor([B]))
    run = trace(model, torch.tensor([A]), interventions={"embed": patch(there["embed"])})

    torch.testing.assert_close(run.logits, there.logits)
    assert not torch.allclose(trace(model, torch.tensor([A])).logits, there.logits)


def test_a_sweep_is_one_patched_run_after_another(model: LanguageModel):
    """Each cell of the batched sweep is the run with that one activation put in."""
    a, b = reading(model, A), reading(model, B)
    pair = answers(a, b)
    for site in sites(model):
        grid = sweep(model, A, B, site, pair)
        assert grid.shape == (len(site.taps), len(A))
        for layer, position in ((0, 2), (len(site.taps) - 1, 6)):
            one = run_patched(model, A, B, site, layer, position).log_probs
            assert grid[layer, position] == pytest.approx(one[pair[1]] - one[pair[0]], abs=1e-5)
        share = recovered(grid, a, b, pair)
        if site.key == "resid_pre":
            assert share[0, 0] == pytest.approx(0, abs=1e-5)  # the prompts are still the same here


def test_the_last_position_of_the_last_layer_decides_all():
    """What stands there is what the logits are read from; heads together are the whole of z."""
    model = build("transformer")
    a, b = reading(model, A), reading(model, B)
    pair = answers(a, b)
    by_key = {site.key: site for site in sites(model)}
    share = recovered(sweep(model, A, B, by_key["resid_post"], pair), a, b, pair)

    assert share[-1, -1] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(share[-1, :-1], 0, atol=1e-6)
    np.testing.assert_allclose(
        run_patched(model, A, B, by_key["z"], 1, 6).log_probs,
        run_patched(model, A, B, by_key["attn_out"], 1, 6).log_probs,
        atol=1e-5,
    )
    one = run_patched(model, A, B, by_key["z"], 1, 6, head=1).log_probs
    grid = sweep(model, A, B, by_key["z"], pair, head=1)
    assert grid[1, 6] == pytest.approx(one[pair[1]] - one[pair[0]], abs=1e-5)


def test_the_lens_ends_at_the_prediction():
    """Its last row is the model's own output, at every position; a patch changes only its causal cone."""
    for rung in ("transformer", "residual"):
        model = build(rung)
        plain = reading(model, A)
        assert plain.lens is not None
        np.testing.assert_allclose(np.log(plain.lens[-1, -1]), plain.log_probs, atol=1e-5)
        site = next(site for site in sites(model) if site.key == "resid_post")
        patched = run_patched(model, A, B, site, 1, 4).lens
        assert patched is not None
        changed = np.abs(patched - plain.lens).max(-1) > 1e-9  # (rows, T)
        first = len(plain.lens) - len(site.taps) + 1  # the row after layer 1
        assert changed[first, 4]
        assert not changed[:first].any() and not changed[:, :4].any()
    assert reading(build("wavenet"), A).lens is None


def test_bad_prompts_are_refused():
    model = build("transformer")
    site = sites(model)[0]
    with pytest.raises(BardlabError, match="7 and 6 characters; give both the same length"):
        sweep(model, A, B[:6], site, (0, 1))
    with pytest.raises(BardlabError, match="empty"):
        patching.same_length(A[:0], B[:0])
    with pytest.raises(BardlabError, match="same prediction"):
        answers(reading(model, A), reading(model, A))
    assert sites(build("bigram")) == []


def test_two_characters_tell_predictions_apart_that_agree_on_a_third():
    a, b = (Reading(np.log(np.array(p)), None) for p in ([0.2, 0.5, 0.3], [0.2, 0.3, 0.5]))

    assert answers(a, b) == (1, 2)
