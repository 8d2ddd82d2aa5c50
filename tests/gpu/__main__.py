"""`python -m tests.gpu --beside PEER --out FOLDER`: everything that only a GPU can show, in at most eight minutes.

Writes gpu.json, profile.txt and log.txt into the folder and prints a table last. The exit status is 0 if no row
failed, 77 without a GPU. `--rehearse` goes through the same rows on the CPU with tiny models.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

ROWS: dict[str, tuple[str, str, int]] = {
    "A": ("speed_rows.machine", "name the machine, time one product and one copy", 8),
    "B": ("run_rows.tests", "run the tests marked gpu", 45),
    "C1": ("speed_rows.beside", "time a step of the reference beside the peer's, in turn", 70),
    "C2": ("speed_rows.profile", "count kernels and waits of a step", 10),
    "C3": ("speed_rows.presets", "time presets with and without a compiler", 15),
    "F": ("exact_rows.resume", "resume bit for bit, and repeat a run", 40),
    "D1": ("run_rows.reference", "train the reference preset through a job to its end; see where seconds go", 110),
    "D2": ("run_rows.to_loss", "time three seeds to a loss of 1.4697, and the peer", 60),
    "E1": ("memory_rows.estimate", "compare the memory shown with what is taken", 12),
    "E2": ("memory_rows.out_of_memory", "run out of memory and try the batch that is named", 12),
    "E3": ("memory_rows.waiters", "look who holds memory while runs wait", 8),
    "E4": ("memory_rows.server", "see whether a page's server touches the GPU", 4),
    "G": ("speed_rows.writing", "time writing beside the peer's", 25),
    "I": ("speed_rows.estimate", "compare the times shown with real ones", 10),
    "H": ("exact_rows.same_as_cpu", "compare the GPU's numbers with the CPU's", 20),
    "J": ("run_rows.together", "two runs at once, stop, kill, pause", 15),
}
"""By row, in the order in which they run: the function, what it does, and the seconds that it should take."""
SLACK = 2.0  # a row may take twice its time, as long as the budget lasts


class TimeIsUp(Exception):
    """A row has had its time."""


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in this thread after so many seconds."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(0.1, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def row(setting: Any, name: str, seconds: float) -> dict[str, Any]:
    """Run one row within its time. Never raises."""
    from importlib import import_module

    module, _, function = ROWS[name][0].partition(".")
    began = time.monotonic()
    try:
        with limit(seconds):
            work: Callable[[Any], dict[str, Any]] = getattr(import_module(f"tests.gpu.{module}"), function)
            found = work(setting)
        found["result"] = "ok" if found.pop("ok") else "FAIL"
    except TimeIsUp:
        found = {"result": "SKIP (time)"}
    except Exception as error:
        setting.say(traceback.format_exc())
        found = {"result": "FAIL", "error": f"{type(error).__name__}: {str(error).strip()[:300]}"}
    return {**found, "took s": round(time.monotonic() - began, 1)}


def missing() -> list[str]:
    """The packages that the product needs and this Python lacks."""
    from importlib.util import find_spec

    return [name for name in ("torch", "pydantic", "psutil", "tensorboard", "tqdm") if not find_spec(name)]


def main(arguments: list[str]) -> int:
    """Run the rows asked for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--beside", type=Path, help="a nanoGPT folder")
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--budget", type=float, default=480.0, help="seconds in all")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, such as A,B,C1")
    parser.add_argument("--rehearse", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    wanted = [name for name in ROWS if name in asked.only.split(",")]
    if unknown := set(asked.only.split(",")) - set(ROWS):
        parser.error(f"no row {sorted(unknown)[0]!r}; choose from {','.join(ROWS)}")
    if lacking := missing():
        print(f"this Python lacks {', '.join(lacking)}; install them: pip install {' '.join(lacking)}")
        return 2
    import torch

    if not asked.rehearse and not torch.cuda.is_available():
        print("no GPU here; with one, these rows would run:")
        for name in wanted:
            print(f"{name:>3}  {ROWS[name][2]:>3} s  {ROWS[name][1]}")
        return 77
    asked.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="bardlab-gpu-", ignore_cleanup_errors=True) as home:
        os.environ.setdefault("BARDLAB_HOME", home)
        return check(asked, wanted)


def check(asked: argparse.Namespace, wanted: list[str]) -> int:
    """Run the rows one after another while there is time, and keep what they found."""
    from tests.gpu.setting import Setting

    setting = Setting(asked.out.resolve(), asked.beside, asked.rehearse)
    until = time.monotonic() + asked.budget
    for name in wanted:
        left = until - time.monotonic()
        if left < 1:
            found: dict[str, Any] = {"result": "SKIP (time)"}
        else:
            found = row(setting, name, min(left, SLACK * ROWS[name][2] if not asked.rehearse else left))
        setting.found[name] = found
        (setting.out / "gpu.json").write_text(json.dumps(setting.found, indent=1, default=str))
        setting.say(f"{name}: {json.dumps(found, default=str)}")
    setting.say("\nrow  result        took  what")
    for name, found in setting.found.items():
        setting.say(f"{name:>3}  {found['result']:<12} {found.get('took s', 0.0):5.1f}  {ROWS[name][1]}")
    return 1 if any(found["result"] == "FAIL" for found in setting.found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
