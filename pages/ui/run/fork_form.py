"""One run again with one thing changed: everything else, the seed included, is locked."""

import streamlit as st

from core.errors import BardlabError
from core.jobs import timing
from core.runs import reading
from core.runs import state as runs_state
from core.runs.state import Run
from core.settings import Settings
from core.studies import sweeps
from core.training.config import TrainConfig
from pages.ui import loaders, state, wording
from pages.ui.run.config_form import setting_widget
from pages.ui.run.memory_tick import memory_tick

MOST = 20  # runs in one comparison


def settings_of(run: Run) -> dict[str, Settings]:
    """The run's settings by group."""
    config = run.need()
    return {"model": config.model_config_, "train": config.train}


@st.fragment
def fork_form(slug: str) -> None:
    """Choose the one thing, its new value and how many seeds; then queue the runs."""
    try:
        run = reading.find(slug)
        config = run.need()
    except BardlabError as error:
        st.info(wording.plain(str(error)), icon=":material/info:")
        return
    groups: dict[str, type[Settings]] = {"model": config.rung.config, "train": TrainConfig}
    names = [f"{group}.{field.name}" for group, kind in groups.items() for field in kind.fields()]
    names.remove("train.seed")
    left, middle, right = st.columns([2, 3, 1], gap="medium", vertical_alignment="bottom")
    name = left.selectbox(
        "Change", names, key=f"fork.{slug}.setting", help="All other settings and the seed stay as they were."
    )
    group, _, rest = name.partition(".")
    field = next(field for field in groups[group].fields() if field.name == rest)
    with middle:
        value = setting_widget(f"fork.{slug}", group, field, settings_of(run)[group])
    seeds = right.number_input(
        "Seeds",
        1,
        sweeps.MOST_SEEDS,
        1,
        key=f"fork.{slug}.seeds",
        help="With several, this run's seed and those after it, each also unchanged: only then can a difference be "
        "told from chance. Three to five are a good start.",
    )
    try:
        plans = sweeps.fork(run, {name: value}, int(seeds))
    except BardlabError as error:
        st.caption(wording.plain(f"{str(error)[:1].upper()}{str(error)[1:]}."))
        st.button("Queue", disabled=True, key=f"fork.{slug}.go", help="Choose another value first.")
        return
    plans = sweeps.weighed(plans, len(loaders.corpus(plans[0].corpus).text))
    ready = memory_tick(f"fork.{slug}.short", sweeps.shortage(plans))
    took = [_estimate(plan) for plan in plans]
    time = f", about {wording.duration(sum(t for t in took if t))} in all" if all(took) else ""
    if st.button(
        f"Queue {wording.counted(len(plans))}",
        type="primary",
        icon=":material/call_split:",
        key=f"fork.{slug}.go",
        disabled=not ready,
        help=f"Each waits its turn for the device{time}.",
    ):
        try:
            made = sweeps.start(plans)
        except state.PROBLEMS as error:
            st.error(wording.plain(state.told(error)), icon=":material/error:")
            return
        state.say_next(f"Queued {wording.counted(len(made))} made from {run.name}")
        shown = [slug, *(each.slug for each in made)]
        st.switch_page("use/compare.py", query_params={state.RUNS: ",".join(shown[:MOST])})
    st.caption(f"{len(plans)} new run{'s' if len(plans) > 1 else ''}{time}. The comparison opens when they are queued.")


def _estimate(plan: runs_state.RunConfig) -> float | None:
    device, vocab = timing.place(plan), len(plan.characters)
    built = loaders.cost(plan.rung_key, plan.model_config_, plan.train, vocab, device)
    length = len(loaders.corpus(plan.corpus).val_ids)
    return timing.estimate_seconds(plan.rung, plan.model_config_, built, plan.train, device, length, vocab)
