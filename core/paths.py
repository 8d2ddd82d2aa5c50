"""Where the product keeps its files.

``BARDLAB_HOME`` moves everything that is written (runs, cached corpus) to another folder; what ships stays put, unless
``BARDLAB_PRETRAINED`` names another folder for the shipped runs.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED_DATA = ROOT / "data"


def home() -> Path:
    """The folder that holds ``checkpoints/`` and ``data/``."""
    return Path(os.environ.get("BARDLAB_HOME") or ROOT)


def data() -> Path:
    """Where the rebuilt corpus is cached."""
    return home() / "data"


def runs() -> Path:
    """The learner's own runs."""
    return home() / "checkpoints" / "runs"


def pretrained() -> Path:
    """The runs that ship with the product."""
    return Path(os.environ.get("BARDLAB_PRETRAINED") or ROOT / "checkpoints" / "pretrained")
