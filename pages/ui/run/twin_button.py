"""Trains runs that differ in one setting, over one seed or several."""

import streamlit as st

from core.ladder.rung import Rung
from core.studies import sweeps
from core.studies.findings import INTERVAL
from pages.ui import state, teaching
from pages.ui.run.starting import SetUp
from pages.ui.wording import counted


def twin_button(rung: Rung, wanted: SetUp, needed: float, *, ready: bool) -> None:
    """Offer to train the rung's twins with the settings of the form; each needs as many bytes as that run."""
    if rung.twins is None or not teaching.shown("experiments"):
        return
    with st.popover(rung.twins.title, help=rung.twins.look_for):
        seeds = st.number_input(
            "Seeds",
            1,
            sweeps.MOST_SEEDS,
            1,
            key=f"{rung.key}.twins.seeds",
            persist_state="session",
            help="The seed of the form and those after it. One seed proves nothing: a difference between two runs may "
            f"be chance. With three to five, the page Compare tells how sure it is, in a {INTERVAL:.0%} interval.",
        )
        count = len(rung.twins.values) * int(seeds)
        if st.button(
            f"Train {count:d} runs",
            type="primary",
            key=f"{rung.key}.twins",
            disabled=not ready or teaching.locked(f"model.{rung.twins.setting}"),
            help="One after the other. With several seeds, the page Compare opens with them.",
        ):
            _start(wanted, rung.twins.setting, rung.twins.values, int(seeds), needed)


def _start(wanted: SetUp, setting: str, values: tuple[object, object], seeds: int, needed: float) -> None:
    try:
        plans = sweeps.twins(wanted.plan(), setting, values, seeds)
        made = sweeps.start([plan.model_copy(update={"memory_needed": needed}) for plan in plans])
    except state.PROBLEMS as error:
        state.say_error(error)
        st.rerun()
    if seeds > 1:
        state.say_next(f"Queued {counted(len(made))}")
        st.switch_page("use/compare.py", query_params={state.RUNS: ",".join(run.slug for run in made)})
    state.show_run(made[0].slug)
    st.session_state["compare"] = [run.slug for run in made[1:]]
    st.rerun()
