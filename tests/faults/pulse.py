"""Asks a server for its health from a process of its own, in which nothing else takes time."""

import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit


def pulse(url: str, begun: Any, over: Any, waited: Any) -> None:
    """Ask for the server's health until it is over, and hand back how long each answer took."""
    where = urlsplit(url)
    times = []
    while not over.is_set():
        began = time.monotonic()
        with urllib.request.urlopen(f"{where.scheme}://{where.netloc}/_stcore/health", timeout=120) as answer:
            answer.read()
        times.append(time.monotonic() - began)
        begun.set()
        over.wait(0.05)
    waited.put(times)
