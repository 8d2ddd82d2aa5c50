"""What the commands share: the `--json` option and the one way to print a run."""

import io
import json
import math
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from core.errors import BardlabError
from core.runs.state import BROKEN, Run
from core.texts.labels import harmless

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def prepare() -> None:
    """Let standard output and error take any text: what their encoding lacks is written as its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(result: Any, as_json: bool, text: str) -> None:
    """Print the result as JSON, or the text without what would command a terminal."""
    click.echo(as_json_line(result) if as_json else harmless(text))


def as_json_line(result: Any) -> str:
    """Return the result as one line of JSON that any stream and terminal can take."""
    line = json.dumps(plain(result), ensure_ascii=False)
    try:
        line.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        line = json.dumps(plain(result))
    return re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", line)


def plain(value: Any) -> Any:
    """JSON has no infinity: give null for it."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(run: Run) -> dict[str, Any]:
    """What every command tells of a run."""
    status = run.status
    return {
        "run": run.slug,
        "name": run.name,
        "stage": run.rung_key,
        "state": "damaged" if run.damage else str(run.state),
        "step": status.step,
        "of": status.of,
        "val_loss": status.val_loss,
        "best_val_loss": status.best_val_loss,
        "train_loss": status.train_loss,
        "parameters": status.parameters,
        "tokens_per_second": status.tokens_per_second,
        "seconds": status.seconds,
        "device": status.device,
        "node": status.node,
        "message": run.damage or status.message,
        "text": run.config.corpus if run.config else None,
        "note": run.note,
        "pinned": run.pinned,
        "broken": run.broken,
    }


def line(run: Run) -> str:
    """The same on one line."""
    row = summary(run)
    loss = f"{row['val_loss']:.4f}" if row["val_loss"] is not None else "-"
    count = f"{row['parameters']:,}" if row["parameters"] else "-"
    parts = f"{row['run']:<34} {row['state']:<9} {row['step']:>6}/{row['of']:<6} val {loss:<7} {count:>11} parameters"
    broken = f"  {BROKEN}" if run.broken else ""
    node = f"  on {row['node']}" if row["node"] else ""
    return f"{parts}{broken}{node}  {row['message']}".rstrip()


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Take NAME=VALUE apart. Raises BardlabError if there is no value."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise BardlabError(f"{assignment!r} has no value; write NAME=VALUE")
        values[key.strip()] = value
    return values
