"""The left half of a rung's page: what to train, what it takes, and Train."""

from functools import partial

import streamlit as st

from core.errors import BardlabError
from core.jobs import timing
from core.ladder import registry
from core.ladder.cost import Cost
from core.ladder.rung import Rung
from core.runs import plan, reading
from core.runs.state import Run
from core.settings import Settings
from core.texts.corpus import Corpus
from core.training.config import TrainConfig
from pages.ui import loaders, state, teaching, tell, wording
from pages.ui.choosers.text import text_picker
from pages.ui.cluster import cluster_line
from pages.ui.course.guess_strip import guess_strip
from pages.ui.run.config_form import config_form, device_choice, device_chosen
from pages.ui.run.experiments import experiments
from pages.ui.run.memory_tick import memory_tick
from pages.ui.run.set_up import to_address
from pages.ui.run.starting import SetUp, start, under_way
from pages.ui.run.twin_button import twin_button


def form_shown() -> bool:
    """Whether a teacher's link has left anything of the form."""
    return any(map(teaching.shown, ("text", "settings", "train", "experiments", "terminal")))


def train_form(rung: Rung) -> tuple[SetUp | None, Corpus | None]:
    """Draw the form. Returns what it asks for, None if that contradicts itself, and the text."""
    corpus: Corpus | None = None
    try:
        corpus = loaders.corpus(text_picker("Text", "What it learns from. Add one of your own on the page The text."))
        device = device_chosen(rung)
        preset, model, train = config_form(rung, partial(_times, rung, device, corpus))
        to_address(rung, preset, model, train)
        plan.check(rung, model, train, corpus)
    except BardlabError as error:
        tell.error(error)
        _train_button(rung, "Train", disabled=True, help="Mend the setting first.")
        experiments(None, rung, 0, ready=False)
        return None, corpus
    wanted = SetUp(rung, preset, model, train, corpus.name, device_choice(rung))
    built = _cost(rung, model, train, device, corpus)
    seconds = _seconds(rung, model, built, train, device, corpus)
    needed = timing.in_all(built, device)
    short = timing.too_little(needed, device)
    ready = memory_tick(f"{rung.key}.short", short)
    if same := _same(wanted):
        followed = st.query_params.get(state.RUN) == same.slug  # then the page is drawn again at its end
        st.fragment(_busy, run_every=None if followed else 5.0)(rung.key, same.slug)
    else:
        _train_button(
            rung,
            f"Train · {_parameters(built)}{_time(seconds)}",
            disabled=not ready,
            help="Starts a job of its own: it goes on when you close this tab.",
            wanted=wanted,
            needed=needed,
        )
    if teaching.shown("train"):
        _takes(built, device, seconds)
        cluster_line()
    with st.container(horizontal=True, gap="xsmall", key="beside-train"):
        guess_strip(rung)
        if teaching.shown("terminal"):
            with st.popover("Terminal", icon=":material/terminal:", key="terminal", help="The same from a terminal."):
                command = plan.command(rung, preset, model, train, wanted.device, corpus.name)
                st.code(command + (" --force" if short else ""), language="bash", wrap_lines=True)
        twin_button(rung, wanted, needed, ready=ready)
    for remark in plan.remarks(rung, model, train, corpus):
        tell.caption(remark)
    experiments(wanted, rung, needed, ready=ready and not same)
    if seconds is None and not st.session_state.get("probed"):
        _measure(rung.key)
    return wanted, corpus


def _takes(built: Cost, device: str, seconds: float | None) -> None:
    """Say what a run of the form needs."""
    measuring = "; its speed is being measured" if seconds is None else ""
    several, on_cpu = built.devices > 1, wording.device(device) == "CPU"
    bytes_there = built.memory_bytes * (built.devices if on_cpu else 1)
    where = ("each of " if several and not on_cpu else "the ") + wording.device(device, built.devices)
    st.caption(
        f"{wording.size(bytes_there)} on {where}{measuring}",
        help="Memory, the most held at once: weights, gradients, optimiser, activations. The time comes from steps "
        "timed on this machine, and gets better with every run.",
    )


def _cost(rung: Rung, model: Settings, train: TrainConfig, device: str, corpus: Corpus) -> Cost:
    return loaders.cost(rung.key, model, train, corpus.tokenizer.size, device, len(corpus.text))


def _seconds(rung: Rung, model: Settings, built: Cost, train: TrainConfig, device: str, corpus: Corpus) -> float | None:
    vocab = corpus.tokenizer.size
    return timing.estimate_seconds(rung, model, built, train, device, len(corpus.val_ids), vocab)


def _times(rung: Rung, device: str, corpus: Corpus) -> dict[str, str]:
    """About how long each preset takes here, as far as that is known."""
    found = {}
    for preset in rung.presets:
        model, train = rung.settings(preset, {}, {})
        built = _cost(rung, model, train, device, corpus)
        seconds = _seconds(rung, model, built, train, device, corpus)
        found[preset] = "" if seconds is None else wording.roughly(seconds)
    return found


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f" · {wording.roughly(seconds)}"


def _parameters(built: Cost) -> str:
    return "as many par. as the text has" if built.grows_with_text else f"{built.parameters:,} par."


def _same(wanted: SetUp) -> Run | None:
    try:
        return under_way(wanted.plan())
    except BardlabError:
        return None


def _train_button(
    rung: Rung, label: str, *, disabled: bool, help: str, wanted: SetUp | None = None, needed: float = 0
) -> None:
    if not teaching.shown("train"):
        return
    st.button(
        label,
        type="primary",
        icon=":material/play_arrow:",
        key=f"{rung.key}.train",
        on_click=start if wanted else None,
        args=(wanted, needed),
        disabled=disabled,
        width="stretch",
        help=help,
    )


def _busy(rung_key: str, slug: str) -> None:
    """Draw Train while a run of the same settings is under way."""
    try:
        active = reading.find(slug).state.active
    except BardlabError:
        active = False
    if not active:
        st.rerun()
    _train_button(
        registry.get(rung_key),
        "Training …",
        disabled=True,
        help="These settings are being trained. Change one, such as the seed, to train another run.",
    )


@st.fragment(run_every=3.0)
def _measure(rung_key: str) -> None:
    """Wait for the spare worker's first measurement of this machine, then draw the page again."""
    if timing.known(registry.get(rung_key), timing.best_device()):
        st.session_state["probed"] = True
        st.rerun()
