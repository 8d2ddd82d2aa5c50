"""The course: exercises that can be done and are not done already, stations, terms, and how far a learner is."""

import json
import math
from pathlib import Path

import pytest

from core.inspect.heads import HeadScores, head_scores, probe
from core.jobs import work
from core.ladder.exercises import Choice, Form, Number, Trained
from core.ladder.registry import RUNGS
from core.runs import checkpoints, editing, plan
from core.runs.state import Run
from core.studies.course import glossary, judging, path, progress, report, tour
from core.studies.course.judging import RungFacts
from core.studies.course.progress import LONGEST_NOTE, MOST, Progress
from core.studies.course.station import Address, Brings, Moves, Opening, Reproduces, Seen, Trains
from core.texts.corpus import Corpus

ALL = [(key, place) for key, rung in RUNGS.items() for place in range(len(rung.exercises))]
WITHOUT_A_RUN = [each for each in ALL if each != ("transformer", 2)]
SOLVED: dict[tuple[str, int], tuple[str, dict[str, object]]] = {
    ("bigram", 1): ("counted", {}),
    ("mlp", 1): ("seconds", {"context": 16, "d_embed": 8, "d_hidden": 128}),
    ("mlp", 2): ("seconds", {"context": 1}),
    ("recurrent", 1): ("seconds", {"cell": "plain"}),
    ("recurrent", 2): ("seconds", {"bptt": 8}),
    ("wavenet", 1): ("seconds", {"n_layer": 7}),
    ("wavenet", 2): ("seconds", {"variant": "fuse"}),
    ("residual", 1): ("plain", {}),
    ("residual", 2): ("seconds", {"depth": 64, "width": 48}),
    ("transformer", 1): ("seconds", {"n_head": 8}),
}
"""What the solutions say, as settings: a preset and what is changed of it."""
NUMBERS = {
    ("bigram", 0): math.log(65),
    ("mlp", 0): 8 * 24,
    ("recurrent", 0): 2 * 192,
    ("wavenet", 0): 32,
    ("residual", 0): 1 / 256,
    ("transformer", 0): 64 * 65 / 2,
}


@pytest.mark.parametrize("key", RUNGS)
def test_every_rung_ends_in_three_exercises_each_with_a_hint_and_a_solution(key: str):
    exercises = RUNGS[key].exercises
    assert len(exercises) == len({each.title for each in exercises}) == 3
    assert all(each.task and each.hint and each.solution for each in exercises)


@pytest.mark.parametrize(("key", "place"), WITHOUT_A_RUN)
def test_an_exercise_is_not_done_by_doing_nothing_and_done_by_its_solution(key: str, place: int, corpus: Corpus):
    rung = RUNGS[key]
    facts, size = RungFacts(rung, corpus), corpus.tokenizer.size
    preset, changes = SOLVED.get((key, place), (rung.default_preset, {}))
    usual, solved = rung.settings(rung.default_preset, {}, {}), rung.settings(preset, changes, {})
    match rung.exercises[place].check:
        case Form() as check:
            judged = [judging.form(check, rung, *settings, size).done for settings in (usual, solved)]
        case Trained() as check:
            judged = [check.holds(*settings) for settings in (usual, solved)]
        case Number() as check:
            right = NUMBERS[key, place]
            judged = [judging.number(check, facts, answer).done for answer in (right * 1.1 + 1, right)]
        case Choice() as check:
            judged = [judging.choice(check, facts, answer).done for answer in ("a", "u")]
    assert judged == [False, True]


def test_a_number_that_is_none_is_wrong_and_says_nothing(corpus: Corpus):
    check = RUNGS["bigram"].exercises[0].check
    assert isinstance(check, Number)
    facts = RungFacts(RUNGS["bigram"], corpus)
    lines = {answer: judging.number(check, facts, answer) for answer in (1.0, 9.0, math.inf, 4.17)}
    assert [each.done for each in lines.values()] == [False, False, False, True]
    assert lines[1.0].line == "Too low." and lines[9.0].line == "Too high." and "4.174 nats" in lines[4.17].line


def test_the_head_that_is_to_be_found_is_the_one_measured(finished: Run, corpus: Corpus):
    model, tokenizer = checkpoints.load_model(finished)
    scores: HeadScores = head_scores(model, probe(corpus.text[corpus.split :], tokenizer, model.context or 1))
    rung = RUNGS["transformer"]
    exercise = rung.exercises[2]
    assert isinstance(exercise.check, Choice)
    facts = RungFacts(rung, corpus, lambda: scores)
    kind = [each.key for each in scores.kinds].index("previous")
    layer, head = divmod(int(scores.score[kind].argmax()), scores.score.shape[2])

    assert len(exercise.check.options(facts)) == 4
    best = f"layer {layer}, head {head}"
    assert judging.choice(exercise.check, facts, best).done
    assert not judging.choice(exercise.check, facts, "layer 7, head 0").done
    assert best in judging.solution(exercise, facts)
    assert exercise.check.options(RungFacts(rung, corpus)) == [] and judging.solution(exercise, RungFacts(rung, corpus))


def test_a_run_of_ones_own_that_has_ended_does_an_exercise(home: Path):
    rung = RUNGS["bigram"]
    check = rung.exercises[1].check
    assert isinstance(check, Trained)
    run = editing.create(plan.plan("bigram", preset="counted", device="cpu"))
    assert not judging.trained(check, rung, [run]).done
    ended = work.work(run.path)
    judged = judging.trained(check, rung, [ended])
    assert judged.done and f"{ended.status.val_loss:.4f}" in judged.line
    assert not judging.trained(check, RUNGS["mlp"], [ended]).done

    sections = [report.of_runs([ended]), report.Section("<Guesses>", ["a & b"])]
    page = report.html("<b>Ada</b>", "one\n\n<script>two", sections)
    assert "&lt;b&gt;Ada" in page and "&lt;script&gt;two" in page and "&lt;Guesses&gt;" in page
    assert f"{ended.status.val_loss:.4f}" in page and "<script" not in page


# --- terms -----------------------------------------------------------------------------------------------------------


def test_terms_stand_in_order_each_with_one_sentence_and_spellings_of_its_own():
    names = [term.name.lower() for term in glossary.TERMS]
    spellings = [each.lower() for term in glossary.TERMS for each in term.spellings]
    assert len(names) >= 60 and names == sorted(names) and len(set(names)) == len(names)
    assert len(set(spellings)) == len(spellings)
    for term in glossary.TERMS:
        assert term.sentence.endswith(".") and ". " not in term.sentence
    assert [term.name for term in glossary.find("  QUERIES, keys ")] == ["Attention head"]
    assert glossary.find("") == list(glossary.TERMS) and not glossary.find("no such word")


# --- stations --------------------------------------------------------------------------------------------------------


def seen(opening: Opening, runs: tuple[Run, ...] = (), query: dict[str, str] | None = None, **session: object) -> Seen:
    return Seen("mlp", query or {}, session, runs, opening)


def test_an_act_counts_if_it_was_done_since_the_station_was_opened(finished: Run):
    config = finished.need()
    early, late = Opening("2000-01-01", {"query": "3"}), Opening("2999-01-01", {})
    assert Trains("transformer").done(seen(early, (finished,)))
    assert not Trains("transformer").done(seen(late, (finished,))) and not Trains("mlp").done(seen(early, (finished,)))
    assert not Reproduces().done(seen(early, (finished,)))
    claimed = Run(finished.path, "", config.model_copy(update={"claim": "depth"}), finished.status)
    assert Reproduces().done(seen(early, (claimed,)))

    assert Address("tab", "pairs").done(seen(early, query={"tab": "pairs"}))
    assert not Address("tab", "pairs").done(seen(early, query={"tab": "code"}))
    assert [Address("query").done(seen(early, query=query)) for query in ({}, {"query": "3"}, {"query": "4"})] == [
        False,
        False,
        True,
    ]
    assert [Moves("rate").done(seen(early, **values)) for values in ({}, {"rate": 1}, {"rate": 1}, {"rate": 2})] == [
        False,
        False,
        False,
        True,
    ]
    texts: list[dict[str, object]] = [{"written": "old"}, {"written": ""}, {"written": "new"}]
    assert [Brings("written").done(seen(late, **values)) for values in texts] == [False, False, True]


def test_the_way_leads_from_station_to_station_then_to_exercises_then_to_claims():
    keys = list(tour.STATIONS)
    assert len(keys) == 12
    assert tour.before(keys[0]) is None and tour.after(keys[-1]) is None
    assert [after.key for key in keys[:-1] if (after := tour.after(key))] == keys[1:]
    assert [before.key for key in keys[1:] if (before := tour.before(key))] == keys[:-1]

    done = Progress()
    assert path.next_up(done.marks).label == "Take the tour"
    done = done.marked("station.first")
    assert path.next_up(done.marks).label == "Tour, 2 of 12: Text becomes numbers"
    for key in keys:
        done = done.marked(f"station.{key}")
    up = path.next_up(done.marks)
    assert (up.page, up.query) == ("bigram", {"tab": "exercises"}) and path.stations_done(done.marks) == (12, 12)
    for key, place in ALL:
        done = done.marked(judging.mark(RUNGS[key], place))
    assert path.exercises_done(done.marks) == (18, 18) and path.next_up(done.marks).page == "claims"


# --- how far a learner is --------------------------------------------------------------------------------------------


def test_progress_is_merged_kept_by_name_and_forgotten(home: Path):
    one, other = Progress().marked("station.first"), Progress().marked("station.text").with_note("see")
    both = one.merged(other)
    assert set(both.marks) == {"station.first", "station.text"} and both.note == "see" and both == other.merged(one)
    forgotten = both.forgotten()
    assert forgotten.era > both.era and not forgotten.marks and forgotten.merged(both) == forgotten
    assert both.merged(forgotten) == forgotten

    progress.keep("ada@school.example", both)
    assert progress.read("ada@school.example") == both and progress.read("eve") == Progress()
    file = next((home / "learners").iterdir())
    assert "ada" not in file.name
    file.write_text('{"marks": [')
    assert progress.read("ada@school.example") == Progress()


@pytest.mark.parametrize(
    "kept",
    [
        None,
        "x",
        [],
        {"marks": 3, "era": "now", "note": 5, "noted": -1},
        {"marks": {"a b": "2026-01-01", "x": "yesterday", "<b>": "2026-01-01", "y": 4}, "era": math.nan},
        {"era": True, "noted": 10**20},
    ],
)
def test_what_was_not_written_here_is_passed_over(kept: object):
    assert progress.parse(kept) == Progress()


def test_what_is_kept_has_a_bound_and_comes_back_as_it_was():
    many = {f"station.s{i}": "2026-01-01" for i in range(2 * MOST)}
    found = progress.parse({"marks": many, "note": "a\x00b\n" + "c" * 10**5, "era": 5, "noted": 6})
    assert len(found.marks) == MOST and len(found.note) < LONGEST_NOTE and found.note.startswith("ab\nc")
    assert progress.parse(json.loads(json.dumps(found.plain()))) == found
    assert len(found.marked("station.more").marks) == MOST and found.marked("<no mark>") == found
