"""The measured field where it is refused, how far beyond its reach a model is shown, and that dropout is off."""

import numpy as np
import pytest
import torch

from core.errors import BardlabError
from core.inspect.receptive import (
    Field,
    gates,
    measured_field,
    receptive_tree,
    shuffle_distances,
    shuffled_past,
)
from core.ladder.registry import RUNGS
from core.models.contract import LanguageModel
from tests.conftest import TINY

V = 11


def build(key: str, **changes: object) -> LanguageModel:
    torch.manual_seed(0)
    return RUNGS[key].build(RUNGS[key].config.parse({**TINY[key]["model"], **changes}), V)


def text(length: int) -> torch.Tensor:
    return torch.randint(V, (length,), generator=torch.Generator().manual_seed(1))


def test_a_model_without_embeddings_and_a_text_too_short_are_refused():
    with pytest.raises(BardlabError, match=r"\Athis rung embeds no characters, so there is nothing to differentiate"):
        measured_field(build("bigram"), text(99), 1)
    model = build("mlp", context=8)
    with pytest.raises(BardlabError, match=r"\Athe text has 12 characters, too few to look back 12; choose a longer"):
        measured_field(model, text(12), 1)
    assert measured_field(model, text(13), 3).texts == 3


@pytest.mark.parametrize(("context", "shown"), [(2, 6), (8, 12), (16, 20), (24, 30)])
def test_a_model_that_slides_is_shown_a_quarter_more_and_at_least_four(context: int, shown: int):
    field = measured_field(build("mlp", context=context), text(99), 2)

    assert (field.reach, len(field.gradient)) == (context, shown)


def test_dropout_is_off_while_it_is_measured_and_on_again_afterwards():
    model = build("mlp", dropout=0.5).train()
    first, again = measured_field(model, text(99), 4), measured_field(model, text(99), 4)

    np.testing.assert_array_equal(first.gradient, again.gradient)
    assert model.training


def test_many_texts_are_measured_in_pieces_and_the_mean_is_of_all():
    """Two pieces, of 819 and 181 windows of ten characters, which lie evenly from the first place to the last."""
    model, ids = build("mlp", context=6).eval(), text(1010)
    chunks = torch.stack([ids[start : start + 11] for start in torch.linspace(0, 999, 1000).long().tolist()])
    held: list[torch.Tensor] = []
    handle = model.token_embedding.register_forward_hook(lambda _, __, out: held.append(out.requires_grad_()))
    log_p = model(chunks[:, :-1])[:, -1].log_softmax(-1).gather(1, chunks[:, -1:]).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(log_p, held[0])
    field = measured_field(model, ids, 1000)

    np.testing.assert_allclose(field.gradient, gradient.norm(dim=-1).mean(0).flip(0), rtol=1e-5)
    assert field.gradient.shape == (10,) and np.all(field.gradient[6:] == 0)


def test_a_field_without_gradient_has_no_share():
    field = Field(None, np.zeros(3), 1)

    np.testing.assert_array_equal(field.share, np.zeros(3))
    assert field.within(0.5) == 3


def test_the_edges_of_a_tree_join_each_node_with_two_below():
    tree = receptive_tree((1, 3))

    assert tree.levels == ((0, 1, 3, 4), (0, 3), (0,))
    assert tree.edges == (((0, 0), (1, 0), (3, 3), (4, 3)), ((0, 0), (3, 0)))
    assert tree.below(2, 0) == [{0, 1, 3, 4}, {0, 3}, {0}]
    assert tree.below(0, 3) == [{3}]


def test_a_model_without_gates_gives_none():
    assert gates(build("mlp"), [1, 2, 3]).shape == (0, 0, 3)


@pytest.mark.parametrize("key", ["bigram", "mlp", "recurrent", "transformer"])
def test_a_past_in_order_costs_nothing_and_one_in_disorder_is_read_as_it_stands(key: str):
    """At the whole window nothing is mixed; nearer, the loss is that of the mixed text, computed here by hand."""
    model, ids = build(key), text(600)
    *near, whole = shuffle_distances(model, 600)

    in_order = shuffled_past(model, ids, whole, 8)
    assert (in_order.dearer, in_order.error) == (0, 0)
    mixed = shuffled_past(model, ids, 1, 8)
    assert mixed.loss == pytest.approx(in_order.loss + mixed.dearer)
    if key == "bigram":
        assert (near, mixed.dearer) == ([], 0)  # one character is all that it reads
    else:
        assert near[0] == 1 and mixed.dearer != 0


def test_only_what_lies_further_back_is_mixed():
    """A model that reads one place of its window alone is hurt as long as that place is mixed, and not after."""

    class Echo(torch.nn.Module):
        context, training = 8, False

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(ids[:, -4], V)[:, None].float()  # says what stood three before

    model, ids = Echo(), text(600)
    costs = {d: shuffled_past(model, ids, d, 64).dearer for d in (1, 2, 3, 4, 5, 8)}  # type: ignore[arg-type]

    assert all(costs[d] != 0 for d in (1, 2, 3)) and costs[4] == costs[5] == costs[8] == 0


def test_a_text_too_short_to_be_mixed_is_refused():
    with pytest.raises(BardlabError, match=r"\Athe text has 17 characters, too few to look back 16; choose a longer"):
        shuffled_past(build("transformer"), text(17), 4, 2)
    assert shuffle_distances(build("recurrent"), 17)[-1] == 15
    assert shuffled_past(build("recurrent"), text(17), 15, 2).dearer == 0
