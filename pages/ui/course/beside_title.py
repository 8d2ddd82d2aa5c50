"""What to do next, beside the title of the first page."""

import streamlit as st

from core.studies.course.path import next_up
from core.studies.course.tour import STATIONS
from pages.ui.course import progress, tour
from pages.ui.navigation import page_at
from pages.ui.wording import plain


def next_link() -> None:
    """Draw the link to it: at first, to the tour."""
    up = next_up(progress.now().marks)
    query = tour.query_of(STATIONS[up.station]) if up.station else dict(up.query)
    st.page_link(
        page_at(up.page),
        label=f"**{plain(up.label)}**",
        icon=":material/route:",
        query_params=query,
        help="What to do next, by what you have done. The page Your path has all of it.",
    )
