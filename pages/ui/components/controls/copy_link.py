"""Copies the address of the page, in which all that is set on it stands, with one click."""

from pages.ui.components.shared.toolkit import declare, message

_copy_link = declare("copy_link", "Link to this page")


def copy_link(*, key: str) -> None:
    """Draw the button."""
    _copy_link(data=message({}), key=key, width="content")
