"""The ladder: all rungs on one text and one loss."""

import math

import streamlit as st

from core.ladder.registry import RUNGS
from core.ladder.rung import Rung
from core.runs import reading
from core.studies import landmarks
from core.studies.landmarks import ORDERS
from core.studies.standings import Standing, rows, standings
from core.texts.corpus import Corpus
from pages.ui import loaders, state, wording
from pages.ui.navigation import gradient_descent_page, rung_page
from pages.ui.plots.figures import Step, loss_ladder
from pages.ui.rung_views.counting import complete, count_more


def overview() -> None:
    state.notices()
    if lost := st.query_params.get(state.LOST):
        st.warning(f"There is no page “{wording.plain(lost)}”. These are the rungs.", icon=":material/search_off:")
    corpus = loaders.corpus()
    best = standings(reading.list_runs(shipped=True), corpus)
    _what_this_is(corpus)
    _first_rung()
    for key, rung in rows():
        if key.endswith("+"):
            _counted(rung, best.get(key), corpus)
        else:
            _rung(rung, best.get(key))
    st.subheader("One loss to compare them by")
    st.fragment(_chart, run_every=None if complete(corpus) else 0.2)(corpus.name)


def _what_this_is(corpus: Corpus) -> None:
    size = corpus.tokenizer.size
    st.markdown(
        f"A language model reads some text and says how likely each character is to come next. This course builds "
        f"{len(RUNGS)} of them, each with one new idea, from a table of pairs up to the Transformer. All learn from "
        f"the same plays of Shakespeare ({len(corpus.text):,} characters, {size:,} different ones), and all are judged "
        "by one number: the **loss** on the last tenth of the text, which none of them has seen."
    )
    st.markdown(
        f"The loss is the surprise at the character that really came, in nats, on average. Guessing evenly costs "
        f"ln {size:,} = {math.log(size):.2f}; e^loss says among how many equally likely characters the model still has "
        f"to choose: {size:,} when it knows nothing, and fewer the better it knows the text. **Pick a rung, press "
        "Train, and watch the number fall.**"
    )


def _first_rung() -> None:
    with st.container(border=True):
        st.page_link(gradient_descent_page(), label="**Gradient descent**")
        st.markdown(
            "How anything here learns: which way is down, and how far to step. "
            "*Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors.*"
        )


def _rung(rung: Rung, standing: Standing | None) -> None:
    with st.container(border=True):
        left, right = st.columns([2, 3], gap="large")
        left.page_link(rung_page(rung.key), label=f"**{rung.title}**", query_params=_to(standing))
        left.markdown(f"{rung.idea} *{rung.paper}.*")
        if standing is None:
            right.caption("Not trained yet on this machine. The first preset takes seconds.")
            return
        with right:
            _figures(standing)


def _counted(rung: Rung, standing: Standing | None, corpus: Corpus) -> None:
    """What the rung turns into: known without any run."""
    known = landmarks.counted_ngrams(corpus)
    with st.container(border=True):
        left, right = st.columns([2, 3], gap="large")
        left.page_link(rung_page(rung.key), label="**Counted n-gram**", query_params=_to(standing))
        left.markdown(
            f"The bigram with longer pieces: count what came after the last {ORDERS[0] - 1} to {ORDERS[-1] - 1} "
            "characters, and after fewer where that was too rare. *Kneser and Ney (1995); Chen and Goodman (1999).*"
        )
        with right:
            if standing is not None:
                _figures(standing)
            elif known:
                counted = min(known.values(), key=lambda each: each.loss)
                _metrics(counted.loss, counted.numbers)
                st.caption(
                    f"Order {counted.order:d}, counted here in {wording.duration(counted.seconds)}; no training."
                )
            else:
                st.caption("Being counted for the chart below.")


def _to(standing: Standing | None) -> dict[str, str] | None:
    """The address of the run shown, so that the rung's page opens on it."""
    return {state.RUN: standing.run.slug} if standing else None


def _figures(standing: Standing) -> None:
    run = standing.run
    _metrics(standing.loss, run.status.parameters)
    where = f"trained on a {wording.device(run.status.device)} in {wording.duration(run.status.seconds)}"
    if standing.imported:
        source = f":orange-badge[imported] {wording.plain(run.status.message)}, trained elsewhere, measured here"
    elif run.shipped:
        source = f"the run that ships with Bardlab, {where}"
    else:
        source = f"your run **{wording.plain(run.name)}**, {where}" + (", still training" if run.state.active else "")
    st.caption(f"{wording.plain(standing.title)}: {source}.")
    if line := standing.line():
        st.code(line, language=None, wrap_lines=True)


def _metrics(loss: float, parameters: int | None) -> None:
    with st.container(horizontal=True, gap="medium"):
        st.metric("Loss", f"{loss:.3f}", help="Nats a character over the whole validation split; the lowest reached.")
        st.metric("Bits", f"{loss / math.log(2):.3f}", help="The same in bits a character.")
        st.metric(
            "Choices", f"{math.exp(loss):.2f}", help="e^loss: as unsure as an even choice among this many characters."
        )
        st.metric("Parameters", f"{parameters or 0:,}", help="Numbers that were learned or counted.")


def _chart(name: str) -> None:
    corpus = loaders.corpus(name)
    already = complete(corpus)
    known = count_more(corpus)
    if not already and complete(corpus):
        st.rerun()  # the rows above can say it too; and the clock stops
    best = standings(reading.list_runs(shipped=True), corpus)
    steps = []
    for key, rung in rows():
        if key.endswith("+"):
            steps += [Step(f"{each.order}-gram", each.loss, "counted, no training") for each in known.values()]
        elif key in best:
            kind = "imported, not trained here" if best[key].imported else "trained"
            steps.append(Step(rung.title, best[key].loss, kind))
    published = landmarks.published(corpus)
    marks = [*loaders.computed_landmarks(corpus.sha256, corpus.name), *published]
    st.plotly_chart(loss_ladder(steps, [(m.label, m.value) for m in marks]), key="ladder")
    missing = f" Order {max(known) + 1:d} is being counted." if len(known) < len(ORDERS) else ""
    st.caption(
        "Lower is better. The n-grams are counted on the spot, order by order, and so are the dashed lines of what "
        f"needs no training.{missing}"
    )
    for mark in published:
        st.caption(f"**{mark.label}** {mark.help}")


overview()
