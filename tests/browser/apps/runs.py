"""An app to look at: runs as they come out of training, with the landmarks of Tiny Shakespeare."""

import numpy as np
import streamlit as st

from pages.ui.components.charts.curves import Curve, Landmark, Mark, curves

LANDMARKS = [
    Landmark("uniform: ln 65 = 4.174", 4.174, "Every one of the 65 characters equally likely."),
    Landmark("unigram: 3.320", 3.32, "Each character as likely as it is common in the training text."),
    Landmark("bigram: 2.454", 2.454, "The counted table of pairs, with add-one smoothing."),
]


def run(name: str, seed: int, steps: int, low: float, pace: float, over: float) -> list[Curve]:
    """One run: noisy training loss at every step, validation every 250, overfitting by `over`."""
    random = np.random.default_rng(seed)
    step = np.arange(1, steps + 1, dtype=float)
    clean = low + (4.2 - low) * (0.6 * np.exp(-step / (0.02 * pace)) + 0.4 * np.exp(-step / pace))
    noise = random.normal(0, 0.045, steps) * np.sqrt(clean / low)
    at = np.arange(0, steps + 1, 250)[1:] - 1
    val = clean[at] + 0.03 + over * (step[at] / 5000) ** 2 + random.normal(0, 0.006, len(at))
    time = step * 0.021 * (1 + seed / 5)
    return [
        Curve(f"{name}:train", name, "train", name, step, time, step * 64 * 256, clean + noise),
        Curve(f"{name}:val", name, "val", name, step[at], time[at], step[at] * 64 * 256, val),
    ]


def shown() -> list[Curve]:
    """As many runs as the address asks for, with `?late=1` only their ends."""
    made = run("transformer-quiet-fox", 1, 5000, 1.28, 900, 0.16) + run("wavenet-brave-otter", 2, 4200, 1.72, 600, 0.03)
    made += run("mlp-small-heron", 3, 3000, 1.94, 500, 0.02)
    for more in range(int(st.query_params.get("more", "0"))):
        made += run(f"transformer-extra-{more}", 4 + more, 4000, 1.4 + 0.05 * more, 700, 0.05)
    if st.query_params.get("late"):
        made = [
            Curve(
                c.id,
                c.label,
                c.kind,
                c.group,
                *(a[len(a) * 7 // 10 :] for a in (c.step, c.seconds, c.characters, c.value)),
            )
            for c in made[:2]
        ]
    return made


@st.fragment
def chart() -> None:
    marks = [Mark("transformer-quiet-fox", 1500, "learning rate halved"), Mark("mlp-small-heron", 2100, "loss spike")]
    curves([] if st.query_params.get("empty") else shown(), LANDMARKS, marks, live=False, key="chart")


st.set_page_config(layout="wide")
st.title("Transformer")
chart()
st.text("What comes below the chart.")
