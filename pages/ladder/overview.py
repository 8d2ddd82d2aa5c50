"""The first page: a model that learns, one to train at once, and the ladder on one text and one loss."""

import html
import math
import time

import streamlit as st

from core.inspect.attention import rungs_with_attention
from core.jobs import control, processes, timing
from core.ladder import registry
from core.ladder.registry import RUNGS
from core.runs import plan, reading, records
from core.runs.folder import State
from core.runs.metrics import SECONDS, TRAIN_LOSS
from core.runs.state import Run
from core.studies import landmarks
from core.studies.landmarks import ORDERS
from core.studies.standings import Place, Standing, places, title_of
from core.texts.corpus import Corpus
from pages.ui import ladder_problems, loaders, state, teaching, wording
from pages.ui.choosers import mine
from pages.ui.components.charts.replay import Learning, Level, replay
from pages.ui.navigation import gradient_descent_page, page_at, rung_page
from pages.ui.plots.colours import place_of, rung_colour
from pages.ui.rung_views.counting import complete, count_more

FIRST = "mlp"
"""The rung that is trained here: its text becomes words within seconds."""
OWN, LIVE = "first.run", "first.live"
YOURS = "yours"
"""The run that was started here, in the address: whoever reloads the page sees it again."""
STYLE = """<style>
.stMainBlockContainer { padding: 1.1rem 2rem 2rem; }
.stMainBlockContainer h1 { padding: 0 0 0.1rem; font-size: 1.7rem; }
.stMainBlockContainer > div > [data-testid="stVerticalBlock"] { gap: 0.5rem; }
.st-key-first [data-testid="stVerticalBlock"] { gap: 0.5rem; }
.st-key-rungs, .st-key-rungs [data-testid="stVerticalBlock"] { gap: 0; }
.st-key-rungs [data-testid="stHorizontalBlock"] { border-top: 1px solid var(--st-border-color, #8884); gap: 0.5rem; }
.st-key-rungs a { padding-top: 0; padding-bottom: 0; min-height: 1.7rem; }
.levels { font-size: 0.8rem; margin: 0; border-collapse: collapse; }
.levels td { white-space: nowrap; padding: 0.1rem 0.35rem 0.1rem 0; border: 0; }
.levels td:nth-child(2) { white-space: normal; }
.levels td:last-child { padding-right: 0; }
.levels td:first-child { font-weight: 700; font-variant-numeric: tabular-nums; }
.levels tr:last-child td { border: 0; }
.place { display: grid; grid-template-columns: 8fr 4fr 11.5rem; gap: 0.8rem; align-items: center; font-size: 0.85rem; }
.place .idea { opacity: 0.8; font-size: 0.78rem; line-height: 1.2; overflow: hidden; }
.place .idea { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; }
.place .losses { font-variant-numeric: tabular-nums; white-space: nowrap; }
.place .bars i { display: block; height: 5px; border-radius: 2px; margin: 2px 0; min-width: 1px; }
.place .bars .own { opacity: 0.5; }
.axis { font-size: 0.75rem; opacity: 0.75; }
.axis .bars { display: flex; justify-content: space-between; }
@media (max-width: 900px) { .place { grid-template-columns: 1fr 11rem; } .place .idea { display: none; } }
</style>"""


def overview() -> None:
    state.notices()
    ladder_problems.show()
    st.html(STYLE)
    if lost := st.query_params.get(state.LOST):
        st.warning(f"There is no page “{wording.plain(lost)}”. These are the rungs.", icon=":material/search_off:")
    processes.warm()
    corpus = loaders.corpus()
    with st.container(key="first"):
        _first(corpus.name)
    st.fragment(_ladder, run_every=None if complete(corpus) else 0.2)(corpus.name)
    _how_measured(corpus)


# --- one that learns -------------------------------------------------------------------------------------------------


@teaching.part("replay")
@st.fragment
def _first(name: str) -> None:
    """The film, the button, the learner's own run in its place, and at its end what to do next."""
    corpus = loaders.corpus(name)
    own = _own()
    shipped = [run for run in reading.list_runs(shipped=True) if run.shipped]
    stars = [place.shipped for place in places(shipped, corpus, ()) if place.shipped]
    star = stars[0] if stars else None
    left, right = st.columns([29, 71], gap="medium")
    with left, st.container(border=True):
        st.markdown("A model reads Shakespeare and guesses the next letter. **Watch one learn.**")
        _button(own, corpus)
        st.html(_levels(star, own, corpus))
        if own is not None and own.state.active:
            st.button(
                "Stop", icon=":material/stop:", type="tertiary", key="first.stop", on_click=_stop, help="End it here."
            )
    with right:
        film = _learning(star.run) if star else None
        marks = loaders.computed_landmarks(corpus.sha256, corpus.name)
        named = {"uniform": "blind guess", "bigram": "knows pairs"}
        levels = [Level(f"{named[each.key]} {each.value:.2f}", each.value) for each in marks if each.key in named]
        if star:
            levels.append(Level(f"our {star.title} {star.loss:.2f}", star.loss, place_of(star.run)))
        live = own is not None and own.state.active
        replay(film, _learning(own) if own else None, levels, corpus.tokenizer.size, live=live, key="replay")
        if own is not None and not live:
            _ending(own, star, corpus)
    was_live = st.session_state.get(LIVE, False)
    st.session_state[LIVE] = live
    if was_live and not live:
        st.rerun()  # it has just ended: let the ladder below see it


def _own() -> Run | None:
    """The run that was started here, in this session or before the page was reloaded, if it still is here."""
    slug = st.session_state.get(OWN)
    if slug is None and (asked := st.query_params.get(YOURS)):
        slug = next(
            (run.slug for run in mine.own(loaders.listing()) if (run.slug, run.rung_key) == (asked, FIRST)), None
        )
    if slug is None:
        return None
    st.session_state[OWN] = slug
    try:
        run = control.look_after(reading.find(slug))
    except state.PROBLEMS:
        run = None
    if run is None or run.damage:
        st.session_state.pop(OWN)
        st.session_state.pop(LIVE, None)
        st.query_params.pop(YOURS, None)
        st.warning("The run that was trained here is gone or damaged: train another.", icon=":material/broken_image:")
        return None
    return run


def _learning(run: Run) -> Learning:
    read = loaders.reader(run)
    steps, losses = read.curve(TRAIN_LOSS)
    evaluations = [(step, loss) for step, loss in records.validation_curve(run.path)]
    title = f"{'Our' if run.shipped else 'Your'} {title_of(run)}"
    place = place_of(run)
    seconds = read.at(SECONDS, steps)
    return Learning(
        f"{run.slug}:{read.generation}",
        title,
        place,
        run.status.step,
        run.status.of,
        steps,
        losses,
        seconds,
        evaluations,
        records.samples(run.path),
    )


def _button(own: Run | None, corpus: Corpus) -> None:
    if own is not None and own.state.active:
        share = own.status.step / max(1, own.status.of)
        st.button(f"Training: {share:.0%}", disabled=True, width="stretch", key="first.train", help="It is under way.")
        return
    rung = registry.get(FIRST)
    model, train = rung.settings(rung.default_preset, {}, {})
    device = timing.best_device()
    built = loaders.cost(rung.key, model, train, corpus.tokenizer.size, device, len(corpus.text))
    seconds = timing.estimate_seconds(rung, model, built, train, device, len(corpus.val_ids), corpus.tokenizer.size)
    about = "" if seconds is None else f" · about {wording.duration(seconds)}"
    st.button(
        ("Train one yourself" if own is None else "Train another") + about,
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key="first.train",
        on_click=_train,
        help="A model with random weights, trained here and now; its curve appears beside this button.",
    )


def _train() -> None:
    """Train the first rung's first preset; each further time with the next seed."""
    rung = registry.get(FIRST)
    earlier = sum(run.rung_key == FIRST for run in mine.own(reading.list_runs()))
    _, train = rung.settings(rung.default_preset, {}, {})
    try:
        planned = plan.plan(rung.key, preset=rung.default_preset, train={"seed": train.seed + earlier})
        run = control.begin(planned)
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    st.session_state[OWN] = st.query_params[YOURS] = run.slug
    until = time.monotonic() + 0.3  # a worker that stands ready has its first point by then
    while time.monotonic() < until and not len(loaders.reader(run).curve(TRAIN_LOSS)[0]):
        time.sleep(0.02)


def _stop() -> None:
    try:
        control.stop(reading.find(st.session_state[OWN]))
    except state.PROBLEMS as error:
        state.say_error(error)


def _levels(star: Standing | None, own: Run | None, corpus: Corpus) -> str:
    """How well it can be guessed, from blind to the best that ships, as a table."""
    known = {mark.key: mark.value for mark in loaders.computed_landmarks(corpus.sha256, corpus.name)}
    told = [(known["uniform"], "blind guess"), (known["bigram"], "knows pairs")]
    if own is not None and (loss := own.status.best_val_loss) is not None:
        told.append((loss, f"yours, in {wording.duration(own.status.seconds)}"))
    if star is not None:
        told.append((star.loss, f"our {star.title}"))
    told.sort(key=lambda row: -row[0])
    body = "".join(
        f"<tr><td>{loss:.2f}</td><td>{html.escape(words)}</td><td>{_choices(loss)} choices</td></tr>"
        for loss, words in told
    )
    return f'<table class="levels">{body}</table>'


def _choices(loss: float) -> str:
    count = math.exp(loss)
    return f"{count:,.0f}" if count >= 9.95 else f"{count:.1f}"


def _ending(own: Run, star: Standing | None, corpus: Corpus) -> None:
    loss = own.status.best_val_loss
    if loss is None or own.state is State.FAILED:
        st.warning(f"It ended without a result: {wording.plain(own.status.message)}", icon=":material/info:")
        return
    st.markdown(f"**Yours now hesitates between {math.exp(loss):,.0f} letters instead of {corpus.tokenizer.size:,}.**")
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("What does the curve mean?", icon=":material/show_chart:"):
            st.markdown(_meaning(corpus))
            st.page_link(rung_page(own.rung_key), label="Open its page", query_params={state.RUN: own.slug})
        looking = own if own.rung_key in rungs_with_attention() else star.run if star else None
        if looking is not None and looking.rung_key in rungs_with_attention():
            label = "See where it looks" if looking is own else "See where ours looks"
            st.page_link(
                page_at("attention"),
                label=label,
                icon=":material/visibility:",
                query_params={state.RUN: looking.slug},
            )
        st.page_link(
            page_at("write"), label="Let it write", icon=":material/edit_note:", query_params={state.RUN: own.slug}
        )


# --- the ladder ------------------------------------------------------------------------------------------------------


@teaching.part("ladder")
def _ladder(name: str) -> None:
    """One line a rung, the best at the top."""
    corpus = loaders.corpus(name)
    already = complete(corpus)
    counted = count_more(corpus)
    if not already and complete(corpus):
        st.rerun()  # counted to the end: the clock stops
    lines = places(mine.own(reading.list_runs(shipped=True), shipped=True), corpus, counted.values())
    pairs = next(mark.value for mark in loaders.computed_landmarks(corpus.sha256, corpus.name) if mark.key == "bigram")
    reached = [place.best for place in lines if place.best is not None]
    axis = (max([pairs, *(p.shipped.loss for p in lines if p.shipped)]) + 0.1, min([*reached, pairs - 0.5]) - 0.05)
    with st.container(key="rungs"):
        _axis(axis)
        for place in lines:
            _place(place, axis)
        missing = f" Order {max(counted) + 1:d} is being counted." if len(counted) < len(ORDERS) else ""
        trained = "✓ trained by you."
        st.caption(f"{trained} Bar: how far below pairs of letters; solid ships, pale is yours.{missing}")


def _axis(axis: tuple[float, float]) -> None:
    _, middle, _ = st.columns([21, 69, 10], vertical_alignment="center")
    ends = f"<span>{axis[0]:.2f}</span><span>better →</span><span>{axis[1]:.2f}</span>"
    middle.html(
        f'<div class="place axis"><span class="idea">The ladder</span><span class="bars">{ends}</span>'
        '<span class="losses">loss, nats a letter</span></div>'
    )


def _place(place: Place, axis: tuple[float, float]) -> None:
    left, middle, right = st.columns([21, 69, 10], vertical_alignment="center")
    page = rung_page(place.rung.key)
    to = {state.RUN: place.own.run.slug} if place.own else None
    tick = "✓ " if place.own else ""
    left.page_link(page, label=f"{tick}**{wording.plain(place.title)}**", query_params=to)
    found = [("", place.shipped, "shipped"), (" own", place.own, "yours")]
    colour = rung_colour(place.key)
    bars, said = [], []
    if place.counted:
        bars.append(_bar(place.counted.loss, axis, colour, ""))
        said.append(f"counted {place.counted.loss:.3f}")
    for kind, standing, word in found:
        if standing is None:
            said += [f"{word} –"] if not (place.counted and word == "shipped") else []
            continue
        bars.append(_bar(standing.loss, axis, colour, kind))
        said.append(f"{'imported' if standing.imported else word} {standing.loss:.3f}")
    idea = html.escape(_idea(place))
    middle.html(
        f'<div class="place"><span class="idea" title="{idea}">{idea}</span>'
        f'<span class="bars">{"".join(bars)}</span><span class="losses">{" · ".join(said)}</span></div>'
    )
    right.page_link(page, label="Train", icon=":material/play_arrow:", query_params=to)


def _bar(loss: float, axis: tuple[float, float], colour: str, kind: str) -> str:
    share = min(1.0, max(0.0, (axis[0] - loss) / (axis[0] - axis[1])))
    return f'<i class="{kind.strip()}" style="width:{share:.1%};background:{colour}" title="{loss:.4f} nats"></i>'


def _idea(place: Place) -> str:
    if place.key == landmarks.COUNTED:
        return f"Count what came after the last {ORDERS[0] - 1} to {ORDERS[-1] - 1} characters; no training."
    return place.rung.idea


# --- how it is measured ----------------------------------------------------------------------------------------------


def _meaning(corpus: Corpus) -> str:
    size = corpus.tokenizer.size
    return (
        "The loss is the surprise at the character that really came, in nats, on average. Guessing evenly costs "
        f"ln {size:,} = {math.log(size):.2f}; e^loss says among how many equally likely characters the model still has "
        f"to choose: {size:,} when it knows nothing, and fewer the better it knows the text."
    )


@teaching.part("measured")
def _how_measured(corpus: Corpus) -> None:
    with st.expander("How it is measured"):
        st.markdown(
            f"A language model reads some text and says how likely each character is to come next. This course builds "
            f"{len(RUNGS)} of them, each with one new idea, from a table of pairs up to the Transformer. All learn "
            f"from the same plays of Shakespeare ({len(corpus.text):,} characters, {corpus.tokenizer.size:,} different "
            "ones), and all are judged by one number: the **loss** on the last tenth of the text, which none of them "
            "has seen."
        )
        st.markdown(_meaning(corpus))
        st.markdown(f"In bits a character it is the loss divided by ln 2 = {math.log(2):.3f}.")
        for mark in landmarks.published(corpus):
            st.caption(f"**{mark.label}** {mark.help}")
        st.page_link(gradient_descent_page(), label="Before the first rung: gradient descent, how anything here learns")


overview()
