"""The logit lens as a grid: layers up, positions across; hovering reads a cell, a click keeps it."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from core.inspect.lens import Lens
from pages.ui.components.shared.toolkit import declare, floats, heard, message, whole
from pages.ui.plots.colours import sequential_stops

_component = declare("lens_grid", "Logit lens")
TOP = 5


def lens_grid(
    lens: Lens,
    characters: str,
    positions: Sequence[str],
    first: int,
    cell: tuple[int, int],
    *,
    chosen: Callable[[int, int], None],
    key: str,
) -> None:
    """Draw a lens over `positions`, the characters read, of which the first is the text's number `first`.

    `cell` is (row, number of the position in the text); `chosen` is called with another one that the learner keeps.
    """

    def acted() -> None:
        if found := heard(key, "cell"):
            chosen(int(found["row"]), int(found["position"]))

    ids = np.argsort(-lens.log_probs, axis=-1, kind="stable")[..., :TOP]  # (R, T, K)
    chances = np.exp(np.take_along_axis(lens.log_probs, ids, -1))  # (R, T, K)
    data = {
        "rows": list(lens.rows),
        "positions": list(positions),
        "characters": list(characters),
        "first": first,
        "cell": {"row": cell[0], "position": cell[1]},
        "top": ids.shape[-1],
        "ids": whole(ids),
        "chances": floats(chances),
        "entropy": floats(lens.entropy),
        "kl": floats(lens.kl_to_final),
        "scale": sequential_stops(),
        "serial": zlib.crc32(lens.logits.tobytes()),
    }
    _component(key=key, data=message(data), on_cell_change=acted)
