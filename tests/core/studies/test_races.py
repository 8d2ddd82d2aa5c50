"""Races: who may start, what is equal, runs that are shared and made again, and where they are compared."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from core.cli.main import main
from core.errors import BardlabError
from core.exchange import archive
from core.jobs import control, work
from core.ladder import sizing
from core.runs import editing, reading, state
from core.runs.folder import State
from core.runs.state import Run
from core.studies import findings, sweeps
from core.studies.races import board as boards
from core.studies.races import race as racing
from core.studies.races.board import Board, Row, Track
from core.texts import own as texts_own
from tests.conftest import make_run

SHAKESPEARE = "tinyshakespeare"


@pytest.fixture
def text() -> str:
    """A short text, of which an evaluation takes no time."""
    return texts_own.add(b"To be, or not to be, that is the question. " * 50, "Short").name


def test_entrants_are_rungs_with_presets_that_learn():
    keys = [one.key for one in racing.entrants()]
    assert keys[:3] == ["bigram:seconds", "mlp:seconds", "recurrent:seconds"] and "mlp:minutes" in keys
    assert not {"bigram:counted", "bigram:ngram"} & set(keys), "they are counted in one step"
    assert racing.entrant("mlp").title == "MLP" and racing.entrant("mlp:minutes").title == "MLP, good"
    assert racing.title_of("gone:seconds") == "gone:seconds"
    with pytest.raises(BardlabError, match="a race of 8 entrants is none"):
        racing.draw_up(keys[:8], steps=5)
    for name, why in (("bigram:counted", "runs no race"), ("nobody", "unknown stage"), ("mlp:x", "no preset")):
        with pytest.raises(BardlabError, match=why):
            racing.entrant(name)


@pytest.mark.parametrize(
    ("names", "numbers", "why"),
    [
        (["mlp"], {"steps": 5}, "a race of 1 entrant is none"),
        (["mlp", "mlp:seconds"], {"steps": 5}, "a race of 1 entrant is none"),
        (["mlp", "bigram"], {}, "its steps or its seconds"),
        (["mlp", "bigram"], {"steps": 5, "seconds": 5}, "its steps or its seconds"),
        (["mlp", "bigram"], {"steps": 5, "seeds": 11}, "11 seeds are not accepted"),
        (["mlp", "bigram", "recurrent", "wavenet"], {"steps": 5, "seeds": 10}, "40 runs; at most 36"),
        (["mlp", "bigram"], {"steps": 5, "parameters": -1}, "-1 is not accepted"),
    ],
)
def test_what_is_no_race_is_told(names: Sequence[str], numbers: dict[str, int], why: str):
    with pytest.raises(BardlabError, match=why):
        racing.draw_up(names, **numbers)


def test_what_is_equal_and_what_is_off():
    names = ["mlp", "transformer"]
    race = racing.draw_up(names, parameters=30_000, steps=120, seeds=2)
    lanes = racing.lanes(race, SHAKESPEARE)
    assert [(lane.entrant, lane.seed) for lane in lanes] == [
        (name, seed) for seed in (1337, 1338) for name in ("mlp:seconds", "transformer:seconds")
    ]
    for lane in lanes:
        count = sizing.parameters_of(lane.config.rung, lane.config.model_config_, len(lane.config.characters))
        train = lane.config.train
        assert abs(count - 30_000) < 0.05 * 30_000
        assert (train.steps, train.eval_every, train.cooldown, train.short_first) == (120, 10, 0.0, 0.0)
        assert train.seconds == train.patience == 0 and lane.config.race == race
    timed = racing.lanes(racing.draw_up(names, seconds=20), SHAKESPEARE)
    assert {lane.config.train.seconds for lane in timed} == {20} and timed[0].config.train.steps == racing.LONGEST
    usual, _ = timed[0].config.rung.settings("seconds", {}, {})
    assert timed[0].config.model_config_ == usual, "sizes are the presets'"


def test_who_cannot_start_is_told_with_what_is_nearest(text: str):
    race = racing.draw_up(["bigram", "mlp", "transformer:best"], parameters=50_000, steps=5)
    with pytest.raises(BardlabError) as told:
        racing.lanes(race, SHAKESPEARE)
    assert "Bigram cannot have 50,000 parameters: the nearest is 4,225, 92% fewer" in str(told.value)
    assert "Transformer, best cannot have 50,000 parameters: the nearest is 46,169, 8% fewer" in str(told.value)
    assert "MLP cannot" not in str(told.value) and "\n" not in str(told.value)
    brief = racing.line_up(racing.draw_up(["mlp", "bigram"], steps=5), text)
    assert not any(place.problem for place in brief)
    assert any("fewer than the 256 of a training sequence" in remark for remark in brief[1].remarks)
    with pytest.raises(BardlabError, match="no text is called"):
        racing.lanes(racing.draw_up(["mlp", "bigram"], steps=5), "gone")


def test_a_race_is_run_stopped_taken_up_and_made_again(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "start", control.claim)  # queued, by this process
    race = racing.draw_up(["bigram", "mlp"], steps=2)
    lanes = racing.lanes(race, text)
    assert len(racing.begin(race, lanes)) == 2 and racing.begin(race, lanes) == []
    assert not sweeps.groups(reading.list_runs()), "it is no sweep"
    field = racing.find(race.key)
    assert field.waiting == 2 and field.share == 0.0 and "Bigram, MLP: 2 steps each" in field.title
    found = boards.board(field, "steps")
    assert found.place is None and found.headline == "The race is on" and "yet" in found.sentence
    assert [row.standing for row in found.rows] == ["waiting for its turn"] * 2

    assert racing.cancel(field) == 2
    for run in field.active:
        work.work(run.path, log=lambda line: None)
    field = racing.find(race.key)
    assert len(field.lacking) == 2 and "is stopped at step" in field.lacking[0]
    assert boards.board(field, "steps").headline == "Nobody is ranked"

    racing.run_here(race, lanes, lambda line: None)
    field = racing.find(race.key)
    assert field.whole and field.share == 1.0 and not field.lacking and len(reading.list_runs()) == 2, "they went on"
    one = boards.board(field, "steps")
    assert one.place == 2.0 and len(one.ranked) == 2 and "one seed cannot tell" in one.sentence
    assert one.rows[0].losses == {1337: pytest.approx(min(run.status.val_loss or 9 for run in field.done), abs=1e-4)}

    more = racing.more_seeds(race, 1)
    racing.run_here(more, racing.lanes(more, text, reading.list_runs()), lambda line: None)
    gone = field.there[0]
    editing.delete(gone)
    field = racing.find(race.key)
    assert field.race.seeds == 2 and len(field.done) == 3 and "was deleted" in field.lacking[0]
    assert boards.board(field, "steps").seeds == (1338,), "the seed that lacks one does not count"
    again = racing.lanes(field.race, text, reading.list_runs())
    racing.run_here(field.race, again, lambda line: None)
    found = boards.board(racing.find(race.key), "steps")
    assert found.seeds == (1337, 1338) and found.margin and math.isfinite(found.margin[1])
    for name in boards.AXES:
        over = boards.board(racing.find(race.key), name)
        assert over.axis == name and (over.place is None or over.where in over.sentence)


def test_a_run_that_has_failed_is_out_and_an_imported_one_races_nobody(text: str, tmp_path: Path):
    race = racing.draw_up(["bigram", "mlp", "recurrent"], steps=2)
    lanes = racing.lanes(race, text)
    racing.run_here(race, lanes[:2], lambda line: None)
    run = editing.create(lanes[2].config)
    failed = run.status.model_copy(update={"state": State.FAILED, "message": "the loss is no longer a number"})
    state.write_status(run.path, failed)
    field = racing.find(race.key)
    found = boards.board(field, "steps")
    assert [row.name for row in found.ranked] != [] and found.rows[-1].name == "recurrent:seconds"
    assert found.rows[-1].mean is None and found.over
    assert field.lacking == ["Recurrent network is failed at step 0: the loss is no longer a number"]

    brought = archive.import_run(archive.export_run(field.done[0], tmp_path / "run.zip"))
    assert brought.need().race is None and racing.place_of(brought.need()) is None
    with pytest.raises(BardlabError, match="there is no race 'race-000000'"):
        racing.find("race-000000")


# --- where they are compared -----------------------------------------------------------------------------------------


@pytest.fixture
def run() -> Run:
    return make_run("bigram")


def ways(run: Run, **curves: Sequence[tuple[float, float]]) -> dict[tuple[str, int], Track]:
    """Tracks by entrant and seed, such as a1=[(place, loss), ...]."""
    return {
        (name[0], int(name[1:])): Track(run, np.array([x for x, _ in points]), np.array([y for _, y in points]))
        for name, points in curves.items()
    }


def test_the_place_is_the_furthest_that_all_have_reached(run: Run):
    tracks = ways(run, a1=[(10, 3.0), (20, 2.0), (30, 1.0)], b1=[(10, 3.5), (20, 2.5)])
    assert boards._meeting(tracks, [1]) == (20.0, [1], {"a", "b"})
    assert tracks["a", 1].at(15) == 2.5 and tracks["a", 1].at(5) is None and tracks["a", 1].at(31) is None


def test_who_ended_before_others_were_measured_is_not_compared(run: Run):
    tracks = ways(run, a1=[(1, 3.0), (2, 2.0)], b1=[(10, 3.5), (20, 2.5)], c1=[(10, 3.0), (30, 2.0)])
    assert boards._meeting(tracks, [1]) == (20.0, [1], {"b", "c"})
    assert boards._meeting(ways(run, a1=[(1, 3.0)], b1=[(10, 3.5)]), [1]) == (None, [], frozenset())


def test_every_seed_counts_where_all_have_been_with_it(run: Run):
    tracks = ways(
        run, a1=[(1, 3.0), (9, 1.0)], b1=[(1, 3.0), (8, 2.0)], a2=[(1, 3.0), (7, 1.0)], b2=[(1, 3.0), (9, 2.0)]
    )
    assert boards._meeting(tracks, [1, 2]) == (7.0, [1, 2], {"a", "b"})
    assert boards._meeting(tracks, [1]) == (8.0, [1], {"a", "b"}), "a seed that still runs is left out"


def of(first: dict[int, float], second: dict[int, float], over: bool = True) -> Board:
    rows = tuple(
        Row(name, 1000, losses, 9.0, "") for name, losses in (("mlp:seconds", first), ("bigram:seconds", second))
    )
    return Board("steps", 300.0, tuple(first), rows, over)


def test_the_margin_is_the_products_own_paired_difference():
    clear = of({1: 2.0, 2: 2.1, 3: 2.2}, {1: 2.5, 2: 2.62, 3: 2.69})
    same = findings.Finding("", (1, 2, 3), (0.5, 0.52, 0.49), None)
    assert clear.margin == (pytest.approx(same.mean), pytest.approx(same.half_width)) and clear.trusted
    assert clear.headline == "MLP wins"
    assert clear.sentence == (
        "MLP wins with 2.1000 nats a character at 300 steps, 0.5033 ± 0.0379 below Bigram "
        "(95 % t interval of differences paired by seed, 3 seeds): more than the noise"
    )
    close = of({1: 2.0, 2: 2.6}, {1: 2.5, 2: 2.4})
    assert not close.trusted and close.headline == "Nobody wins" and "no more than the noise" in close.sentence
    one = of({1: 2.0}, {1: 2.5})
    assert not one.trusted and one.headline == "MLP is first"
    assert of({1: 2.0}, {1: 2.5}, over=False).sentence.startswith("MLP leads with 2.0000 nats")


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_races_lists_and_tells(text: str, capsys: pytest.CaptureFixture[str]):
    main(["race", "bigram", "mlp", "--steps", "2", "--text", text, "--over", "seconds", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["over"] and told["axis"] == "seconds" and told["equal"]["steps"] == 2 and not told["lacking"]
    assert {row["entrant"] for row in told["board"]} == {"bigram:seconds", "mlp:seconds"}
    main(["race", told["race"]])
    shown = capsys.readouterr().out
    assert "one seed cannot tell" in shown and "finished: 2 steps" in shown
    main(["race"])
    assert told["race"] in capsys.readouterr().out
    main(["race", "mlp", "bigram", "--parameters", "9000", "--dry-run"])
    assert "Bigram cannot have 9,000 parameters: the nearest is 4,225" in capsys.readouterr().out
    for words, why in (
        (["mlp"], "choose 2 to 7"),
        (["mlp", "bigram", "--over", "luck"], "there is no axis 'luck'"),
        (["race-123456"], "there is no race"),
        (["mlp", "bigram", "--parameters", "9000"], "the nearest is 4,225"),
    ):
        with pytest.raises(SystemExit):
            main(["race", *words])
        assert why in capsys.readouterr().err
