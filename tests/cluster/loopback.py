"""`ray start` with every address on 127.0.0.1: by itself Ray puts the machine's own in place of that one."""

import sys

from ray._private import services
from ray.scripts import scripts

services.get_node_ip_address = lambda address=None: "127.0.0.1"

if __name__ == "__main__":
    sys.exit(scripts.main())
