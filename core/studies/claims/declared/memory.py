"""A memory helps, gates help more."""

from core.ladder.recipes import QUICK
from core.runs.openings import text_of
from core.runs.state import Run
from core.studies import landmarks
from core.studies.claims.claim import Arm, Claim, Criterion, Values
from core.studies.claims.figuring import bars, difference, over_seeds
from core.texts.corpus import load as load_corpus

TRAIN = dict(steps=250, batch_size=16, window=64, eval_every=250, grad_clip=1.0, snapshots=2, **QUICK)
ARMS = tuple(
    Arm(cell, title, "recurrent", dict(cell=cell, d_hidden=units), TRAIN)
    for cell, title, units in (("plain", "plain, 192", 192), ("gru", "GRU, 112", 112), ("lstm", "LSTM, 96", 96))
)
"""Widths with 58,000 parameters each at 65 characters."""


def _measure(run: Run) -> Values:
    """The loss of counted pairs on the same text: the best that is possible without a memory."""
    corpus = text_of(run) or load_corpus(run.need().corpus)
    return {"pairs": landmarks.of(corpus)[-1].value}


CLAIM = Claim(
    key="memory",
    title="A memory helps, gates help more",
    year=1997,
    paper="Elman (1990), Finding structure in time; Hochreiter and Schmidhuber (1997), Long short-term memory",
    paper_url="https://doi.org/10.1162/neco.1997.9.8.1735",
    sentence=(
        "A network that carries a state from step to step learns what one character alone does not tell; a state "
        "behind gates keeps it for longer, because its gradient does not fade."
    ),
    compared=(
        "Recurrent networks with plain, GRU and LSTM cells at equal parameters, equal steps and one learning rate; "
        "and counted pairs, which have no memory."
    ),
    arms=ARMS,
    criteria=(
        Criterion(
            "validation loss, plain cells minus counted pairs",
            over_seeds(lambda arms: arms["plain"]["loss"] - arms["plain"]["pairs"]),
            below=-0.1,
        ),
        Criterion("validation loss, GRU minus plain", difference("loss", "gru", "plain"), below=-0.01),
        Criterion("validation loss, LSTM minus plain", difference("loss", "lstm", "plain"), below=-0.01),
    ),
    measure=_measure,
    picture=lambda figures: bars(
        figures, ARMS, {"loss": "validation loss", "pairs": "counted pairs"}, "validation loss (nats per character)"
    ),
    thoughts=(
        "That a memory helps comes out by a wide margin; that gates help more does not. At equal parameters the plain "
        "cell has twice as many units as the LSTM, and in so few steps, over so short a stretch of text, what counts "
        "is how much is learned at once. We think that gates pay in longer training, when what is near has been "
        "learned: train the three longer on their page and set their curves side by side."
    ),
)
