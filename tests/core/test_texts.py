"""Own texts: what is accepted, what is refused and why, and what a run does when its text is gone."""

import json

import pytest

from core import launch, runs, texts, worker
from core.corpus import available, load
from core.errors import BardlabError
from core.runs import State
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
        texts.add(content)

    assert reason in str(error.value) and "\n" not in str(error.value)
    assert texts.listing() == []


def test_a_text_is_kept_by_its_content():
    """The same text under another title is the same text; line ends and byte order mark do not count."""
    own = texts.add(LINES.encode(), "A first")
    again = texts.add(("\ufeff" + LINES.replace("\n", "\r\n")).encode(), "../../<b>Second</b>")
    corpus = load(own.name)

    assert own.name == again.name and [t.title for t in texts.listing()] == ["b Second b"]
    assert corpus.text == LINES and corpus.title == "b Second b"
    assert len(corpus.train_ids) + len(corpus.val_ids) == len(LINES)
    assert available() == {"tinyshakespeare": "Tiny Shakespeare", own.name: "b Second b"}
    assert sorted(p.name for p in texts.folder().iterdir()) == [f"{own.name}.json", f"{own.name}.txt"]


def test_a_text_is_found_by_name_title_or_beginning():
    own = texts.add(LINES.encode(), "House lines")

    assert texts.find("House lines") == texts.find("house") == texts.find(own.name[:7]) == own.name
    assert texts.find("tinyshakespeare") == "tinyshakespeare"
    for wrong in ("", "../own", "hamlet"):
        with pytest.raises(BardlabError, match="choose one of tinyshakespeare"):
            texts.find(wrong)


@pytest.mark.parametrize("sidecar", [b"", b"[]", b"\xff", b'{"title": 3, "characters": "x"}'])
def test_a_damaged_sidecar_costs_only_the_title(sidecar: bytes):
    own = texts.add(LINES.encode(), "Fine")
    (texts.folder() / f"{own.name}.json").write_bytes(sidecar)

    assert load(own.name).text == LINES
    assert texts.listing()[0].name == own.name


def test_a_changed_file_is_refused():
    own = texts.add(LINES.encode(), "Fine")
    (texts.folder() / f"{own.name}.txt").write_text(LINES + "more")

    with pytest.raises(BardlabError, match="damaged; delete the text and add it again"):
        load(own.name)


def test_names_reach_nothing_else():
    """Only a well-formed name is ever made a path."""
    for name in ("../../etc/passwd", "own-../../x", "own-0123456789ab/../x", "own-0123456789AB"):
        assert not texts.is_own(name)
        with pytest.raises(BardlabError):
            texts.delete(name)
        with pytest.raises(BardlabError):
            load(name)


def test_a_run_trains_on_an_own_text_and_outlives_it():
    """Deleting the text leaves a run that says so; adding it again brings it back."""
    own = texts.add(LINES.encode(), "House lines")
    tiny = TINY["mlp"]
    plan = launch.plan("mlp", model=tiny["model"], train=tiny["train"], device="cpu", corpus_name=own.name)
    run = worker.work(runs.create(plan).path)

    assert run.state is State.FINISHED and run.need().characters == "".join(sorted(set(LINES)))
    texts.delete(own.name)
    with pytest.raises(BardlabError, match="no longer here; add it again"):
        load(own.name)
    refused = worker.work(runs.create(plan).path)
    assert refused.state is State.FAILED and "no longer here" in refused.status.message
    texts.add(LINES.encode())
    assert load(own.name).text == LINES


def test_a_text_of_one_line_gets_a_prompt_of_its_own():
    own = texts.add(b"to be or not to be, " * 100, "One line")
    plan = launch.plan("bigram", train={"window": 16}, corpus_name=own.name)

    assert plan.train.prompt == "t"
    with pytest.raises(BardlabError, match="outside the alphabet"):
        launch.plan("bigram", train={"window": 16, "prompt": "ROMEO"}, corpus_name=own.name)


def test_the_command_line_keeps_lists_and_deletes(tmp_path, capsys):
    from core.cli import main

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
    assert texts.listing() == []
    with pytest.raises(SystemExit):
        main(["text", "add", str(tmp_path / "none.txt")])
    assert "error: cannot read" in capsys.readouterr().err
