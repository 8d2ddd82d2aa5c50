"""Views that several rungs share: each takes a run and draws one thing."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core import speed
from core.corpus import character_class
from core.inspect.embeddings import embedding_map, neighbours, token_embedding
from core.runs import Run
from pages.ui import cached
from pages.ui.charts import colours, visible


def parameters(run: Run) -> None:
    """Where a run's parameters are, part by part."""
    config = run.need()
    built = speed.cost(config.rung, config.model_config_, config.train, len(config.characters))
    st.subheader("Where the parameters are")
    st.caption(f"Counted on this run's model, part by part: {built.parameters:,} in all.")
    table = pd.DataFrame(built.parts, columns=["part", "parameters"])
    table["share"] = table["parameters"] / built.parameters
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "part": st.column_config.TextColumn(
                "Part", help=f"Attribute of the model, as in core/models/{config.stage}.py."
            ),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized", help="Trained numbers."),
            "share": st.column_config.ProgressColumn(
                "Share", format="percent", min_value=0, max_value=1, help="Of all."
            ),
        },
    )


def embeddings(run: Run) -> None:
    """The learned vectors of the characters, as a map."""
    if not run.usable:
        return
    model, tokenizer = cached.model(run)
    vectors = token_embedding(model)
    if vectors is None:
        return
    found = embedding_map(vectors)
    first, second = found.explained
    st.subheader("Which characters are alike")
    st.caption(
        f"Each character is a vector of {vectors.shape[1]} numbers, learned with the rest. Here they lie in the plane "
        f"in which they differ most; it holds {first + second:.0%} of their variance "
        f"({first:.0%} and {second:.0%}). Characters that are used alike come to lie close together."
    )
    left, right = st.columns([3, 1], gap="large")
    left.plotly_chart(_map(tokenizer.chars, found.places), key="embedding-map")
    character = right.selectbox(
        "Nearest to",
        list(tokenizer.chars),
        index=max(0, tokenizer.chars.find("a")),
        format_func=visible,
        key="embedding.near",
        help="By the angle between the vectors (cosine), in all their dimensions.",
    )
    at = tokenizer.chars.index(character)
    right.markdown(" ".join(f"`{visible(tokenizer.chars[i])}`" for i in neighbours(vectors)[at][:8]))


def _map(characters: str, places: object) -> go.Figure:
    frame = pd.DataFrame(places, columns=["x", "y"])
    frame["character"] = [visible(c) for c in characters]
    frame["kind"] = [character_class(c) for c in characters]
    figure = go.Figure()
    for kind, group in frame.groupby("kind"):
        figure.add_trace(
            go.Scatter(
                x=group["x"],
                y=group["y"],
                text=group["character"],
                name=str(kind),
                mode="markers+text",
                textposition="top center",
                hovertemplate=f"%{{text}} ({kind})<extra></extra>",
            )
        )
    figure.update_layout(
        height=460,
        colorway=colours(),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "first principal component", "zeroline": False},
        yaxis={"title": "second principal component", "zeroline": False},
        legend={"orientation": "h", "y": 1.08},
    )
    return figure
