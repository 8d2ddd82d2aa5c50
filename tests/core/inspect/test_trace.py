"""The trace is the computation: what it shows adds up to the logits, and listening changes nothing."""

import pytest
import torch

from core.errors import BardlabError
from core.inspect.trace import intervening, taps, trace
from core.models.transformer import Transformer, TransformerConfig

SMALL = dict(n_layer=2, n_head=2, d_model=16, context=12, dropout=0.3)


@pytest.fixture(params=["learned", "rotary", "sinusoidal", "none"])
def model(request: pytest.FixtureRequest) -> Transformer:
    torch.manual_seed(1)
    model = Transformer(TransformerConfig(positions=request.param, **SMALL), 11)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(11, (3, 12), generator=torch.Generator().manual_seed(2))


def test_listening_changes_nothing(model: Transformer, ids: torch.Tensor):
    """The fused path and the traced one give the same logits."""
    with torch.no_grad():
        plain = model(ids)
    traced = trace(model, ids)

    torch.testing.assert_close(traced.logits, plain, atol=1e-5, rtol=0)
    assert not any(tap.observed for tap in taps(model).values())


def test_the_parts_add_up_to_the_whole(model: Transformer, ids: torch.Tensor):
    """Softmax rows sum to 1, heads to the attention's output, and the residual stream to its end."""
    t = trace(model, ids)
    stream = t["blocks.0.resid_pre"]
    for layer, block in enumerate(model.blocks):
        name = f"blocks.{layer}."
        pattern, z = t[name + "attention.pattern"], t[name + "attention.z"]
        torch.testing.assert_close(pattern.sum(-1), torch.ones(3, 2, 12))
        assert not pattern.triu(1).any()
        torch.testing.assert_close(pattern @ t[name + "attention.v"], z, atol=1e-5, rtol=0)
        weight = block.attention.proj.weight.view(16, 2, 8)  # (C, H, D)
        heads = torch.einsum("bhtd,chd->bhtc", z, weight)
        whole = heads.sum(1) + block.attention.proj.bias
        torch.testing.assert_close(whole, t[name + "attn_out"], atol=1e-5, rtol=0)
        stream = stream + t[name + "attn_out"] + t[name + "mlp_out"]
        torch.testing.assert_close(stream, t[name + "resid_post"], atol=1e-5, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(model.lm_head(model.ln_final(stream)), t.logits, atol=1e-4, rtol=0)


def test_only_what_is_asked_for_is_kept(model: Transformer, ids: torch.Tensor):
    assert list(trace(model, ids, "blocks.*.pattern").activations) == [
        "blocks.0.attention.pattern",
        "blocks.1.attention.pattern",
    ]


def test_an_intervention_acts_in_the_same_run(model: Transformer, ids: torch.Tensor):
    """A head set to zero contributes nothing; afterwards the model is as before."""
    before = trace(model, ids).logits

    def silence(z: torch.Tensor) -> torch.Tensor:
        return torch.cat((torch.zeros_like(z[:, :1]), z[:, 1:]), dim=1)

    t = trace(model, ids, interventions={"blocks.1.attention.z": silence})

    assert not t["blocks.1.attention.z"][:, 0].any()
    assert not torch.allclose(t.logits, before)
    with intervening(model, {"blocks.1.attention.z": silence}), torch.no_grad():
        torch.testing.assert_close(model(ids), t.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(trace(model, ids).logits, before)


def test_an_unknown_name_is_refused(model: Transformer, ids: torch.Tensor):
    with pytest.raises(BardlabError, match=r"no activation 'blocks\.7\.z'"):
        trace(model, ids, interventions={"blocks.7.z": lambda x: x})


def test_the_other_norm_and_activation(ids: torch.Tensor):
    """Post-norm has no last LayerNorm and normalises the stream itself; GELU bends."""
    torch.manual_seed(1)
    model = Transformer(TransformerConfig(norm="post", activation="gelu", **SMALL), 11)
    t = trace(model, ids)

    end = t["blocks.1.resid_post"]
    torch.testing.assert_close(end.mean(-1), torch.zeros(3, 12), atol=1e-5, rtol=0)
    assert (t["blocks.1.mlp.post"] < 0).any()
    assert sum(p.numel() for p in model.ln_final.parameters()) == 0


def test_a_model_in_training_is_looked_at_without_dropout_and_goes_on_training(ids: torch.Tensor):
    model = Transformer(TransformerConfig(**SMALL), 11)
    still = trace(model.eval(), ids).logits

    torch.testing.assert_close(trace(model.train(), ids).logits, still)
    assert model.training and not still.requires_grad
    assert trace(model, ids, ()).activations == {}
    assert list(trace(model, ids, ("embed", "logits")).activations) == ["embed", "logits"]
