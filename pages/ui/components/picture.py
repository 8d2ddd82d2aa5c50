"""An SVG drawn by Python, in the colours of the theme. What is hovered says what it is and lights what it is made of.

Elements take their colours from classes (`box`, `new`, `road`, `wire`, `dot`, `dim`, `small`, `mono`; see picture.css).
An element with `data-tip` shows that text; one with `data-lights="name name"` lights the elements with those `data-id`.
"""

from pathlib import Path

import streamlit as st

_HTML = """<div class="picture" role="img"></div><div class="tip" hidden></div>"""

_picture = st.components.v2.component(
    "bardlab_picture",
    html=_HTML,
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def picture(svg: str, label: str, *, key: str) -> None:
    """Show an SVG as wide as the page allows, never wider than it was drawn; `label` says in words what it shows."""
    _picture(data={"svg": svg, "label": label}, key=key)
