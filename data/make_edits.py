"""Make data/tinyshakespeare-edits.json from a canonical copy: python data/make_edits.py PATH_TO_CANONICAL_FILE."""

import difflib
import json
import sys
from pathlib import Path

from core import paths
from core.texts.shakespeare import EDITS, rendered_lines


def main(canonical: Path) -> None:
    """Write the line edits [start, end, replacement] that turn the rendered plays into the canonical file."""
    ours, theirs = rendered_lines(), canonical.read_text(encoding="utf-8").split("\n")
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    edits = [[i, j, theirs[k:m]] for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]
    rows = ",\n".join(json.dumps(edit, ensure_ascii=False) for edit in edits)
    (paths.SHIPPED_DATA / EDITS).write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    print(f"{len(edits)} edits")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("give one path: python data/make_edits.py PATH_TO_CANONICAL_FILE")
    main(Path(sys.argv[1]))
