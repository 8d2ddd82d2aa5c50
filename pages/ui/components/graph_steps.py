"""A computation graph that is filled in step by step; all stepping happens in the browser."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import streamlit as st

from core.inspect.computation_graph import Trace

_HTML = """<div class="graph-steps" data-step="0">
  <div class="controls" role="group" aria-label="Steps through the graph"></div>
  <div class="scene"><svg role="img" aria-label="Computation graph"></svg></div>
  <div class="told" aria-live="polite"></div>
</div>"""

_graph = st.components.v2.component(
    "bardlab_graph_steps",
    html=_HTML,
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def graph_steps(found: Trace, *, key: str) -> None:
    """Show a traced graph, at first with its inputs only."""
    content = {
        "nodes": [asdict(node) for node in found.nodes],
        "edges": [edge._asdict() for edge in found.edges],
        "steps": [asdict(step) for step in found.steps],
    }
    content["serial"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    _graph(data=content, key=key)
