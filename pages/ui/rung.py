"""The page of one rung, in the order every rung keeps: what is new, settings and Train, the live view, its views."""

import logging
import time

import streamlit as st

from core import jobs, launch, runs, speed, stages
from core.config import Settings, TrainConfig
from core.corpus import Corpus
from core.errors import BardlabError
from core.inspect.anatomy import anatomy
from core.metrics import TRAIN_LOSS
from core.runs import Run
from core.stages import Stage
from pages.ui import cached, state, words
from pages.ui.components.picture import picture
from pages.ui.config_form import config_form, device_choice, set_form
from pages.ui.inside import inside_links
from pages.ui.live_run import details, live_run, pick_run
from pages.ui.pictures import PICTURES
from pages.ui.text_picker import text_picker
from pages.ui.twins import twin_button
from pages.ui.view_table import view

LOG = logging.getLogger(__name__)


def rung(stage: Stage) -> None:
    """Draw a rung's page, from its declaration."""
    jobs.warm()
    state.notices()
    st.markdown(f"*{stage.idea}* [{stage.paper}]({stage.paper_url})")
    st.markdown(stage.new)
    sketch = st.container()
    equation = st.empty()
    st.subheader("Train")
    settings, corpus = _train_box(stage)
    if settings is not None and corpus is not None:
        equation.latex(
            stage.equation_of(settings[0], corpus.tokenizer.size), help="With the numbers of the sliders below."
        )
        with sketch:
            _picture(stage, *settings, corpus)
    st.subheader("Watch")
    run = pick_run(stage.key)
    if run is None:
        st.info(
            "Nothing trained yet. Press Train above: the curve starts within a second.", icon=":material/show_chart:"
        )
    else:
        live_run(run.slug)
        inside_links(run)
        if run.damage is None:
            details(run)
            for name in stage.views:
                _view(name, run)
    _experiments(stage)
    code = stage.code_of(settings[0] if settings else None)
    st.subheader("The new lines")
    st.caption(f"From `{stages.file_of(code)}`, as they run here.")
    st.code(stages.source_of(code), language="python", wrap_lines=True)


def _view(name: str, run: Run) -> None:
    """Draw one view; if what it needs is gone, such as the run's text, or it fails, say so and draw the others."""
    try:
        view(name)(run)
    except BardlabError as error:
        st.warning(words.plain(str(error)), icon=":material/visibility_off:")
    except Exception:
        LOG.exception("The view %s of %s failed", name, run.slug)
        st.warning("This view could not be drawn; the server's log says why.", icon=":material/visibility_off:")


def _picture(stage: Stage, model: Settings, train: TrainConfig, corpus: Corpus) -> None:
    draw = PICTURES.get(stage.picture)
    if draw is None:
        return
    shapes = anatomy(stage.key, model.model_dump_json(), corpus.tokenizer.size, train.batch_size, train.window)
    picture(*draw(model, shapes, corpus.text[:2000]), key=f"{stage.key}.picture")


def _experiments(stage: Stage) -> None:
    st.subheader("Try this")
    count = len(stage.experiments)
    abreast = count if count <= 3 else 2  # four in a row would be too narrow to read
    columns = [column for _ in range(0, count, abreast) for column in st.columns(abreast)]
    for number, (experiment, column) in enumerate(zip(stage.experiments, columns, strict=False)):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{experiment.title}**")
            st.caption(experiment.look_for)
            st.button(
                "Set the sliders",
                key=f"{stage.key}.try.{number}",
                on_click=_set_up,
                args=(stage.key, number),
                help="Moves the sliders above; then press Train.",
            )


def _set_up(stage_key: str, number: int) -> None:
    stage = stages.get(stage_key)
    experiment = stage.experiments[number]
    set_form(stage, experiment.preset, dict(experiment.changes))
    state.say_next(f"{experiment.title}: the sliders are set, press Train", ":material/tune:")


def _train_box(stage: Stage) -> tuple[tuple[Settings, TrainConfig] | None, Corpus | None]:
    with st.container(border=True):
        name = text_picker("Text", "What it learns from. Add one of your own on the page The text.")
        corpus = None
        try:
            corpus = cached.corpus(name)
            preset, model, train = config_form(stage)
            launch.check(stage, model, train, corpus)
        except BardlabError as error:
            st.error(words.plain(str(error)), icon=":material/error:")
            st.button("Train", type="primary", disabled=True, key=f"{stage.key}.train", help="Mend the setting first.")
            return None, corpus
        wanted = device_choice(stage)
        device = speed.best_device() if wanted == "auto" else wanted
        needed = _estimate(stage, model, train, device, corpus)
        for remark in launch.remarks(corpus, train, getattr(model, "context", None)):
            st.caption(words.plain(remark))
        short = speed.too_little(needed, device)
        ready = not short or _tick(stage, short)
        chosen = (stage.key, preset, model.model_dump(), train.model_dump(), corpus.name)
        with st.container(horizontal=True):
            st.button(
                "Train",
                type="primary",
                icon=":material/play_arrow:",
                key=f"{stage.key}.train",
                on_click=_start,
                args=(*chosen, wanted, needed),
                disabled=not ready,
                help="Starts a job of its own: it goes on when you close this tab.",
            )
            twin_button(stage, *chosen[1:])
        st.caption("The same from a terminal:")
        command = launch.command(stage, preset, model, train, wanted, corpus.name) + (" --force" if short else "")
        st.code(command, language="bash", wrap_lines=True)
        return (model, train), corpus


def _tick(stage: Stage, short: str) -> bool:
    """Warn that memory will not suffice, and ask."""
    st.warning(words.plain(f"{short[:1].upper()}{short[1:]}."), icon=":material/memory:")
    return st.checkbox(
        "Start it all the same",
        key=f"{stage.key}.short",
        help="It may be ended by the system, and slow down everything else on the machine before that.",
    )


def _estimate(stage: Stage, model: Settings, train: TrainConfig, device: str, corpus: Corpus) -> float:
    """Draw what a run takes. Returns the bytes that its worker needs in all."""
    built = cached.cost(stage.key, model, train, corpus.tokenizer.size, device, len(corpus.text))
    seconds = speed.estimate_seconds(stage, built, train, device, len(corpus.val_ids))
    with st.container(horizontal=True, gap="medium"):
        parameters, memory = f"{built.parameters:,}", words.size(built.memory_bytes)
        if built.grows_with_text:
            parameters = "as the text has it"
        st.metric("Parameters", parameters, help="Trained numbers, counted on the model itself.")
        st.metric("Memory", memory, help="The most held at once: weights, gradients, optimiser, activations.")
        shown = "measuring" if seconds is None else f"about {words.duration(seconds)}"
        st.metric(
            f"Time on this {words.device(device)}",
            shown,
            help="From steps timed on this machine; it gets better with every run.",
        )
    if seconds is None and not st.session_state.get("probed"):
        _measure(stage.key)
    return speed.in_all(built, device)


@st.fragment(run_every=3.0)
def _measure(stage_key: str) -> None:
    """Wait for the spare worker's first measurement of this machine, then draw the page again."""
    if speed.known(stages.get(stage_key), speed.best_device()):
        st.session_state["probed"] = True
        st.rerun()


def _start(
    stage_key: str,
    preset: str,
    model: dict[str, object],
    train: dict[str, object],
    text: str,
    device: str,
    needed: float,
) -> None:
    try:
        config = launch.plan(stage_key, preset=preset, model=model, train=train, corpus_name=text, device=device)
        run = jobs.start(runs.create(config.model_copy(update={"memory_needed": needed})))
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
    while time.monotonic() < until and not len(cached.reader(run).curve(TRAIN_LOSS)[0]):
        time.sleep(0.02)
