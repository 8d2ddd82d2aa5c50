"""Many sessions that open one page at the same moment: a class that clicks one link.

`python -m tests.faults.rush URL SESSIONS` opens them at once, asks the server's health all the while from a process of
its own, and prints what was seen (JSON).
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from typing import Any

from core import paths
from core.runs import layout
from tests.faults.pulse import pulse
from tests.faults.serving import serving
from tests.faults.wire import Session


async def rush(url: str, count: int) -> dict[str, Any]:
    """Open so many sessions at once and wait until each has drawn its page."""
    found: Counter[str] = Counter()
    watching = asyncio.Event()
    sessions = [Session(url, i / count, found, watching) for i in range(count)]
    drawn: list[float] = []
    with pulse(url) as end:
        began = time.monotonic()
        tasks = [asyncio.create_task(session.live()) for session in sessions]

        async def wait(session: Session) -> None:
            await session.drawn.wait()
            drawn.append(time.monotonic() - began)

        async with asyncio.timeout(300):
            await asyncio.gather(*(wait(session) for session in sessions))
        times = await asyncio.to_thread(end)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "sessions": count,
        "first drawn after s": round(drawn[0], 2),
        "last drawn after s": round(drawn[-1], 2),
        "health worst s": round(max(times), 2),
        "health asked": len(times),
        "what happened": {name: n for name, n in found.items() if name != "connections lost"},
    }


def classes(sessions: int = 60) -> dict[str, Any]:
    """A class opens Write, then Attention, with the runs that ship; health has to answer within a second throughout."""
    (paths.runs() / layout.SPEED).parent.mkdir(parents=True, exist_ok=True)
    (paths.runs() / layout.SPEED).write_text("{}")
    found = {}
    with serving() as (_, url):
        for page in ("write", "attention"):
            found[page] = asyncio.run(rush(f"{url}/{page}", sessions))
    return {
        "load average": round(os.getloadavg()[0], 1),
        **found,
        "ok": all(
            each["health worst s"] <= 1.0 and each["what happened"] == {"FINISHED_SUCCESSFULLY": sessions}
            for each in found.values()
        ),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(rush(sys.argv[1], int(sys.argv[2])))))
