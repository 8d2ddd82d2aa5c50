"""How many characters are guessed ahead."""

from core.inference.lookahead import AGAIN, COUNTS, ENOUGH, Lookahead


def simulated(seconds: list[float], blocks: int) -> list[int]:
    """Let a lookahead choose, in a world in which a character takes so long with each number of guesses."""
    lookahead, chosen = Lookahead(), []
    for _ in range(blocks):
        chosen.append(lookahead.choose())
        lookahead.learn(chosen[-1], seconds[COUNTS.index(chosen[-1])] * 20, 20)
    return chosen


def test_as_many_are_guessed_as_pay():
    for best in range(len(COUNTS)):
        chosen = simulated([1.0 + abs(best - i) for i in range(len(COUNTS))], 10 * AGAIN)
        assert set(COUNTS) == set(chosen[: len(COUNTS)])
        assert chosen.count(COUNTS[best]) > 0.8 * len(chosen)


def test_what_has_changed_is_noticed():
    lookahead, chosen = Lookahead(), []
    for block in range(80 * AGAIN):
        chosen.append(lookahead.choose())
        pace = 1 + chosen[-1] if block < 10 * AGAIN else 1 - 0.1 * chosen[-1]
        lookahead.learn(chosen[-1], 20 * pace, 20)

    assert chosen[9 * AGAIN : 10 * AGAIN].count(0) >= AGAIN - 1
    assert chosen[-AGAIN:].count(COUNTS[-1]) >= AGAIN - 1


def test_of_many_texts_fewer_are_guessed():
    """As many as there are rows for."""
    lookahead = Lookahead(5)
    for _ in range(10 * AGAIN):
        guesses = lookahead.choose()
        lookahead.learn(guesses, 20 * (8 - guesses), 20)
        assert guesses <= 5
    assert lookahead.choose() == max(guesses for guesses in COUNTS if guesses <= 5)


def test_a_block_too_short_says_nothing():
    lookahead = Lookahead()
    first = lookahead.choose()
    lookahead.learn(first, 100.0, ENOUGH - 1)

    assert lookahead.choose() == first
