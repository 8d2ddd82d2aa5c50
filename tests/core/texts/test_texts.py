"""Own texts: what is accepted, what is refused and why, and what a run does when its text is gone."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import BardlabError
from core.jobs import work
from core.ladder.registry import RUNGS
from core.runs import editing, records
from core.runs import plan as runs_plan
from core.runs.folder import State
from core.runs.openings import of_text as openings_of
from core.runs.openings import openings
from core.texts import own as texts_own
from core.texts.corpus import available, load
from core.texts.tokenizer import CharTokenizer
from tests.conftest import TINY

LINES = "".join(f"line {i} says <img src=x onerror=alert(1)> and $x$ `y` :red[z]\n" for i in range(60))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n" * 2000, "empty"),
        (b"abc" * 100, "300 characters; give at least 1,000"),
        (b"a" * 5000, "'a' all through"),
        (b"ab" * 700 + b"\x00" + b"c" * 100, "binary file, not text: byte 1,400 is zero"),
        (b"\x01\x02ab" * 700, "binary file, not text: 1,400 control characters"),
        (b"ab" * 700 + b"\xff" + b"c" * 100, "not UTF-8: byte 0xff at offset 1,400"),
        (b"{\\rtf1\\ansi " + b"abc" * 700, "an RTF document, not plain text"),
        ("".join(chr(0x4E00 + i) for i in range(1001)).encode(), "1,001 distinct characters"),
        (b"ab" * 10_000_001, "at most 20 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_texts_are_refused_with_the_reason(content: bytes, reason: str):
    with pytest.raises(BardlabError) as error:
        texts_own.add(content)

    assert reason in str(error.value) and "\n" not in str(error.value)
    assert texts_own.listing() == []


def test_a_text_is_kept_by_its_content():
    """The same text under another title is the same text; line ends and byte order mark do not count."""
    own = texts_own.add(LINES.encode(), "A first")
    again = texts_own.add(("\ufeff" + LINES.replace("\n", "\r\n")).encode(), "../../<b>Second</b>")
    corpus = load(own.name)

    assert own.name == again.name and [t.title for t in texts_own.listing()] == ["b Second b"]
    assert corpus.text == LINES and corpus.title == "b Second b"
    assert len(corpus.train_ids) + len(corpus.val_ids) == len(LINES)
    assert available() == {"tinyshakespeare": "Tiny Shakespeare", own.name: "b Second b"}
    assert sorted(p.name for p in texts_own.folder().iterdir()) == [f"{own.name}.json", f"{own.name}.txt"]


def test_a_text_is_found_by_name_title_or_beginning():
    own = texts_own.add(LINES.encode(), "House lines")

    assert texts_own.find("House lines") == texts_own.find("house") == texts_own.find(own.name[:7]) == own.name
    assert texts_own.find("tinyshakespeare") == "tinyshakespeare"
    for wrong in ("", "../own", "hamlet"):
        with pytest.raises(BardlabError, match="choose one of tinyshakespeare"):
            texts_own.find(wrong)


@pytest.mark.parametrize("sidecar", [b"", b"[]", b"\xff", b'{"title": 3, "characters": "x"}'])
def test_a_damaged_sidecar_costs_only_the_title(sidecar: bytes):
    own = texts_own.add(LINES.encode(), "Fine")
    (texts_own.folder() / f"{own.name}.json").write_bytes(sidecar)

    assert load(own.name).text == LINES
    assert texts_own.listing()[0].name == own.name


def test_a_changed_file_is_refused():
    own = texts_own.add(LINES.encode(), "Fine")
    (texts_own.folder() / f"{own.name}.txt").write_text(LINES + "more")

    with pytest.raises(BardlabError, match="damaged; delete the text and add it again"):
        load(own.name)


def test_names_reach_nothing_else():
    """Only a well-formed name is ever made a path."""
    for name in ("../../etc/passwd", "own-../../x", "own-0123456789ab/../x", "own-0123456789AB"):
        assert not texts_own.is_own(name)
        with pytest.raises(BardlabError):
            texts_own.delete(name)
        with pytest.raises(BardlabError):
            load(name)


def test_a_run_trains_on_an_own_text_and_outlives_it():
    """Deleting the text leaves a run that says so; adding it again brings it back."""
    own = texts_own.add(LINES.encode(), "House lines")
    tiny = TINY["mlp"]
    plan = runs_plan.plan("mlp", model=tiny["model"], train=tiny["train"], device="cpu", corpus_name=own.name)
    run = work.work(editing.create(plan).path)

    assert run.state is State.FINISHED and run.need().characters == "".join(sorted(set(LINES)))
    texts_own.delete(own.name)
    with pytest.raises(BardlabError, match="no longer here; add it again"):
        load(own.name)
    refused = work.work(editing.create(plan).path)
    assert refused.state is State.FAILED and "no longer here" in refused.status.message
    texts_own.add(LINES.encode())
    assert load(own.name).text == LINES


def test_a_text_of_one_line_gets_a_prompt_of_its_own():
    own = texts_own.add(b"to be or not to be, " * 100, "One line")
    plan = runs_plan.plan("bigram", train={"window": 16}, corpus_name=own.name)

    assert plan.train.prompt == "t"
    with pytest.raises(BardlabError, match="outside the alphabet"):
        runs_plan.plan("bigram", train={"window": 16, "prompt": "ROMEO"}, corpus_name=own.name)


def test_the_command_line_keeps_lists_and_deletes(tmp_path, capsys):
    from core.cli.main import main

    file = tmp_path / "My book.txt"
    file.write_text(LINES)
    main(["text", "add", str(file), "--json"])
    name = json.loads(capsys.readouterr().out)["name"]
    main(["texts", "--json"])
    listed = json.loads(capsys.readouterr().out)
    main(["train", "bigram", "--preset", "counted", "--text", "my book", "--json"])
    trained = json.loads(capsys.readouterr().out)
    main(["text", "delete", "My book"])

    assert [row["title"] for row in listed] == ["Tiny Shakespeare", "My book"]
    assert listed[1] == {"name": name, "title": "My book", "characters": len(LINES)}
    assert trained["text"] == name and trained["state"] == "finished"
    assert texts_own.listing() == []
    with pytest.raises(SystemExit):
        main(["text", "add", str(tmp_path / "none.txt")])
    assert "error: cannot read" in capsys.readouterr().err


def test_the_commonest_characters_are_kept_and_the_rest_stands_in():
    """The text keeps its length; how much of it was replaced is what differs."""
    text = "aaaabbbccd" * 200
    kept, replaced = texts_own.keep_commonest(text, 3)

    assert kept == "aaaabbb□□□" * 200 and replaced == 600
    assert texts_own.keep_commonest(text, 4) == (text, 0)
    with pytest.raises(BardlabError, match="give a number from 2 to 1,000"):
        texts_own.keep_commonest(text, 1)


def test_a_text_deleted_while_it_is_read_is_gone_and_not_damaged(monkeypatch):
    """Its sidecar was seen, its file no longer is."""
    own = texts_own.add(LINES.encode(), "Fine")
    monkeypatch.setattr(texts_own, "look_up", lambda name: own)
    (texts_own.folder() / f"{own.name}.txt").unlink()

    with pytest.raises(BardlabError, match="is no longer here; add it again"):
        texts_own.read(own.name)


def test_many_threads_load_many_texts():
    """More texts than stay in memory, loaded by six threads at once: nobody trips over another."""
    names = [texts_own.add((f"{i} " + LINES).encode(), f"Text {i}").name for i in range(6)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            loaded = list(pool.map(lambda i: load(names[i % 6]).name == names[i % 6], range(3000)))
    finally:
        sys.setswitchinterval(before)

    assert all(loaded)


def test_characters_are_counted_once_and_nobody_can_spoil_the_count():
    corpus = load(texts_own.add(b"ab " * 400 + b"abz" * 40, "Letters").name)
    corpus.character_counts().clear()

    assert corpus.character_counts() == {"a": 440, "b": 440, " ": 400, "z": 40}
    assert corpus._counts is corpus._counts
    assert corpus.only_judged == "z"


@pytest.mark.parametrize("rung", list(RUNGS))
def test_the_shortest_text_trains_on_every_rung_with_every_preset_that_its_training_split_holds(rung: str):
    """1,000 characters: each rung's first preset is accepted as it stands; what that means is said in words."""
    own = texts_own.add((LINES * 2)[: texts_own.SHORTEST].encode(), "Shortest")
    for preset in RUNGS[rung].presets:
        plan = runs_plan.plan(rung, preset=preset, device="cpu", corpus_name=own.name)
        assert plan.corpus == own.name
    first = RUNGS[rung].default_preset
    plan = runs_plan.plan(
        rung, preset=first, train={"steps": 2, "eval_every": 2, "sample_chars": 5}, device="cpu", corpus_name=own.name
    )
    run = work.work(editing.create(plan).path)

    assert run.state is State.FINISHED and run.status.val_loss
    told = runs_plan.remarks(plan.rung, plan.model_config_, plan.train, load(own.name))
    assert all(sentence.endswith(".") for sentence in told)


def test_a_training_sequence_longer_than_the_text_names_a_setting_that_the_rung_has():
    own = texts_own.add((LINES * 2)[: texts_own.SHORTEST].encode(), "Shortest")
    with pytest.raises(BardlabError, match=r"sequences of 1024 .* which has 900; lower train.window"):
        runs_plan.plan("bigram", train={"window": 1024}, corpus_name=own.name)
    with pytest.raises(BardlabError, match=r"sequences of 1024 .* which has 900; lower model.context"):
        runs_plan.plan("transformer", model={"context": 1024}, corpus_name=own.name)


def test_a_short_validation_split_and_many_passes_are_told():
    own = texts_own.add((LINES * 2)[: texts_own.SHORTEST].encode(), "Shortest")
    plan = runs_plan.plan("bigram", preset="seconds", corpus_name=own.name)
    told = " ".join(runs_plan.remarks(plan.rung, plan.model_config_, plan.train, load(own.name)))

    assert "The validation split has 100 characters, fewer than the 256" in told
    assert f"read some {800 * 64 * 256 // 900:,} times" in told
    assert runs_plan.remarks(plan.rung, plan.model_config_, plan.train, load()) == []


def test_a_line_break_typed_as_two_signs_is_one():
    """Unless the text itself has backslashes: then it is what it says."""
    own = texts_own.add(LINES.encode(), "Lines")
    plan = runs_plan.plan("bigram", train={"prompt": "line\\n"}, corpus_name=own.name)

    assert plan.train.prompt == "line\n"
    assert CharTokenizer("\\n").meant("\\n") == "\\n"


def test_openings_are_of_the_text_or_of_what_the_run_wrote(tmp_path):
    """They hold nothing that the run's alphabet lacks, and never a line of somebody else's text."""
    assert openings_of(load()).line == "ROMEO:\n"
    for text in (LINES, "to be or not to be, " * 100, "ab" * 600, "\n\n\n" + "x y\n" * 400):
        own = texts_own.add(text.encode(), "Mine")
        found = openings_of(load(own.name))
        for piece in (found.line, found.sentence, found.passage, *found.pair, found.start):
            assert piece and set(piece) <= set(text)
        assert found.passage.startswith(found.line) and found.sentence.startswith(found.line.rstrip("\n"))
        assert len(found.pair[0]) == len(found.pair[1])
    tiny = TINY["mlp"]
    plan = runs_plan.plan("mlp", model=tiny["model"], train=tiny["train"], device="cpu", corpus_name=own.name)
    run = work.work(editing.create(plan).path)
    texts_own.delete(own.name)
    assert set(openings(run).passage) <= set(run.need().characters)


def test_the_command_line_reads_encodings_and_keeps_the_commonest(tmp_path, capsys):
    from core.cli.main import main

    file = tmp_path / "alt.txt"
    file.write_bytes(("Größe zählt nicht, schöne Mädchen, süß.\n" * 40 + "Q!").encode("cp1252"))
    with pytest.raises(SystemExit):
        main(["text", "add", str(file)])
    assert "it is probably Windows-1252, Western Europe: read it with --encoding cp1252" in capsys.readouterr().err
    main(["text", "add", str(file), "--encoding", "windows-1252", "--commonest", "12", "--json"])
    added = json.loads(capsys.readouterr().out)

    assert load(added["name"]).tokenizer.size == 12
    main(["text", "add", str(file), "--encoding", "cp1252"])
    assert "occur only in the validation split" in capsys.readouterr().out


def test_what_a_run_wrote_survives_every_separator_that_a_text_may_have():
    """Unicode has line ends that JSON leaves as they are: one sample stays one line of the file."""
    separators = "\u2028\u2029\x85\x0c"
    own = texts_own.add((f"to be{separators} or\n" * 120).encode(), "Separators")
    tiny = TINY["bigram"]
    train = {**tiny["train"], "prompt": "to be" + separators}
    plan = runs_plan.plan("bigram", model=tiny["model"], train=train, device="cpu", corpus_name=own.name)
    run = work.work(editing.create(plan).path)

    assert [sample.step for sample in records.samples(run.path)] == [0, 2, 4]
    assert all(sample.prompt == train["prompt"] for sample in records.samples(run.path))
