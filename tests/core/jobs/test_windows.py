"""Jobs on what looks like Windows: real workers, real training, with all gone that only POSIX has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import paths


@pytest.mark.long
@pytest.mark.timeout(900)
def test_jobs_do_without_what_only_posix_has(home: Path):
    """Queue, stop, resume, pause, spare, kill: see tests/windows/scenario.py."""
    folder = Path(__file__).parents[2] / "windows"
    done = subprocess.run(
        [sys.executable, "-m", "tests.windows.scenario"],
        cwd=paths.ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(paths.ROOT)])},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["queue_stop_resume"].pop("waiter MB") < 40
    assert found == {
        "posix": False,
        "queue_stop_resume": {
            "left": "stopped while it waited",
            "stopped": "stopped",
            "done": "finished",
            "again": "stopped",
            "deleted": True,
        },
        "spare_and_pause": {"spare took it": True, "ended": "stopped"},
        "killed_and_exact": {"ended": "finished", "exact": True},
        "ignored_stop": {"alive when asked, when overdue": [True, False], "ends itself": True},
        "replaced_while_read": {"step": 99, "delete while open": "BardlabError", "deleted": True},
        "names": {"bad": [], "some": True},
    }
