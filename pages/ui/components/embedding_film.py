"""A map of the characters that moves while the model trains: play it, scrub it, or let it follow the newest weights."""

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui.components.toolkit import floats

_HTML = """<div class="film">
  <div class="bar"><button class="play" aria-pressed="false">Play</button>
  <input class="scrub" type="range" min="0" step="0.01" aria-label="Training step"><output></output>
  <label><input class="trails" type="checkbox" checked> trails</label></div>
  <div class="stage" role="img" tabindex="0"><canvas></canvas></div>
  <div class="legend"></div>
</div>"""

_film = st.components.v2.component(
    "bardlab_embedding_film",
    html=_HTML,
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def embedding_film(
    places: NDArray[np.float64],
    labels: list[str],
    kinds: list[str],
    captions: list[str],
    *,
    colours: list[str],
    line: bool,
    key: str,
    height: int = 460,
) -> None:
    """Show F maps of V characters, places (F, V, 2); `captions` says for each what moment it is.

    What the learner set (position, trails, playing) stays in the browser. While the last map is shown, newer ones are
    followed. With `line` the second coordinate has no meaning and no axis.
    """
    header = {
        "labels": labels,
        "kinds": kinds,
        "captions": captions,
        "colours": colours,
        "line": line,
        "height": height,
    }
    header |= {"key": key, "shape": list(places.shape[:2])}
    _film(data={"header": header, "places": floats(places)["base64"]}, key=key)
