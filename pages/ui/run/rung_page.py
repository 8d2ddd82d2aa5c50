"""The page of one rung, in the order every rung keeps: what is new, settings and Train, the live view, its views."""

import logging
import time

import streamlit as st

from core.errors import BardlabError
from core.inspect.anatomy import anatomy
from core.jobs import control, processes, timing
from core.ladder import registry
from core.ladder import rung as ladder_rung
from core.ladder.rung import Rung
from core.runs import editing, plan
from core.runs.metrics import TRAIN_LOSS
from core.runs.state import Run
from core.settings import Settings
from core.texts.corpus import Corpus
from core.training.config import TrainConfig
from pages.ui import loaders, state, wording
from pages.ui.choosers.text import text_picker
from pages.ui.components.pictures.picture import picture
from pages.ui.drawings.rungs import PICTURES
from pages.ui.inside_views.links import inside_links
from pages.ui.run.config_form import config_form, device_choice, set_form
from pages.ui.run.live_run import details, live_run, pick_run
from pages.ui.run.memory_tick import memory_tick
from pages.ui.run.twin_button import twin_button
from pages.ui.rung_views.table import view

LOG = logging.getLogger(__name__)


def draw(rung: Rung) -> None:
    """Draw a rung's page, from its declaration."""
    processes.warm()
    state.notices()
    st.markdown(f"*{rung.idea}* [{rung.paper}]({rung.paper_url})")
    st.markdown(rung.new)
    sketch = st.container()
    equation = st.empty()
    st.subheader("Train")
    settings, corpus = _train_box(rung)
    if settings is not None and corpus is not None:
        equation.latex(
            rung.equation_of(settings[0], corpus.tokenizer.size), help="With the numbers of the sliders below."
        )
        with sketch:
            _picture(rung, *settings, corpus)
    st.subheader("Watch")
    run = pick_run(rung.key)
    if run is None:
        st.info(
            "Nothing trained yet. Press Train above: the curve starts within a second.", icon=":material/show_chart:"
        )
    else:
        live_run(run.slug)
        inside_links(run)
        if run.damage is None:
            details(run)
            for name in rung.views:
                _view(name, run)
    _experiments(rung)
    code = rung.code_of(settings[0] if settings else None)
    st.subheader("The new lines")
    st.caption(f"From {wording.inline(ladder_rung.file_of(code))}, as they run here.")
    st.code(ladder_rung.source_of(code), language="python", wrap_lines=True)


def _view(name: str, run: Run) -> None:
    """Draw one view; if what it needs is gone, such as the run's text, or it fails, say so and draw the others."""
    try:
        view(name)(run)
    except BardlabError as error:
        st.warning(wording.plain(str(error)), icon=":material/visibility_off:")
    except Exception:
        LOG.exception("The view %s of %s failed", name, run.slug)
        st.warning("This view could not be drawn; the server's log says why.", icon=":material/visibility_off:")


def _picture(rung: Rung, model: Settings, train: TrainConfig, corpus: Corpus) -> None:
    draw = PICTURES.get(rung.picture)
    if draw is None:
        return
    shapes = anatomy(rung.key, model.model_dump_json(), corpus.tokenizer.size, train.batch_size, train.window)
    picture(*draw(model, shapes, corpus.text[:2000]), key=f"{rung.key}.picture")


def _experiments(rung: Rung) -> None:
    st.subheader("Try this")
    count = len(rung.experiments)
    abreast = count if count <= 3 else 2  # four in a row would be too narrow to read
    columns = [column for _ in range(0, count, abreast) for column in st.columns(abreast)]
    for number, (experiment, column) in enumerate(zip(rung.experiments, columns, strict=False)):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{experiment.title}**")
            st.caption(experiment.look_for)
            st.button(
                "Set the sliders",
                key=f"{rung.key}.try.{number}",
                on_click=_set_up,
                args=(rung.key, number),
                help="Moves the sliders above; then press Train.",
            )


def _set_up(rung_key: str, number: int) -> None:
    rung = registry.get(rung_key)
    experiment = rung.experiments[number]
    set_form(rung, experiment.preset, dict(experiment.changes))
    state.say_next(f"{experiment.title}: the sliders are set, press Train", ":material/tune:")


def _train_box(rung: Rung) -> tuple[tuple[Settings, TrainConfig] | None, Corpus | None]:
    with st.container(border=True):
        name = text_picker("Text", "What it learns from. Add one of your own on the page The text.")
        corpus = None
        try:
            corpus = loaders.corpus(name)
            preset, model, train = config_form(rung)
            plan.check(rung, model, train, corpus)
        except BardlabError as error:
            st.error(wording.plain(str(error)), icon=":material/error:")
            st.button("Train", type="primary", disabled=True, key=f"{rung.key}.train", help="Mend the setting first.")
            return None, corpus
        wanted = device_choice(rung)
        device = timing.best_device() if wanted == "auto" else wanted
        needed = _estimate(rung, model, train, device, corpus)
        for remark in plan.remarks(corpus, train, getattr(model, "context", None)):
            st.caption(wording.plain(remark))
        short = timing.too_little(needed, device)
        ready = memory_tick(f"{rung.key}.short", short)
        chosen = (rung.key, preset, model.model_dump(), train.model_dump(), corpus.name)
        with st.container(horizontal=True):
            st.button(
                "Train",
                type="primary",
                icon=":material/play_arrow:",
                key=f"{rung.key}.train",
                on_click=_start,
                args=(*chosen, wanted, needed),
                disabled=not ready,
                help="Starts a job of its own: it goes on when you close this tab.",
            )
            twin_button(rung, *chosen[1:], needed, ready=ready)
        st.caption("The same from a terminal:")
        command = plan.command(rung, preset, model, train, wanted, corpus.name) + (" --force" if short else "")
        st.code(command, language="bash", wrap_lines=True)
        return (model, train), corpus


def _estimate(rung: Rung, model: Settings, train: TrainConfig, device: str, corpus: Corpus) -> float:
    """Draw what a run takes. Returns the bytes that its worker needs in all."""
    built = loaders.cost(rung.key, model, train, corpus.tokenizer.size, device, len(corpus.text))
    seconds = timing.estimate_seconds(rung, model, built, train, device, len(corpus.val_ids), corpus.tokenizer.size)
    with st.container(horizontal=True, gap="medium"):
        parameters, memory = f"{built.parameters:,}", wording.size(built.memory_bytes)
        if built.grows_with_text:
            parameters = "as the text has it"
        st.metric("Parameters", parameters, help="Trained numbers, counted on the model itself.")
        st.metric("Memory", memory, help="The most held at once: weights, gradients, optimiser, activations.")
        shown = "measuring" if seconds is None else f"about {wording.duration(seconds)}"
        st.metric(
            f"Time on this {wording.device(device)}",
            shown,
            help="From steps timed on this machine; it gets better with every run.",
        )
    if seconds is None and not st.session_state.get("probed"):
        _measure(rung.key)
    return timing.in_all(built, device)


@st.fragment(run_every=3.0)
def _measure(rung_key: str) -> None:
    """Wait for the spare worker's first measurement of this machine, then draw the page again."""
    if timing.known(registry.get(rung_key), timing.best_device()):
        st.session_state["probed"] = True
        st.rerun()


def _start(
    rung_key: str,
    preset: str,
    model: dict[str, object],
    train: dict[str, object],
    text: str,
    device: str,
    needed: float,
) -> None:
    try:
        config = plan.plan(rung_key, preset=preset, model=model, train=train, corpus_name=text, device=device)
        run = control.start(editing.create(config.model_copy(update={"memory_needed": needed})))
    except state.PROBLEMS as error:
        state.say_error(error)
        return
    state.show_run(run.slug)
    _give_it_a_moment(run)


def _give_it_a_moment(run: Run) -> None:
    """Wait for the first point of a worker that stands ready, so that the chart is drawn with it; no longer than that.

    The browser takes half a second to draw the chart; without a point in it, a second drawing has to follow.
    """
    until = time.monotonic() + 0.3
    while time.monotonic() < until and not len(loaders.reader(run).curve(TRAIN_LOSS)[0]):
        time.sleep(0.02)
