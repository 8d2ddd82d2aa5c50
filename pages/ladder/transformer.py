"""The Transformer's page."""

import pandas as pd
import streamlit as st

from core import speed
from core.runs import Run
from core.stages import TRANSFORMER
from pages.ui.rung import rung


def views(run: Run) -> None:
    """Where this run's parameters are."""
    config = run.need()
    built = speed.cost(TRANSFORMER, config.model_config_, config.train, len(config.characters))
    st.subheader("Where the parameters are")
    st.caption(f"Counted on this run's model, part by part: {built.parameters:,} in all.")
    table = pd.DataFrame(built.parts, columns=["part", "parameters"])
    table["share"] = table["parameters"] / built.parameters
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "part": st.column_config.TextColumn(
                "Part", help="Attribute of the model, as in core/models/transformer.py."
            ),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized", help="Trained numbers."),
            "share": st.column_config.ProgressColumn(
                "Share", format="percent", min_value=0, max_value=1, help="Of all."
            ),
        },
    )


rung("transformer", views)
