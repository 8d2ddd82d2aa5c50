"""Where the product keeps its files.

``BARDLAB_HOME`` moves everything that is written (runs, cached corpus) to another folder; what ships stays put, unless
``BARDLAB_PRETRAINED`` names another folder for the shipped runs.
"""

import os
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED_DATA = ROOT / "data"
SHIPPED_RUNS = str(ROOT / "checkpoints" / "pretrained")
CLUSTER = "BARDLAB_CLUSTER"
"""The environment variable that names a cluster's job address, such as http://127.0.0.1:8265."""


def home() -> Path:
    """The folder that holds ``checkpoints/`` and ``data/``."""
    return _path(os.environ.get("BARDLAB_HOME") or str(ROOT))


def data() -> Path:
    """Where the rebuilt corpus is cached."""
    return _path(f"{home()}{os.sep}data")


def runs() -> Path:
    """The learner's own runs."""
    return _path(f"{home()}{os.sep}checkpoints{os.sep}runs")


def pretrained() -> Path:
    """The runs that ship with the product."""
    return _path(os.environ.get("BARDLAB_PRETRAINED") or SHIPPED_RUNS)


def cluster() -> str:
    """The job address of the Ray cluster to which jobs are sent; empty if they run on this machine."""
    return os.environ.get(CLUSTER, "").strip().rstrip("/")


@lru_cache(maxsize=16)
def _path(text: str) -> Path:
    """A path once for all: a page asks some fifty times."""
    return Path(text)
