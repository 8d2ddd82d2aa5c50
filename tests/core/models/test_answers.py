"""What a model tells of itself is put together right: parts with their slices, tables, a stream that stays a sum."""

import torch
from torch import nn
from torch.nn import functional as F

from core.models.answers import Written, characters_looked_back_on, embedding_table, layer_part, unembedding_table


def stream() -> Written:
    """Two parts and what belongs to none."""
    written = Written(4)
    written.add("a", torch.tensor([1.0, -2.0, 0.5, 4.0]))
    written.add("b", torch.tensor([0.0, 1.0, -1.0, 2.0]))
    written.biases = torch.tensor([0.25, 0.0, 0.25, -3.0], dtype=torch.double)
    return written


def test_the_stream_is_the_sum_of_all_that_was_written():
    written = stream()

    assert written.total.tolist() == [1.25, -1.0, -0.25, 3.0] and written.total.dtype is torch.double
    written.add("a", torch.ones(4))
    assert list(written.parts) == ["a", "b"] and written.total.tolist() == [1.25, 2.0, 0.25, 0.0]
    written.scale(2.0)
    assert written.total.tolist() == [2.5, 4.0, 0.5, 0.0] and written.parts["b"].tolist() == [0, 2, -2, 4]
    assert Written(3).total.tolist() == [0, 0, 0]


def test_a_norm_of_the_stream_is_the_sum_of_its_normed_parts():
    """The whole is what LayerNorm makes of the whole; each part is centred and scaled alike."""
    norm = nn.LayerNorm(4).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        norm.bias.copy_(torch.tensor([0.5, 0.0, 0.0, 1.0]))
    written = stream()
    total = written.total
    expected = F.layer_norm(total, (4,), norm.weight, norm.bias, norm.eps)
    part = written.parts["a"]
    written.normalise(norm)

    torch.testing.assert_close(written.total, expected)
    scale = norm.weight / (total.var(correction=0) + norm.eps).sqrt()
    torch.testing.assert_close(written.parts["a"], (part - part.mean()) * scale)
    plain = stream()
    plain.normalise(nn.LayerNorm(4, bias=False).double())
    torch.testing.assert_close(plain.total, F.layer_norm(total, (4,)))
    same = stream()
    same.normalise(nn.Identity())
    assert torch.equal(same.total, total)


def test_a_gate_is_open_where_the_whole_is_positive():
    written = stream()
    total = written.total
    written.gate()

    torch.testing.assert_close(written.total, F.relu(total))
    assert written.parts["a"].tolist() == [1, 0, 0, 4]
    closed = Written(2)
    closed.add("a", torch.zeros(2))
    closed.gate()
    assert not closed.total.any()


def test_characters_side_by_side_are_parts_from_the_latest_back():
    seen = torch.arange(6)  # three characters of two numbers, oldest first
    parts = list(characters_looked_back_on(3, 2))

    assert [seen[part.where[-1]].tolist() for part in parts] == [[4, 5], [2, 3], [0, 1]]
    assert [part.key for part in parts] == ["back.0", "back.1", "back.2"]
    assert [part.title for part in parts] == ["the current character", "the character 1 back", "the character 2 back"]
    assert [(part.row, part.column) for part in parts] == [("input", name) for name in ("current", "1 back", "2 back")]
    assert all(part.taps == ("seen",) and part.layer is None and part.fixed is None for part in parts)
    assert parts[0].where[0] is ...


def test_a_part_that_owns_all_of_a_tap():
    part = layer_part("3.mlp", "MLP 3", 3, "MLP", "blocks.3.mlp_out")

    assert (part.key, part.title, part.row, part.column) == ("3.mlp", "MLP 3", "layer 3", "MLP")
    assert (part.taps, part.where, part.layer) == (("blocks.3.mlp_out",), (...,), 3)


def test_tables_are_the_weights_and_say_how_wide_they_are():
    table, head = nn.Embedding(5, 7), nn.Linear(7, 5)

    assert embedding_table(table).vectors is table.weight and unembedding_table(head).vectors is head.weight
    assert "The 7 numbers" in embedding_table(table).about
    assert [t.key for t in (embedding_table(table), unembedding_table(head))] == ["token", "output"]
    assert not embedding_table(table).positions and not unembedding_table(head).positions
