"""The command that shows the cluster: its nodes, what is free, and which run is where or waits for what."""

from typing import Any

import click

from core.cli.output import JSON, say
from core.errors import BardlabError
from core.runs import reading


@click.command()
@JSON
def cluster(as_json: bool) -> None:
    """Show the nodes that jobs are sent to, what they have and have free, where each run is, and what waits and why."""
    from core import paths
    from core.jobs import control
    from core.jobs.launchers import launcher

    there = launcher.chosen()
    if there.here:
        raise BardlabError(f"no cluster: jobs run on this machine; set {paths.CLUSTER}=http://HOST:8265 to send them")
    nodes: list[dict[str, Any]] = [
        {"node": node.name, "has": node.has, "free": {kind: node.free(kind) for kind in node.has}}
        for node in there.nodes()
    ]
    runs: list[dict[str, Any]] = []
    for run in map(control.look_after, reading.list_runs()):
        if run.state.active and not (where := launcher.of(run.path)).here:
            on = where.where(run.path)
            runs.append({"run": run.slug, "state": run.state, "node": on, "message": run.status.message})
    lines = [
        f"{n['node']}: " + ", ".join(f"{n['free'][k]:g} of {c:g} {k} free" for k, c in n["has"].items()) for n in nodes
    ]
    lines += [f"{r['run']}: {r['state']}" + (f" on {r['node']}" if r["node"] else f", {r['message']}") for r in runs]
    say({"nodes": nodes, "runs": runs}, as_json, "\n".join(lines))


COMMANDS = (cluster,)
