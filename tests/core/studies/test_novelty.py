"""How much of what snapshots write is copied: against a plain search, cut short, begun again, told by the command."""

import json
import math
import random

import pytest

from core.cli.main import main
from core.jobs import work
from core.runs import checkpoints, editing, layout, plan
from core.runs.metrics import TRAIN_EVAL_LOSS, TRAIN_LOSS, VAL_LOSS, MetricsReader
from core.runs.state import Run
from core.sampling import SamplingConfig, streams
from core.studies import novelty
from core.texts import own
from core.texts.corpus import Corpus, load


def few_words() -> Run:
    """A bigram that learned from a text of three words."""
    draw = random.Random(1)
    words = " ".join(draw.choices(["abcdefghi", "klmnopqrstu", "vwxyz"], k=400))
    name = own.add(words.encode(), "Few words").name
    steps = {"steps": 60, "batch_size": 16, "eval_every": 60, "sample_chars": 40, "snapshots": 2, "learning_rate": 0.1}
    return work.work(editing.create(plan.plan("bigram", train=steps, device="cpu", corpus_name=name)).path)


def write_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a snapshot write an eighth of what it usually writes."""
    for name, value in (("TOGETHER", 4), ("ROUNDS", 2), ("LENGTH", 64)):
        monkeypatch.setattr(novelty, name, value)


@pytest.fixture
def run(home, monkeypatch: pytest.MonkeyPatch) -> Run:
    write_little(monkeypatch)
    return few_words()


@pytest.fixture
def text(run: Run) -> Corpus:
    return load(run.need().corpus)


def by_hand(source: str, texts: list[str]) -> dict[int, tuple[int, int]]:
    pieces = {n: [t[at : at + n] for t in texts for at in range(len(t) - n + 1)] for n in novelty.SIZES}
    return {n: (sum(piece in source for piece in each), len(each)) for n, each in pieces.items()}


def told(counts: novelty.Counts) -> dict[int, tuple[int, int]]:
    return dict(zip(novelty.SIZES, zip(counts.copied, counts.pieces, strict=True), strict=True))


def test_what_is_counted_is_what_a_plain_search_finds(run: Run, text: Corpus, capsys: pytest.CaptureFixture[str]):
    yields = sum(1 for _ in novelty.count(run, text))
    rows = novelty.rows(run, MetricsReader(run.path).refresh())
    source = text.text[: text.split]

    assert [row.step for row in rows] == layout.snapshot_steps(run.path) and len(rows) > 1
    assert yields >= len(rows) * novelty.ROUNDS * novelty.LENGTH
    assert told(novelty.baseline(text)) == by_hand(source, [text.text[text.split :]])
    read = MetricsReader(run.path).refresh()
    for row in rows:
        model, tokenizer = checkpoints.load_model(run, row.step)
        texts = []
        for number in range(novelty.ROUNDS):
            config = SamplingConfig(tokens=novelty.LENGTH, seed=novelty.SEED + number * novelty.TOGETHER)
            written = [
                [c.id for c in step] for step in streams(model, novelty.prompts(tokenizer, text, number), config)
            ]
            texts += [tokenizer.decode(ids) for ids in zip(*written, strict=True)]
        assert told(row.found.counts) == by_hand(source, texts)
        assert row.found.longest in source and any(row.found.longest in each for each in texts)
        assert source[row.found.place :].startswith(row.found.longest)
    steps, losses = (curve.tolist() for curve in read.curve(VAL_LOSS))
    assert [(row.step, row.val) for row in rows if not math.isnan(row.val)] == list(zip(steps, losses, strict=True))
    tag = TRAIN_EVAL_LOSS if len(read.curve(TRAIN_EVAL_LOSS)[0]) else TRAIN_LOSS
    assert rows[-1].train == read.curve(tag)[1][-1 if tag == TRAIN_EVAL_LOSS else -novelty.BATCHES :].mean()

    main(["novelty", run.slug, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [row["step"] for row in said["snapshots"]] == layout.snapshot_steps(run.path)
    assert said["snapshots"][-1]["copied"]["8"] == rows[-1].found.counts.share(8)
    assert said["validation"]["16"] == novelty.baseline(text).share(16) > 0.1
    main(["novelty", run.slug])
    assert "line 1" in capsys.readouterr().out
    own.delete(text.name)
    with pytest.raises(SystemExit):
        main(["novelty", run.slug])
    assert "no longer here" in capsys.readouterr().err


def test_cut_short_it_goes_on_where_it_was(run: Run, text: Corpus):
    """What one began another finishes, with the same outcome; other weights count as none."""
    begun = novelty.count(run, text)
    for _ in range(novelty.LENGTH * 2):
        next(begun)
    begun.close()
    half = novelty.snapshots(run)
    for _ in novelty.count(run, text):
        pass
    whole = novelty.snapshots(run)

    assert [(found.step, found.counts.parts) for found in half] == [(60, 1)]  # the last snapshot comes first
    assert novelty.missing(run) == [] and all(found.whole for found in whole)
    file = run.path / layout.NOVELTY
    content = file.read_bytes()
    file.unlink()
    for _ in novelty.count(run, text):
        pass
    assert file.read_bytes() == content
    weights = layout.snapshot_path(run.path, 60)
    weights.write_bytes(layout.snapshot_path(run.path, 0).read_bytes())
    assert novelty.missing(run) == [60]
    weights.write_bytes(b"no weights")
    assert sum(1 for _ in novelty.count(run, text)) == 0  # nothing that could be read is missing
    file.write_text("{")
    assert novelty.snapshots(run) == []


def test_a_long_validation_text_is_counted_in_places(home):
    name = own.add(("".join(random.Random(2).choices("abcdefgh \n", k=2_000_000))).encode()).name
    text = load(name)
    cut = novelty.stretches(text)

    assert len(cut) == novelty.STRETCHES and {end - start for start, end in cut} == {novelty.STRETCH}
    assert cut[0][0] == text.split and cut[-1][1] == len(text.text)
    assert not novelty.baseline_whole(text) and math.isnan(novelty.baseline(text).share(16))
