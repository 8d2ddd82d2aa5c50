"""Brings one element of the page into sight, and says if it is not there; nothing of it can be seen."""

from collections.abc import Callable

from pages.ui.components.shared.toolkit import declare, heard, message

_pointer = declare("pointer", "What the tour points at")


def pointer(selector: str, name: str, missing: Callable[[], None], *, key: str) -> None:
    """Bring it into sight once for each `name`; call `missing` if the page has been drawn without it."""

    def told() -> None:
        if heard(key, "missing") == name:
            missing()

    _pointer(data=message({"selector": selector, "name": name}), key=key, on_missing_change=told)
