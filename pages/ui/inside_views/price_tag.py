"""What a part is worth, beside its picture."""

import math

import streamlit as st

from core.runs.metrics import VAL_LOSS
from core.runs.state import Run
from pages.ui import loaders, teaching, wording


def val_loss(run: Run, step: int | None = None) -> float | None:
    """The validation loss of a run's newest weights, or of those of a snapshot."""
    if step is None:
        return math.inf if run.status.impossible else run.status.val_loss
    steps, values = loaders.reader(run).curve(VAL_LOSS)
    return next((float(v) for s, v in zip(steps, values, strict=True) if s == step), None)


@teaching.part("prices")
def price_tag(run: Run, step: int | None = None) -> None:
    """What these weights are worth, in one line: the number to hold against every picture of them."""
    loss = val_loss(run, step)
    told = f"validation loss **{'∞' if loss == math.inf else wording.loss(loss)}** nats"
    if loss is not None and math.isfinite(loss):
        told += f" = {loss / math.log(2):.3f} bits = {math.exp(loss):.2f} choices"
    st.markdown(
        f"{told} · {run.status.parameters or 0:,} parameters",
        width="content",
        help="Loss: the mean surprise over the whole validation split, text that the model was not trained on; a nat "
        "is 1.44 bits. Choices: e^loss, as unsure as an even choice among so many characters.",
    )
