"""Asks a server for its health from a process of its own, in which nothing else takes time.

`python -m tests.faults.pulse URL` prints a line when the first answer is there, asks until its input ends, and prints
how long each answer took (JSON).
"""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from core import paths


@contextmanager
def pulse(url: str) -> Iterator[Callable[[], list[float]]]:
    """Ask for a server's health all the while; what it yields ends the asking and returns each answer's seconds.

    Raises RuntimeError with what the process said if it ended by itself.
    """
    command = [sys.executable, "-m", "tests.faults.pulse", url]
    pipe = subprocess.PIPE
    asking = subprocess.Popen(command, cwd=paths.ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def end() -> list[float]:
        said, complaint = asking.communicate()
        if asking.returncode:
            raise RuntimeError(f"nobody asks for the server's health any more: {complaint[-1000:]}")
        times: list[float] = json.loads(said)
        return times

    assert asking.stdout
    try:
        if not asking.stdout.readline():
            end()
        yield end
    finally:
        asking.kill()
        asking.wait()


def ask(url: str) -> None:
    """Ask until the input ends."""
    where = urlsplit(url)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    times: list[float] = []
    while not over.is_set():
        began = time.monotonic()
        with urllib.request.urlopen(f"{where.scheme}://{where.netloc}/_stcore/health", timeout=120) as answer:
            answer.read()
        times.append(time.monotonic() - began)
        if len(times) == 1:
            print("asking", flush=True)
        over.wait(0.05)
    print(json.dumps(times))


if __name__ == "__main__":
    ask(sys.argv[1])
