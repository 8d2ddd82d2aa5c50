"""Messages in plain text: whatever is in them is shown sign for sign, never read as Markdown."""

import streamlit as st

from pages.ui.wording import plain


def error(text: object, icon: str | None = ":material/error:") -> None:
    """Say what went wrong."""
    st.error(plain(str(text)), icon=icon)


def warning(text: object, icon: str | None = ":material/warning:") -> None:
    """Say what is not as it was asked for."""
    st.warning(plain(str(text)), icon=icon)


def info(text: object, icon: str | None = ":material/info:") -> None:
    """Say what is so."""
    st.info(plain(str(text)), icon=icon)


def caption(text: object) -> None:
    """Say it in small letters."""
    st.caption(plain(str(text)))


def paper(text: str, key: str, height: int) -> None:
    """Show what a model wrote, without the blank around it; what is beyond the height, in px, is scrolled to.

    `st.code` keeps the blank, and has the browser load what colours code, a second of its time.
    """
    with st.container(key=f"paper-{key}", height=height, border=False):
        st.text(text)
