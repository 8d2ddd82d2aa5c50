"""A passage shaded by surprise, and who earns each of its characters."""

from collections.abc import Mapping

from core.inspect.surprise import Surprise
from core.runs.state import Run
from pages.ui.components.shared.toolkit import declare, floats, message, whole
from pages.ui.plots.colours import place_of

_component = declare("passage", "A passage, character by character")


def passage(text: str, characters: str, read: Mapping[str, tuple[Run, Surprise]], *, key: str) -> None:
    """Draw `text` as several runs read it, by their slugs; their order is the order of the ladder."""
    runs = [
        {
            "slug": slug,
            "name": run.label,
            "hue": place_of(run),
            "bits": floats(found.bits),
            "rank": whole(found.rank),
            "ids": whole(found.rivals),
            "chances": floats(found.chances),
            "window": found.window,
            "context": found.context,
        }
        for slug, (run, found) in read.items()
    ]
    rivals = next(iter(read.values()))[1].rivals.shape[1]
    _component(key=key, data=message({"text": text, "characters": list(characters), "runs": runs, "rivals": rivals}))
