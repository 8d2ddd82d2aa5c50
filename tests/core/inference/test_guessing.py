"""What guesses are made of."""

import numpy as np

from core.models.program import BEFORE


def test_a_guess_is_what_was_said_after_the_most_characters():
    from core.inference.kernels.guessing import SMOOTHING, learn, make_tables, predict

    known = make_tables(3)
    here, elsewhere = np.array([0, 1, 2, 0, 1]), np.array([2, 2, 2, 2, 1])
    strange = np.array([0, 0, 0, 0, 2])
    assert not predict(known, here, BEFORE).any()

    learn(known, here, BEFORE, np.array([3, 0, 0], np.float32))
    learn(known, elsewhere, BEFORE, np.array([0, 5, 0], np.float32))
    assert predict(known, here, BEFORE).argmax() == 0 and predict(known, elsewhere, BEFORE).argmax() == 1
    mean = np.array([1.5, 2.5, 0]) / (1 + SMOOTHING / 2)  # of both, after no character: all that is known of strange
    np.testing.assert_allclose(predict(known, strange, BEFORE), mean, rtol=1e-5)


def test_a_table_holds_the_newest_and_its_size_is_bound():
    from core.inference.kernels.guessing import NUMBERS, learn, make_tables, predict

    for vocab_size in (2, 65, 5000, 1_000_000):
        made = make_tables(vocab_size)
        assert made.sums.size <= max(NUMBERS, 16 * 6 * vocab_size)
    known, random = make_tables(5000), np.random.default_rng(1)
    for ids in random.integers(5000, size=(500, BEFORE + 1)):
        logits = random.normal(size=5000).astype(np.float32)
        learn(known, ids, BEFORE, logits)
        assert np.corrcoef(predict(known, ids, BEFORE), logits)[0, 1] > 0.9
