"""Counting and learning a bigram end in the same table."""

from core.studies.claims.claim import Arm, Claim, Criterion, Figures, Picture, Point, Series
from core.studies.claims.figuring import curve, level, mean_and_half
from core.studies.claims.measuring import curve as measured_curve

LEARNED = Arm(
    "learned",
    "learned by gradient descent",
    "bigram",
    {},
    dict(
        steps=600,
        batch_size=64,
        window=128,
        learning_rate=0.1,
        weight_decay=0.005,
        cooldown=0.8,
        eval_every=60,
        snapshots=2,
    ),
)


def _picture(figures: Figures) -> Picture:
    found = curve(figures, LEARNED.key, "kl")
    points = tuple(Point(x, *mean_and_half(ys)) for x, ys in found)
    return Picture("step", "nats from the counted table", (Series(LEARNED.title, points),), y_log=True)


CLAIM = Claim(
    key="counting",
    title="Counting and learning end in the same table",
    year=1948,
    paper="Shannon (1948), A mathematical theory of communication, section 3",
    paper_url="https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
    sentence=(
        "The best guess at the next character from the current one is how often each pair occurs. Whoever lowers the "
        "cross-entropy of a table step by step must arrive at those same frequencies, without ever counting."
    ),
    compared=(
        "A table of pairs learned by gradient descent from zero, against the table counted from the same text: the "
        "Kullback-Leibler divergence from counted to learned, weighted by how often each row is used."
    ),
    arms=(LEARNED,),
    criteria=(
        Criterion(
            "divergence of the learned table from the counted one at the end", level("kl", LEARNED.key), below=0.01
        ),
        Criterion("divergence before the first step", level("kl@0", LEARNED.key), above=1.0),
    ),
    measure=measured_curve("kl/counted", "kl"),
    picture=_picture,
)
