"""`python -m tests.faults [ROW ...]`: try faults on a home of their own and print what was measured, row by row."""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

from tests.faults import clusters, reading, rush, serving, shared, training, writers

ROWS: dict[str, Callable[[], dict[str, Any]]] = {
    "kills": training.random_kills,
    "boundaries": training.write_boundaries,
    "trainer": training.damaged_trainer_state,
    "stop": lambda: training.ignored_stop(15.0, 5.0),
    "disk": training.full_disk,
    "damage": reading.damaged_files,
    "server": serving.killed_server,
    "many": reading.many_runs,
    "crowd": serving.crowd,
    "rush": rush.classes,
    "writers": writers.writing,
}
ON_A_CLUSTER: dict[str, Callable[[], dict[str, Any]]] = {
    "node": clusters.killed_node,
    "team": clusters.killed_team,
    "head": clusters.killed_head,
    "cluster-server": clusters.killed_server,
    "shared-folder": shared.shared_folder,
    "two-servers": shared.two_servers,
}


def main(wanted: list[str]) -> int:
    """Run rows, all of them by default; the exit status says whether each held."""
    rows = ROWS | ON_A_CLUSTER
    if unknown := [name for name in wanted if name not in rows]:
        print(f"no row {unknown[0]!r}; choose from {', '.join(rows)}", file=sys.stderr)
        return 2
    held = True
    for name in wanted or rows:
        with TemporaryDirectory(prefix="bardlab-faults-", ignore_cleanup_errors=True) as home:
            os.environ["BARDLAB_HOME"] = home
            began = time.monotonic()
            without = name in ON_A_CLUSTER and find_spec("ray") is None
            found = {"skipped": "Ray is not installed", "ok": True} if without else rows[name]()
        held &= found["ok"]
        print(json.dumps({"row": name, **found, "took s": round(time.monotonic() - began, 1)}), flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
