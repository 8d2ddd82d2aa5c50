"""Batches drawn many at a time are those drawn one at a time, and so is the place in the data to go on from."""

import pytest
import torch

from core.training.batches import AHEAD, Batches

TEXT = torch.arange(1000)


def one_at_a_time(generator: torch.Generator, sequences: int, length: int) -> torch.Tensor:
    """A batch (B, T + 1) as its definition says."""
    starts = torch.randint(len(TEXT) - length, (sequences,), generator=generator)
    return TEXT[starts[:, None] + torch.arange(length + 1)]


@pytest.mark.parametrize("sequences", [1, 3, 16, 64, 513])
def test_batches_and_state_are_those_of_single_draws(sequences: int):
    """Bit for bit, across more than one chunk, and the state at every step."""
    ours, generator = Batches(TEXT, 5), torch.Generator().manual_seed(5)
    for _ in range(AHEAD + 3):
        assert torch.equal(ours.state(), generator.get_state())
        assert torch.equal(ours.next(sequences, 7), one_at_a_time(generator, sequences, 7))


def test_the_length_may_change_at_any_step():
    """What was drawn ahead for another length is taken back."""
    ours, generator = Batches(TEXT, 1), torch.Generator().manual_seed(1)
    for sequences, length in [(8, 4), (8, 4), (4, 8), (4, 9), (8, 4)] * 3:
        assert torch.equal(ours.next(sequences, length), one_at_a_time(generator, sequences, length))
    assert torch.equal(ours.state(), generator.get_state())


def test_a_look_ahead_draws_nothing():
    ours, other = Batches(TEXT, 2), Batches(TEXT, 2)
    for _ in range(3):
        seen = ours.peek(4, 5)
        assert torch.equal(ours.state(), other.state())
        assert torch.equal(seen, ours.next(4, 5)) and torch.equal(seen, other.next(4, 5))


@pytest.mark.parametrize("steps", [0, 1, AHEAD - 1, AHEAD, AHEAD + 1])
def test_another_goes_on_from_the_state(steps: int):
    ours, other = Batches(TEXT, 3), Batches(TEXT, 99)
    for _ in range(steps):
        ours.next(2, 6)
    other.next(5, 5)
    other.set_state(ours.state())

    assert all(torch.equal(ours.next(2, 6), other.next(2, 6)) for _ in range(5))
