"""What is compiled for these tests is kept for all test runs of this checkout."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def kernels(machine_code: Path) -> Iterator[None]:
    """All is compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(machine_code))
        yield
