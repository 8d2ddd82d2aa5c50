"""What a part is worth, beside its picture."""

import math

import streamlit as st

from core.runs.metrics import VAL_LOSS
from core.runs.state import Run
from pages.ui import loaders, wording


def val_loss(run: Run, step: int | None = None) -> float | None:
    """The validation loss of a run's newest weights, or of those of a snapshot."""
    if step is None:
        return math.inf if run.status.impossible else run.status.val_loss
    steps, values = loaders.reader(run).curve(VAL_LOSS)
    return next((float(v) for s, v in zip(steps, values, strict=True) if s == step), None)


def price_tag(run: Run, step: int | None = None) -> None:
    """What these weights are worth: the number to hold against every picture of them."""
    loss = val_loss(run, step)
    known = loss is not None and math.isfinite(loss)
    with st.container(horizontal=True, gap="medium"):
        st.metric(
            "Validation loss",
            "∞" if loss == math.inf else wording.loss(loss),
            help="Nats a character over the whole validation split: what this model is worth.",
        )
        st.metric(
            "Bits",
            f"{loss / math.log(2):.3f}" if known and loss is not None else "–",
            help="The same in bits a character.",
        )
        st.metric(
            "Choices",
            f"{math.exp(loss):.2f}" if known and loss is not None else "–",
            help="e^loss: as unsure as an even choice among this many characters.",
        )
        st.metric("Parameters", f"{run.status.parameters or 0:,}", help="Trained numbers.")
