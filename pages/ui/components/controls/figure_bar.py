"""The row of buttons of every chart, above a figure that Plotly draws."""

from pages.ui.components.shared.toolkit import declare, message

_figure_bar = declare("figure_bar", "The chart below")


def figure_bar(chart: str, name: str, *, key: str) -> None:
    """Draw it for the figure that has the key `chart`; what is saved is called `name`."""
    _figure_bar(data=message({"chart": chart, "name": name}), key=key)
