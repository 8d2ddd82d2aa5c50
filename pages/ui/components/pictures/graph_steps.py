"""A computation graph that is filled in step by step; all stepping happens in the browser."""

from dataclasses import asdict

from core.scalars.graph import Trace
from pages.ui.components.shared.toolkit import declare, message

_graph = declare("graph_steps", "Computation graph", "graph-steps")


def graph_steps(found: Trace, *, key: str) -> None:
    """Show a traced graph, at first with its inputs only."""
    content = {
        "nodes": [asdict(node) for node in found.nodes],
        "edges": [edge._asdict() for edge in found.edges],
        "steps": [asdict(step) for step in found.steps],
    }
    _graph(data=message(content), key=key)
