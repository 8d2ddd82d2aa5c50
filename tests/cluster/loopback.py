"""`ray start` without what listens or waits for others: every address is on 127.0.0.1.

By itself Ray puts the machine's own address in place of that one. RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 keeps what this
process starts from it; this one, which that would keep from joining a head, is kept from it otherwise. The node ends
with whoever started it, also if that one was killed. It has no server for Ray's clients, which nobody uses here, and
which ends the whole head if a busy machine lets it wait for 30 s. Nor does the node itself give up after as long.
"""

import ctypes
import signal
import sys
import time
from typing import Any

from ray._private import ray_constants, services
from ray.scripts import scripts

PARENT_DIED = 1  # PR_SET_PDEATHSIG
PATIENCE = 240.0
once = services.get_node


def get_node(*which: Any) -> Any:
    """Ask for a node that is about to be known, again and again."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return once(*which)
        except RuntimeError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


services.get_node = get_node
services.get_node_ip_address = lambda address=None: "127.0.0.1"
ray_constants.ENABLE_RAY_CLUSTER = True
scripts.get_ray_client_dependency_error = lambda: "not wanted"

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGTERM)
    sys.exit(scripts.main())
