"""The frame of every page: configuration, navigation, and the page asked for."""

from pathlib import Path

import streamlit as st

from core.errors import BardlabError
from pages.ui.page_table import page_table
from pages.ui.words import plain

UI = Path(__file__).parent / "ui"

st.set_page_config(page_title="Bardlab", page_icon=UI / "icon.png", layout="wide")
st.html(UI / "direction.css")
st.logo(UI / "logo.svg", size="large", icon_image=UI / "icon.png")
if st.user.get("is_logged_in") is False:  # only where the server's secrets.toml names who may log in
    st.navigation([st.Page(lambda: None, title="Log in")], position="hidden")
    st.title("Bardlab")
    st.button("Log in", type="primary", on_click=st.login, key="login", help="With the account of your school, say.")
    st.stop()
page = st.navigation(page_table())
if st.user.get("is_logged_in"):
    st.sidebar.button(
        "Log out", icon=":material/logout:", on_click=st.logout, key="logout", help="Forget this visitor."
    )
st.title(page.title)
try:
    page.run()
except BardlabError as error:
    st.error(plain(str(error)), icon=":material/error:")
