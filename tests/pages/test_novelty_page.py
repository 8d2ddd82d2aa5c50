"""Copied or new: the view of a rung's page that follows it over the snapshots, and what is said of one text."""

import pytest

from core.runs import records
from core.runs.state import Run
from core.studies import novelty as study
from core.texts import own
from core.texts.corpus import load
from pages.ui.inside_views import copied
from pages.ui.wording import plain
from tests.core.studies.test_novelty import few_words, write_little
from tests.pages.test_pages import draw, to_the_end, words


def test_the_view_counts_while_it_is_looked_at_and_then_shows_what_was_counted(monkeypatch: pytest.MonkeyPatch):
    write_little(monkeypatch)
    run = few_words()
    corpus = load(run.need().corpus)
    app = draw("ladder/bigram.py", run=run.slug, tab="novelty")
    assert study.baseline(corpus).parts > 0
    for _ in study.count(run, corpus):
        pass
    app.run()
    row, expected = study.snapshots(run)[-1], study.baseline(corpus)

    assert study.missing(run) == [] and study.baseline_whole(corpus)
    assert f"**{row.counts.share(16):.1%} of the 16-character pieces" in words(app)
    assert f"({expected.share(16):.1%})" in words(app)
    table = app.dataframe[-1].value
    assert list(table["step"]) == [found.step for found in study.snapshots(run)]
    assert list(table["longest"]) == [len(found.longest) for found in study.snapshots(run)]
    app.select_slider(key="novelty.piece").set_value(8).run()
    assert list(app.dataframe[-1].value["copied"])[-1] == 100 * row.counts.share(8)
    assert f"**{row.counts.share(8):.1%} of the 8-character pieces" in words(app)

    sample = copied.Followed(corpus, records.samples(run.path)[-1].text)
    best = sample.meter.longest()
    assert best is not None and sample.told().startswith(f"Longest passage copied: {best.length} characters, “")
    own.delete(corpus.name)
    app.run()
    assert not app.exception and "no longer here" in words(app)


def test_what_is_underlined_says_where_it_is_from():
    text = load()
    sampson = text.text[442_994 : 442_994 + 60]
    followed = copied.Followed(text)
    followed.read("zzz" + sampson[:30])
    followed.read("zzz" + sampson)

    line = 1 + text.text[:442_994].count("\n")
    assert followed.ranges() == [(3, 60, f"60 characters, copied from Romeo and Juliet, SAMPSON, line {line:,}")]
    assert "and 1 place more" not in followed.told() and followed.told().endswith(f"line {line:,}.")
    assert copied.Followed(text, "#").told() == "Nothing copied."


def test_write_says_what_was_copied(finished: Run):
    app = draw("use/write.py", run=finished.slug, samples="2", tokens="50")
    to_the_end(app.button(key="write.go").click().run())

    read = [copied.Followed(load(), text.text) for text in app.session_state["write.texts"].texts]
    assert plain(max(read, key=lambda each: max(each.meter.lengths)).told()) in words(app)
