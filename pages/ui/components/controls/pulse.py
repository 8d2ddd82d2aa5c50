"""Looks now and then whether what was drawn still stands, and has its fragment drawn again if not; nothing to see."""

from collections.abc import Callable, Mapping

from pages.feeds import open_feed
from pages.ui.components.shared.toolkit import declare, message

_pulse = declare("pulse", "What is looked at now and then")

Look = Callable[[], tuple[str, Mapping[str, Mapping[str, object]]]]
"""Returns what stands now, and what lines that move say now, by their names (live_line.py)."""


def pulse(look: Look, standing: str, every: float, *, key: str) -> None:
    """Call `look`, outside of any session, each `every` seconds that the page is in sight."""

    def answer(have: Mapping[str, int]) -> bytes:
        now, said = look()
        return message({"standing": now, "said": said})

    _pulse(
        key=key,
        data=message({"feed": open_feed(key, answer), "standing": standing, "every": every}),
        on_poll_change=lambda: None,
    )
