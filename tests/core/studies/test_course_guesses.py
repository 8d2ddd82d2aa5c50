"""Guesses before a run: what is taken for one, and how they add up."""

import math

import pytest

from core.errors import BardlabError
from core.runs import guess
from core.runs.guess import Guess
from core.runs.state import Run
from core.studies.course import guesses
from core.studies.course.guesses import Guessed
from tests.conftest import make_run


@pytest.mark.parametrize(
    "bad",
    [Guess(math.nan, 0.1), Guess(-1, 0.1), Guess(21, 0.1), Guess(2, 0), Guess(2, math.inf), Guess(-21, 0.1, "mlp-x")],
)
def test_nonsense_is_no_guess(bad: Guess):
    run = make_run("bigram")
    with pytest.raises(BardlabError, match="is none; give"):
        guess.keep(run, bad)
    assert guess.read(run.path) is None


@pytest.mark.parametrize("spoilt", ["", "{}", "[1]", '{"value": "x", "within": 1, "rival": "", "made": ""}', "\x00"])
def test_a_damaged_guess_is_none(spoilt: str):
    run = make_run("bigram")
    guess.keep(run, Guess(2.0, 0.1))
    assert guess.read(run.path) and guesses.of(run) and not guesses.of(run).hit
    (run.path / guess.FILE).write_text(spoilt)
    assert guess.read(run.path) is None and not guesses.guesses()


def made(run: Run, *errors: float | None) -> list[Guessed]:
    return [Guessed(run, Guess(2.0, 0.1), None if error is None else 2.0 + error) for error in errors]


def test_a_score_counts_only_what_has_a_truth():
    run = make_run("bigram")
    score = guesses.score(made(run, 0.5, None, -0.05, 0.4, 0.1, 0.05, -0.3))

    assert score and (score.told, score.hits) == (6, 3) and score.share == 0.5
    assert score.mean == pytest.approx([0.5, 0.275, 0.95 / 3, 1.05 / 4, 1.1 / 5, 0.9 / 5])
    assert guesses.score(made(run, None)) is None
    assert made(run, 0.25)[0].sentence == "you said 2.00 ± 0.10; it was 2.25"
    gap = Guessed(run, Guess(-0.1, 0.05, "x"), 0.2)
    assert gap.sentence == "you said better by 0.10 ± 0.05; it was worse by 0.20"
