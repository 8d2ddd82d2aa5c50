"""A figure that Plotly draws, as every chart stands on a page: the same row of buttons above it, the same gestures."""

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.ui.components.controls.figure_bar import figure_bar

CONFIG = {
    "displaylogo": False,
    "displayModeBar": True,
    "doubleClick": "reset",
    "showTips": False,
    "toImageButtonOptions": {"format": "png", "scale": 2},
}
"""Drag zooms, a double click shows everything. Plotly's floating buttons are there for the row above, out of sight."""


def figure(drawn: go.Figure, key: str, name: str = "", drag: str = "zoom", **how: Any) -> Any:
    """Show a figure with its row of buttons; what is saved is called `name`, else by the key.

    `drag` is what dragging does on a flat one: zoom, or mark points by lasso or select.
    """
    name = name or key.replace(".", "-")
    spatial = any(trace.type.endswith("3d") for trace in drawn.data)
    drawn.update_layout(dragmode="orbit" if spatial else drag)
    with st.container(gap=None):
        figure_bar(key, name, key=f"{key}.bar")
        image = {**CONFIG["toImageButtonOptions"], "filename": name}  # type: ignore[dict-item]
        return st.plotly_chart(drawn, key=key, config={**CONFIG, "toImageButtonOptions": image}, **how)
