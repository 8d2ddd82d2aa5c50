"""The bigram's page: its maps, and what it becomes when longer pieces are counted."""

from core.jobs import work
from core.runs import editing, plan
from core.runs.state import Run
from core.studies import landmarks
from core.texts.corpus import Corpus
from tests.conftest import SHORT
from tests.pages.test_pages import draw, words


def counted(order: int) -> Run:
    """A finished counted run."""
    model = {"order": order, "fit": "count"}
    return work.work(editing.create(plan.plan("bigram", model=model, train=SHORT)).path)


def test_the_map_offers_counts_probabilities_and_logits():
    run = counted(2)
    app = draw("ladder/bigram.py", run=run.slug, tab="pairs")
    for shown in ("counts", "probabilities", "logits"):
        app.segmented_control(key="map").set_value(shown).run()
        assert not app.exception and not app.error

    assert (
        draw("ladder/bigram.py", run=run.slug, tab="pairs", map="counts").segmented_control(key="map").value == "counts"
    )


def test_an_n_gram_says_which_order_supplied_what(corpus: Corpus):
    """The table adds up to one, the sentence names the likeliest character, an unknown letter is refused in a line."""
    run = counted(4)
    app = draw("ladder/bigram.py", run=run.slug, tab="pairs", after="the q")
    table = app.dataframe[0].value

    assert list(table["order"]) == [4, 3, 2, 1]
    assert list(table["context"]) == ["e␣q", "␣q", "q", "none"]
    assert abs(table["supplied"].sum() - 1) < 1e-6
    assert "After `e␣q` comes `u`" in words(app)

    app.text_input(key="after").set_value("é").run()
    assert "has never had `é`" in app.error[0].value


def test_how_far_counting_goes_is_counted_one_order_a_look(corpus: Corpus):
    """The first look counts one order only; what is known is not counted again."""
    run = counted(2)
    draw("ladder/bigram.py", run=run.slug, tab="pairs")
    first = landmarks.counted_ngrams(corpus)
    draw("ladder/bigram.py", run=run.slug, tab="pairs")

    assert list(first) == [2]
    assert list(landmarks.counted_ngrams(corpus)) == [2, 3]


def test_learning_a_longer_order_is_refused_in_one_line():
    app = draw("ladder/bigram.py")
    app.slider(key="bigram.model.order").set_value(5).run()

    assert "model.order 5 can only be counted" in app.error[0].value
    app.segmented_control(key="bigram.model.fit").set_value("count").run()
    assert not app.error
    assert "as many par. as the text has" in app.button(key="bigram.train").label
