"""Find the fault: ten trainings that go wrong, each in one way; the learner looks at the plots and says which."""

import streamlit as st

from core.jobs import processes
from core.runs import reading
from core.studies.course import faults, shelf
from pages.ui import state, tell
from pages.ui.address import whole_number
from pages.ui.choosers import mine
from pages.ui.course import progress
from pages.ui.course.broken import cards, desk, plots

NUMBER = "broken"
"""Name of the URL's parameter for the training's number on the shelf."""


def choose(number: int) -> None:
    """Take a training off the shelf."""
    st.query_params[NUMBER] = str(number)


processes.warm()
state.notices()
now = shelf.shelf(progress.now().marks)
order = now.order
asked = st.query_params.get(NUMBER)
number = whole_number(asked, 1, len(order)) or 1
if asked is not None and str(number) != asked:
    tell.warning(
        f"There is no broken training “{asked[:60]}”: they are numbered 1 to {len(order)}. This is another.",
        icon=":material/search_off:",
    )
st.markdown(
    "Ten real trainings, and one thing is wrong with each. Start one, look at its plots as you would at your own, and "
    f"say what it is. **{len(now.answers)} of {len(order)} found.**"
)
among = mine.own(reading.list_runs())
cards(now, number, among, choose)
fault = faults.get(order[number - 1])
run = faults.broken_run(fault, among)
left, right = st.columns([32, 68], gap="medium")
with left, st.container(border=True, key="broken-desk"):
    desk(fault, number, run, now)
with right:
    if run is None:
        st.info("Press Start: the curves begin within a second.", icon=":material/show_chart:")
    else:
        twin = faults.whole_run(fault, among) if now.over(fault.key) else None
        plots([each.slug for each in (run, twin) if each is not None])
