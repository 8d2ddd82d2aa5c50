"""A map of the characters that moves while the model trains: play it, scrub it, or let it follow the newest weights."""

import numpy as np
from numpy.typing import NDArray

from pages.ui.components.shared.toolkit import declare, floats, message

_film = declare("embedding_film", "Map of the characters", "film")


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
    header |= {"key": key, "frames": places.shape[0], "places": floats(places)}
    _film(data=message(header), key=key)
