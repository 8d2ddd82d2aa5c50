"""The frame of every page: configuration, navigation, and the page asked for."""

from pathlib import Path

import streamlit as st

from core.errors import BardlabError
from pages.ui.page_table import page_table
from pages.ui.words import plain

UI = Path(__file__).parent / "ui"

st.set_page_config(page_title="Bardlab", page_icon=UI / "icon.png", layout="wide")
st.logo(UI / "logo.svg", size="large", icon_image=UI / "icon.png")
page = st.navigation(page_table())
st.title(page.title)
try:
    page.run()
except BardlabError as error:
    st.error(plain(str(error)), icon=":material/error:")
