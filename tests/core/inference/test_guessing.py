"""What guesses are made of, and how many of them are made."""

import os

import numpy as np
import pytest

from core.inference.compiled import AGAIN, AHEAD, ENOUGH, Stride
from core.models.program import BEFORE


@pytest.fixture(scope="module", autouse=True)
def compiled_once(pytestconfig: pytest.Config) -> None:
    """Keep what is compiled where test_compiled.py has it."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(pytestconfig.rootpath / ".pytest_cache" / "compiled"))


def test_a_guess_is_what_was_said_after_the_most_characters():
    from core.inference.guessing import SMOOTHED, expect, learn, tables

    known = tables(3)
    here, elsewhere = np.array([0, 1, 2, 0, 1]), np.array([2, 2, 2, 2, 1])
    strange = np.array([0, 0, 0, 0, 2])
    assert not expect(known, here, BEFORE).any()

    learn(known, here, BEFORE, np.array([3, 0, 0], np.float32))
    learn(known, elsewhere, BEFORE, np.array([0, 5, 0], np.float32))
    assert expect(known, here, BEFORE).argmax() == 0 and expect(known, elsewhere, BEFORE).argmax() == 1
    mean = np.array([1.5, 2.5, 0]) / (1 + SMOOTHED / 2)  # of both, after no character: all that is known of strange
    np.testing.assert_allclose(expect(known, strange, BEFORE), mean, rtol=1e-5)


def test_a_table_holds_the_newest_and_its_size_is_bound():
    from core.inference.guessing import NUMBERS, expect, learn, tables

    for vocab_size in (2, 65, 5000, 1_000_000):
        made = tables(vocab_size)
        assert made.sums.size <= max(NUMBERS, 16 * 6 * vocab_size)
    known, random = tables(5000), np.random.default_rng(1)
    for ids in random.integers(5000, size=(500, BEFORE + 1)):
        logits = random.normal(size=5000).astype(np.float32)
        learn(known, ids, BEFORE, logits)
        assert np.corrcoef(expect(known, ids, BEFORE), logits)[0, 1] > 0.9


def simulated(seconds: list[float], blocks: int) -> list[int]:
    """Let a stride choose, in a world in which a character takes so long with each number of guesses."""
    stride, chosen = Stride(), []
    for _ in range(blocks):
        chosen.append(stride.choose())
        stride.learn(chosen[-1], seconds[AHEAD.index(chosen[-1])] * 20, 20)
    return chosen


def test_as_many_are_guessed_as_pay():
    for best in range(len(AHEAD)):
        chosen = simulated([1.0 + abs(best - i) for i in range(len(AHEAD))], 10 * AGAIN)
        assert set(AHEAD) == set(chosen[: len(AHEAD)])
        assert chosen.count(AHEAD[best]) > 0.8 * len(chosen)


def test_what_has_changed_is_noticed():
    stride, chosen = Stride(), []
    for block in range(80 * AGAIN):
        chosen.append(stride.choose())
        pace = 1 + chosen[-1] if block < 10 * AGAIN else 1 - 0.1 * chosen[-1]
        stride.learn(chosen[-1], 20 * pace, 20)

    assert chosen[9 * AGAIN : 10 * AGAIN].count(0) >= AGAIN - 1
    assert chosen[-AGAIN:].count(AHEAD[-1]) >= AGAIN - 1


def test_of_many_texts_fewer_are_guessed():
    """As many as there are rows for."""
    stride = Stride(5)
    for _ in range(10 * AGAIN):
        guesses = stride.choose()
        stride.learn(guesses, 20 * (8 - guesses), 20)
        assert guesses <= 5
    assert stride.choose() == max(guesses for guesses in AHEAD if guesses <= 5)


def test_a_block_too_short_says_nothing():
    stride = Stride()
    first = stride.choose()
    stride.learn(first, 100.0, ENOUGH - 1)

    assert stride.choose() == first
