"""What a learner notes of a run, or of several together: words of a report, views that were kept.

It lies beside the runs, not in them: a run that ships cannot be written to, and several runs have no folder.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from core import files, paths
from core.errors import BardlabError
from core.runs.state import Run

Kind = Literal["reports", "bookmarks"]
LARGEST = 200_000
"""Bytes of one note."""


def read(kind: Kind, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what is noted of exactly these runs; nothing of a file that is damaged."""
    try:
        found = json.loads(files.read(_file(kind, runs))[:LARGEST])
    except (OSError, ValueError, RecursionError):
        return {}
    noted = found.get("noted") if isinstance(found, dict) else None
    return noted if isinstance(noted, dict) else {}


def write(kind: Kind, runs: Sequence[Run], noted: Mapping[str, Any]) -> None:
    """Note this of exactly these runs, in place of what was noted before; nothing takes the file away."""
    file = _file(kind, runs)
    content = {"runs": sorted(run.slug for run in runs), "noted": noted}
    packed = json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "replace")
    if len(packed) > LARGEST:
        raise BardlabError(f"a note takes at most {LARGEST // 1000:,} kB; remove some of it")
    try:
        if not noted:
            files.remove(file)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, packed)
    except OSError as error:
        raise BardlabError(f"cannot write {file}: {files.explain(error)}") from None


def _file(kind: Kind, runs: Sequence[Run]) -> Path:
    """Return the file of these runs: by when they were made too, as the words of an address come again."""
    named = sorted(f"{run.slug} {run.config.created if run.config else ''}" for run in runs)
    return paths.data() / kind / f"{hashlib.sha256(' '.join(named).encode()).hexdigest()[:20]}.json"
