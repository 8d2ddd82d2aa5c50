"""The page of one rung: set-up and Train at the left, the run at the right, below them one view at a time."""

import logging
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.errors import BardlabError
from core.inspect.anatomy import anatomy
from core.jobs import processes
from core.ladder import rung as ladder_rung
from core.ladder.rung import Rung
from core.runs.state import Run
from core.studies.course.path import EXERCISES
from core.texts.corpus import Corpus
from pages.ui import state, teaching, tell
from pages.ui.choosers import in_view
from pages.ui.components.pictures.picture import picture
from pages.ui.course.exercises import exercises
from pages.ui.drawings.rungs import PICTURES
from pages.ui.run import overlay
from pages.ui.run.live_run import live_run, log, samples, shown
from pages.ui.run.set_up import take_from_address
from pages.ui.run.starting import SetUp
from pages.ui.run.train_form import form_shown, train_form
from pages.ui.rung_views.table import title_of, view
from pages.ui.wording import inline

LOG = logging.getLogger(__name__)
STYLE = Path(__file__).with_suffix(".css")
TAB = "tab"
"""Name of the URL's parameter for the view that is open; left out for the first."""
IDEA, SAMPLES, CODE, RECORD = "idea", "samples", "code", "log"


def draw(rung: Rung) -> None:
    """Draw a rung's page, from its declaration."""
    processes.warm()
    st.html(STYLE)
    state.notices()
    titles = _titles(rung)
    asked = st.query_params.get(TAB, "")
    problems = [take_from_address(rung), overlay.take_from_address()]
    problems += [f"tab={asked[:60]}"] if asked and asked not in titles else []
    teaching.not_here(problems)
    st.session_state.pop(state.SHOWN, None)  # this drawing decides which run it is
    if teaching.only_picture():
        live_run(rung.key)
        return
    if teaching.shown("idea"):
        st.markdown(f"*{rung.idea}*")
    with st.container(key="desk"):
        left, right = st.columns([29, 71], gap="medium") if form_shown() else (st.empty(), st.container())
        with left, st.container(border=form_shown(), key="form"):
            wanted, corpus = train_form(rung)
        with right, st.container(key="run-view"):
            live_run(rung.key)
    if not titles:
        return
    with st.container(key="views"):
        _open_view(rung, titles, wanted, corpus)


def _titles(rung: Rung) -> dict[str, str]:
    """The views of a rung's page, by their names in the address."""
    titles = {
        IDEA: "The idea",
        **{name: title_of(name) for name in rung.views},
        **({EXERCISES: "Exercises"} if rung.exercises else {}),
        SAMPLES: "Samples",
        CODE: "Code",
        RECORD: "Log",
    }
    if not teaching.shown("views"):
        return {}
    return {name: title for name, title in titles.items() if teaching.shown(name)}


def _open_view(rung: Rung, titles: dict[str, str], wanted: SetUp | None, corpus: Corpus | None) -> None:
    """Draw the choice of the views, and the one that is open: the others compute nothing."""
    chosen = _choice(rung, titles)
    with st.container(key="view"):
        _draw_view(chosen, rung, wanted, corpus)


def _draw_view(chosen: str, rung: Rung, wanted: SetUp | None, corpus: Corpus | None) -> None:
    of_run: dict[str, Callable[[Run], None]] = {SAMPLES: samples, RECORD: log}
    if chosen == IDEA:
        _idea(rung, wanted, corpus)
    elif chosen == CODE:
        code = rung.code_of(wanted.model if wanted else None)
        st.caption(f"From {inline(ladder_rung.file_of(code))}, as they run here.")
        st.code(ladder_rung.source_of(code), language="python", wrap_lines=True)
    elif chosen == EXERCISES:
        exercises(rung, wanted, shown())
    elif (run := shown()) is None:
        st.info("There is no run to look at yet. Press Train.", icon=":material/visibility_off:")
    elif chosen in of_run:
        of_run[chosen](run)
    else:
        _view(chosen, run)


def _choice(rung: Rung, titles: dict[str, str]) -> str:
    """Draw the choice of the view, which lives in the address."""
    return in_view.choice(
        st.segmented_control,
        "View",
        list(titles),
        name=TAB,
        key=f"{rung.key}.{TAB}",
        closes=True,
        format_func=titles.__getitem__,
        required=True,
        label_visibility="collapsed",
        help="Only the view that is open is computed. It stands in the address.",
    )


def _view(name: str, run: Run) -> None:
    """Draw one view; if what it needs is gone, such as the run's text, or it fails, say so."""
    try:
        view(name)(run)
    except BardlabError as error:
        tell.warning(error, icon=":material/visibility_off:")
    except Exception:
        LOG.exception("The view %s of %s failed", name, run.slug)
        st.warning("This view could not be drawn; the server's log says why.", icon=":material/visibility_off:")


def _idea(rung: Rung, wanted: SetUp | None, corpus: Corpus | None) -> None:
    """Draw what is new on this rung: in words, as an equation and as a picture with the numbers of the form."""
    st.markdown(f"{rung.new} [{rung.paper}]({rung.paper_url})")
    if wanted is None or corpus is None:
        return
    st.latex(rung.equation_of(wanted.model, corpus.tokenizer.size), help="With the numbers of the form.")
    if drawing := PICTURES.get(rung.picture):
        train = wanted.train
        shapes = anatomy(
            rung.key, wanted.model.model_dump_json(), corpus.tokenizer.size, train.batch_size, train.window
        )
        picture(*drawing(wanted.model, shapes, corpus.text[:2000]), key=f"{rung.key}.picture")
