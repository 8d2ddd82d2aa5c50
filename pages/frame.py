"""The frame of every page: configuration, navigation, and the page asked for."""

from pathlib import Path

import streamlit as st

from pages.login import login
from pages.turns import DRAWING
from pages.ui import state, teaching
from pages.ui.choosers.chosen import dead_link
from pages.ui.components.charts.curves import not_in_address
from pages.ui.components.controls.copy_link import copy_link
from pages.ui.course import progress, tour
from pages.ui.course.beside_title import next_link
from pages.ui.looking import sidebar
from pages.ui.navigation import page_table
from pages.ui.wording import plain

UI = Path(__file__).parent / "ui"

st.set_page_config(page_title="Bardlab", page_icon=UI / "drawings" / "icon.png", layout="wide")
st.html(UI / "direction.css")
st.html(UI / "journey.css")
st.html(f"<script>{(UI / 'journey.js').read_text()}</script>", unsafe_allow_javascript=True)
st.logo(UI / "drawings" / "logo.svg", size="large", icon_image=UI / "drawings" / "icon.png")
entry = login()
if entry.providers and not (st.user.get("is_logged_in") is True and entry.admits(st.user.to_dict())):
    st.navigation([st.Page(lambda: None, title="Log in")], position="hidden")
    st.title("Bardlab")
    if st.user.get("is_logged_in"):
        st.error("This account is not among those that may come in. Log out, then log in with another.")
        st.button("Log out", on_click=st.logout, key="logout", help="Forget this visitor.")
        st.stop()
    for name in entry.providers:
        title = f"Log in with {plain(name.capitalize())}" if name and len(entry.providers) > 1 else "Log in"
        key = f"login.{name}" if name else "login"
        st.button(title, type="primary", on_click=st.login, args=(name,), key=key, help="With your school's account.")
    st.stop()
page = st.navigation(page_table(), expanded=True)
problems = [*teaching.adopt(), *tour.adopt(), *not_in_address(st.query_params.to_dict())]
sidebar(page.url_path)
if entry.providers:
    st.sidebar.button(
        "Log out", icon=":material/logout:", on_click=st.logout, key="logout", help="Forget this visitor."
    )
if not teaching.only_picture():
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="top"):
        if teaching.shown("title"):
            st.title(page.title)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content", key="top-right"):
            if page.url_path == "":
                next_link()
            if teaching.shown("link"):
                copy_link(key="copy-link")
    progress.keep(page.url_path)
    tour.strip(page.url_path)
teaching.frame(problems)
dead_link()
try:
    with DRAWING.turn():
        page.run()
        tour.settle(page.url_path)
        if teaching.only_picture():
            teaching.way_back()
except state.PROBLEMS as error:
    st.error(plain(state.told(error)), icon=":material/error:")
