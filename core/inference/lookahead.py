"""How many characters are guessed ahead, and what is kept of a model's writing for its next guesses."""

from typing import Any

from core.models.program import GUESSES

COUNTS = (0, 1, 3, GUESSES)
"""How many characters may be guessed ahead."""
HALF_LIFE = 40
"""Characters after which what was measured of a count weighs half."""
ENOUGH = 8
"""Characters from which on something is known of it."""
AGAIN, AT_LAST = 8, 128
"""Blocks for which another count than the best rests at least, and at most."""
COST = 0.02
"""What such trials may cost, as a share of the time: the slower another count was, the longer it rests."""


class Lookahead:
    """How many characters are guessed ahead: as many as write fastest, by what was measured of each count."""

    def __init__(self, most: int = GUESSES) -> None:
        self.counts = [count for count in COUNTS if count <= most]
        self.seconds, self.characters = dict.fromkeys(self.counts, 0.0), dict.fromkeys(self.counts, 0.0)
        self.blocks = 0
        self.tried = dict.fromkeys(self.counts, 0)

    def pace(self, count: int) -> float:
        """Seconds of processor time a character with so many; 0 where too little is known."""
        characters = self.characters[count]
        return self.seconds[count] / characters if characters >= ENOUGH else 0.0

    def choose(self) -> int:
        """Say how many to guess in the next block: what is not known yet, the best, or now and then its neighbour."""
        self.blocks += 1
        chosen = best = min(self.counts, key=self.pace)
        place, pace = self.counts.index(best), self.pace(best)
        for neighbour in self.counts[max(0, place - 1) : place + 2] if pace else ():
            rest = max(AGAIN, (self.pace(neighbour) / pace - 1) / COST)
            if neighbour != best and self.blocks - self.tried[neighbour] >= min(rest, AT_LAST):
                chosen = neighbour
        self.tried[chosen] = self.blocks
        return chosen

    def learn(self, count: int, seconds: float, characters: float) -> None:
        """Take in what a block with so many took."""
        decay = 0.5 ** (characters / HALF_LIFE)
        self.seconds[count] = decay * self.seconds[count] + seconds
        self.characters[count] = decay * self.characters[count] + characters


class Experience:
    """What is kept of a model's writing, so that its next texts are guessed better.

    What it predicted, whichever text it was (core/inference/kernels/guessing.py), and how many guesses paid for so many
    texts side by side.
    """

    def __init__(self, tables: Any) -> None:
        self.tables = tables
        self.lookaheads: dict[int, Lookahead] = {}
