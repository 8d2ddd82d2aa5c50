"""An SVG drawn by Python, in the colours of the theme. What is hovered says what it is and lights what it is made of.

Elements take their colours from classes (`box`, `new`, `road`, `wire`, `dot`, `dim`, `small`, `mono`; see picture.css).
An element with `data-tip` shows that text; one with `data-lights="name name"` lights the elements with those `data-id`.
"""

from pages.ui.components.shared.toolkit import declare, message

_picture = declare("picture", "Picture", "figure")


def picture(svg: str, label: str, *, key: str) -> None:
    """Show an SVG as wide as the page allows, never wider than it was drawn; `label` says in words what it shows."""
    _picture(data=message({"svg": svg, "label": label}), key=key)
