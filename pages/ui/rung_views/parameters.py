"""Where a model's parameters are."""

import pandas as pd
import streamlit as st

from core.ladder import cost
from core.runs.state import Run


def parameters(run: Run) -> None:
    """Where a run's parameters are, part by part."""
    config = run.need()
    built = cost.cost(config.rung, config.model_config_, config.train, len(config.characters))
    st.header("Where the parameters are")
    st.caption(f"Counted on this run's model, part by part: {built.parameters:,} in all.")
    table = pd.DataFrame(built.parts, columns=["part", "parameters"])
    table["share"] = table["parameters"] / built.parameters
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "part": st.column_config.TextColumn(
                "Part", help=f"Attribute of the model, as in core/models/{config.rung_key}.py."
            ),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized", help="Trained numbers."),
            "share": st.column_config.ProgressColumn(
                "Share", width=110, format="percent", min_value=0, max_value=1, help="Of all."
            ),
        },
    )
