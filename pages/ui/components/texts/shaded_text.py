"""Text with every character shaded by a number of its own, around zero. It is shown as it is, never as markup."""

from collections.abc import Sequence

from pages.ui.components.shared.toolkit import declare, message
from pages.ui.plots.colours import tint

_text = declare("shaded_text", "Text, shaded")


def shaded_text(text: str, values: Sequence[float], limit: float, *, label: str, key: str) -> None:
    """Show `text`, each character coloured by its value, fully at `limit`; pointed at, it says the value."""
    cells = [
        ["↵\n" if character == "\n" else character, *tint(value, limit), f"{value:+.3f}"]
        for character, value in zip(text, values, strict=True)
    ]
    _text(data=message({"cells": cells, "label": label}), key=key)
