"""Twins: two runs that differ in one setting. The button that starts them, and what they show together."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.runs import reading
from core.runs.metrics import CHARACTERS, SECONDS, TRAIN_EVAL_LOSS, VAL_LOSS
from core.runs.state import Run
from core.studies.differences import twins_of
from pages.ui import loaders
from pages.ui.components.charts.curves import Curve, Landmark, curves
from pages.ui.plots.colours import colours, place_of
from pages.ui.plots.figure import figure as plot
from pages.ui.rung_views.absent import unmeasured
from pages.ui.rung_views.followed import followed


def gap(run: Run) -> None:
    """Validation loss minus loss on the training split, over training, beside the twin with another dropout."""
    followed(_gap)(run.slug)


def _gap(run: Run) -> None:
    beside = twins_of(run, "dropout", reading.list_runs(shipped=True))
    drawn, seen = [], []
    for each in (run, *beside[:3]):
        read = loaders.reader(each)
        step, trained = read.curve(TRAIN_EVAL_LOSS)
        if not len(step):
            continue
        value = read.at(VAL_LOSS, step) - trained
        label = f"dropout {each.need().model['dropout']:g}: {each.label}"
        seconds, characters = read.at(SECONDS, step), read.at(CHARACTERS, step)
        name = f"{each.slug}:gap:{read.generation}"
        drawn.append(Curve(name, label, "val", each.slug, step, seconds, characters, value, hue=place_of(each)))
        seen.append(f"{label} ends at {value[-1]:+.3f}")
    if not drawn:
        unmeasured(run, "losses on the training split")
        return
    st.header("Learned, or learned by heart?")
    st.markdown(f"**{'; '.join(seen)} nats.**")
    corpus, passes = loaders.text_of(run), ""
    if corpus is not None:
        times = run.status.characters / len(corpus.train_ids)
        passes = (
            f" This run has seen the training text {times:.1f} times; before the second pass there is little to see."
        )
    st.caption(
        "Validation loss minus the loss on a fixed part of the training split, both measured without dropout. It grows "
        f"when the model learns its training text by heart; dropout holds it down.{passes}"
        + ("" if beside else " Train its twin, alike but for the dropout, to see the difference.")
    )
    curves(
        drawn,
        [Landmark("0", 0.0, "As good on unseen text as on text it was trained on.")],
        live=any(each.state.active for each in (run, *beside)),
        interval=2.0,
        key="gap",
        y_label="validation - training (nats)",
        height=260,
    )


def by_depth(run: Run) -> None:
    """The best loss of all residual runs on one text by depth, with and without skips."""
    text = run.need().corpus_sha256  # losses on different texts are not to be compared
    rows = [
        {
            "depth": other.need().model["depth"],
            "skip": other.need().model["skip"],
            "loss": other.status.best_val_loss,
            "name": other.label,
            "steps": other.status.step,
        }
        for other in reading.list_runs(shipped=True)
        if other.rung_key == run.rung_key
        and not other.damage
        and not other.broken
        and other.status.best_val_loss is not None
        and other.need().corpus_sha256 == text
    ]
    if not rows:
        unmeasured(run, "validation losses")
        return
    st.header("Loss by depth")
    st.caption(
        "The best validation loss of every run of this rung on this text. Without skips more layers soon make it "
        "worse; with them they do not. Runs with other steps or widths are in it too: hover a point to see what it is."
    )
    plot(_depth_chart(pd.DataFrame(rows)), "by-depth")


def _depth_chart(frame: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    groups = [("with skips (1)", frame["skip"] == 1), ("without (0)", frame["skip"] == 0)]
    groups.append(("in between", (frame["skip"] > 0) & (frame["skip"] < 1)))
    for (label, chosen), symbol in zip(groups, ("circle", "x", "diamond"), strict=True):
        group = frame[chosen].sort_values("depth")
        if group.empty:
            continue
        best = group.groupby("depth")["loss"].min()
        figure.add_trace(
            go.Scatter(
                x=group["depth"],
                y=group["loss"],
                mode="markers",
                name=label,
                legendgroup=label,
                marker={"size": 9, "symbol": symbol},
                customdata=np.stack([group["name"], group["skip"], group["steps"]], axis=1),
                hovertemplate="%{customdata[0]}<br>depth %{x}, skip %{customdata[1]}, step %{customdata[2]}"
                "<br>%{y:.3f} nats<extra></extra>",
            )
        )
        if len(best) > 1 and label != "in between":
            line = go.Scatter(x=best.index, y=best, mode="lines", legendgroup=label, showlegend=False, hoverinfo="skip")
            figure.add_trace(line.update(line={"width": 1, "color": None}))
    named = colours()
    order = [label for label, _ in groups]
    for trace in figure.data:
        colour = named[order.index(trace.legendgroup)] if named else None
        trace.update(marker={"color": colour}) if trace.mode == "markers" else trace.update(line={"color": colour})
    ticks = [1, 2, 4, 8, 16, 32, 64]
    figure.update_layout(
        height=320,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "layers", "type": "log", "tickvals": ticks, "ticktext": [str(t) for t in ticks]},
        yaxis={"title": "best validation loss (nats)"},
        legend={"orientation": "h", "y": 1.12},
    )
    return figure
