"""A strip of text samples, one card an evaluation, growing to the right while a model trains."""

from collections.abc import Sequence

import streamlit as st

from core.runs.state import Sample
from pages.ui.components.shared.toolkit import declare, message

_strip = declare("sample_strip", "Samples")


def sample_strip(samples: Sequence[Sample], *, key: str) -> None:
    """Show samples oldest first, the newest in view. Those that come later join them and move nothing."""
    if not samples:
        return
    cards = [
        {
            "step": f"step {s.step:,}",
            "loss": "untrained" if s.step == 0 else ("" if s.val_loss is None else f"val {s.val_loss:.3f}"),
            "prompt": s.prompt,
            "text": s.text,
        }
        for s in samples
    ]
    st.markdown("**What it writes** at each evaluation, from the same prompt and seed")
    _strip(data=message({"cards": cards}), key=key)
