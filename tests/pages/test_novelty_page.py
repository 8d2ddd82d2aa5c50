"""Copied or new: the view of a rung's page that follows it over the snapshots, and what is said of one text."""

from core.runs import records
from core.studies import novelty as study
from core.texts import own
from core.texts.corpus import load
from pages.ui.inside_views import copied
from tests.core.studies.test_novelty import few_words
from tests.pages.test_pages import draw, words


def test_the_view_counts_while_it_is_looked_at_and_then_shows_what_was_counted():
    run = few_words()
    corpus = load(run.need().corpus)
    app = draw("ladder/bigram.py", run=run.slug, tab="novelty")
    for _ in range(40):
        if not study.missing(run):
            break
        app.run()
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

    sample = records.samples(run.path)[-1].text
    meter = copied.meter_of(corpus, sample)
    best = meter.longest()
    assert best is not None and copied.told(meter, corpus).startswith(
        f"Longest passage copied: {best.length} characters"
    )
    own.delete(corpus.name)
    app.run()
    assert not app.exception and "no longer here" in words(app)


def test_what_is_underlined_says_where_it_is_from():
    text = load()
    meter = copied.meter_of(text, "zzz" + text.text[442_994 : 442_994 + 60])

    (only,) = copied.ranges(meter, text)
    assert (only["start"], only["length"]) == (3, 60)
    assert (
        only["title"]
        == f"60 characters, from Romeo and Juliet, SAMPSON, line {1 + text.text[:442_994].count(chr(10)):,}"
    )
    assert copied.told(copied.meter_of(text, "#"), text) == "Nothing copied."
