"""Guesses before a run: what is taken for one, how it turns out, and how they add up."""

import math
from dataclasses import replace

import pytest

from core.errors import BardlabError
from core.runs import editing
from core.runs.folder import State
from core.runs.state import Run
from core.studies.course import guess, guesses, progress
from core.studies.course.guess import Guess
from core.studies.course.guesses import Guessed
from core.studies.course.progress import Progress
from tests.conftest import make_run


@pytest.mark.parametrize(
    ("value", "within", "rival"),
    [(math.nan, 0.1, ""), (-1, 0.1, ""), (21, 0.1, ""), (2, 0, ""), (2, math.inf, ""), (-21, 0.1, "mlp-x")],
)
def test_nonsense_is_no_guess(value: float, within: float, rival: str):
    with pytest.raises(BardlabError, match="is none; give"):
        Progress().guessed(Guess("mlp-y", value, within, rival))


def test_a_guess_is_kept_once_survives_and_is_forgotten():
    mine = Progress().guessed(Guess("mlp-x", 2.0, 0.1)).guessed(Guess("mlp-x", -0.1, 0.1, "mlp-y", 0.25))
    assert mine.guessed(Guess("mlp-x", 3.0, 0.1)) == mine
    again = progress.parse(mine.plain())

    assert again == mine and [each.value for each in again.guesses.values()] == [2.0, -0.1]
    assert guesses.of_pair(again.guesses, ("mlp-y", "mlp-x")) == again.guesses["mlp-x|mlp-y"]
    assert Progress().merged(mine) == mine and not mine.merged(mine.forgotten()).guesses
    row = mine.guesses["mlp-x"].plain()
    for spoilt in (None, [], {}, {**row, "value": "x"}, {**row, "within": -1}, {**row, "done": 7}, {**row, "run": ""}):
        assert guess.parse(spoilt) is None


def ended(run: Run, loss: float, step: int = 10, state: State = State.FINISHED) -> Run:
    return replace(run, status=run.status.model_copy(update={"state": state, "val_loss": loss, "step": step, "of": 10}))


def test_which_of_two_wins_is_open_until_both_have_ended_and_has_a_truth_then():
    one, other = make_run("bigram"), make_run("bigram", seed=2)
    running = ended(other, 2.6, 5, State.RUNNING)
    assert guesses.open_pair([one, running]) and guesses.open_pair([ended(one, 2.5), running])
    assert not guesses.open_pair([ended(one, 2.5), ended(other, 2.6)]) and not guesses.open_pair([running])
    assert not guesses.open_pair([ended(one, 2.5, 5, State.STOPPED), running])
    assert guesses.seen_of([ended(one, 2.5), running]) == 0.75

    said = Guess(one.slug, -0.15, 0.06, other.slug)
    assert (
        guesses.turned_out(said, {one.slug: ended(one, 2.5), other.slug: running}).why
        == "the other run is not over yet"
    )
    truth = guesses.turned_out(said, {one.slug: ended(one, 2.5), other.slug: ended(other, 2.6)})
    assert truth.hit and truth.sentence == "you said better by 0.15 ± 0.06; it was better by 0.10"
    editing.delete(other)
    assert "no longer here" in guesses.turned_out(said, {one.slug: ended(one, 2.5)}).why
    assert guesses.turned_out(said, {}).name == one.slug


def made(*errors: float | None) -> list[Guessed]:
    return [Guessed(Guess("x", 2.0, 0.1), "x", None if error is None else 2.0 + error) for error in errors]


def test_a_score_counts_only_what_has_a_truth():
    score = guesses.score(made(0.5, None, -0.05, 0.4, 0.1, 0.05, -0.3))

    assert score and (score.told, score.hits) == (6, 3) and score.share == 0.5
    assert score.mean == pytest.approx([0.5, 0.275, 0.95 / 3, 1.05 / 4, 1.1 / 5, 0.9 / 5])
    assert guesses.score(made(None)) is None
    assert made(0.25)[0].sentence == "you said 2.00 ± 0.10; it was 2.25"
    gap = Guessed(Guess("x", -0.1, 0.05, "y"), "x", 0.2)
    assert gap.sentence == "you said better by 0.10 ± 0.05; it was worse by 0.20"
