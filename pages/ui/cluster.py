"""What the cluster has and has free, which run is where; or, in one line, that it cannot be reached. Else nothing."""

from collections.abc import Sequence

import streamlit as st

from core.errors import BardlabError
from core.jobs.launchers import launcher
from core.jobs.launchers.launcher import Node
from core.runs.state import Run
from pages.ui import tell


def cluster_line() -> None:
    """Say below Train where runs go, if that is not this machine."""
    nodes = _nodes()
    if nodes is None:
        return
    kinds = [kind for kind in ("CPU", "GPU") if any(node.has.get(kind) for node in nodes)]
    free = ", ".join(
        f"{sum(node.free(kind) for node in nodes):g} of {sum(node.has.get(kind, 0.0) for node in nodes):g} {kind} free"
        for kind in kinds
    )
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    tell.caption(f"Runs go to the cluster: {count}, {free}")


def cluster_panel(runs: Sequence[Run]) -> None:
    """Draw a line for each node: what is free there, and which of these runs it has."""
    nodes = _nodes()
    if nodes is None:
        return
    there = {run.slug: launcher.of(run.path).where(run.path) for run in runs}
    with st.container(border=True, key="cluster.panel"):
        st.markdown("**The cluster**")
        for node in nodes:
            free = ", ".join(f"{node.free(kind):g} of {count:g} {kind} free" for kind, count in node.has.items())
            names = [run.label for run in runs if there[run.slug] == node.name]
            tell.caption(f"{node.name}: {free}" + (f"; runs {', '.join(names)}" if names else ""))


def _nodes() -> list[Node] | None:
    """The machines that runs go to; None, said in one line if that is a fault, if there are none to be shown."""
    there = launcher.chosen()
    if there.here:
        return None
    try:
        return there.nodes()
    except BardlabError as error:
        tell.warning(error, icon=":material/cloud_off:")
        return None
