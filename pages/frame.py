"""The frame of every page: configuration, navigation, and the page asked for."""

import streamlit as st

from core.errors import BardlabError
from pages.ui.page_table import page_table

st.set_page_config(page_title="Bardlab", page_icon=":material/theater_comedy:", layout="wide")
page = st.navigation(page_table())
st.title(page.title)
try:
    page.run()
except BardlabError as error:
    st.error(str(error), icon=":material/error:")
