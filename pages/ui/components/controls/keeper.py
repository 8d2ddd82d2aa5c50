"""Keeps a learner's progress in the browser, for the next visit; nothing of it can be seen."""

from collections.abc import Callable, Mapping
from typing import Any

from pages.ui.components.shared.toolkit import declare, heard, message

_keeper = declare("keeper", "What the browser keeps")


def keeper(now: Mapping[str, object], more: Callable[[Any], None], *, key: str) -> None:
    """Keep what is known `now`; `more` gets what the browser and the server know together, if that is more."""

    def found() -> None:
        kept = heard(key, "kept")
        if kept:
            more(kept)

    _keeper(data=message({"now": now}), key=key, on_kept_change=found)
