"""Many sessions whose texts grow at the same time, while somebody opens other pages.

`python -m tests.faults.writers URL SESSIONS SECONDS PAGE ...` presses Write in so many sessions, opens the pages one
after the other again and again, and prints how long each took to be drawn (JSON).
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from typing import Any
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection

from core import paths
from core.runs import layout
from tests.faults.serving import serving
from tests.faults.wire import Session

WRITING = "bardlab_writing"
PAGES = ("", "transformer", "runs", "attention?run=pretrained/transformer", "prediction?run=pretrained/transformer")


class Writer(Session):
    """A session that presses Write once and asks for the text as the page does."""

    written = 0
    pressed = False

    def receive(self, socket: ClientConnection, message: ForwardMsg) -> None:
        """Take in one message of the server."""
        super().receive(socket, message)
        if message.WhichOneof("type") != "delta" or message.delta.WhichOneof("type") != "new_element":
            return
        element, fragment = message.delta.new_element, message.delta.fragment_id
        kind = element.WhichOneof("type")
        if kind == "button" and element.button.label == "Write" and not self.pressed:
            self.keep("press", self.press(socket, element.button.id))
        elif kind == "bidi_component" and element.bidi_component.component_name == WRITING:
            component = element.bidi_component
            size = int.from_bytes(component.bytes[:4], "little")
            header = json.loads(component.bytes[4 : 4 + size])
            have = [column["from"] + column["n"] for column in header["columns"]]
            self.written = max(self.written, sum(have))
            if header["live"]:
                asked = {"text": header["text"], "have": have, "at": self.written}
                self.keep("more", self.more(socket, component.id, fragment, asked), replace=True)

    async def press(self, socket: ClientConnection, button: str) -> None:
        """Press Write as soon as the page is there."""
        await self.drawn.wait()
        self.pressed = True
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self.query, self.script_hash
        state.widget_states.widgets.add(id=button, trigger_value=True)
        await socket.send(message.SerializeToString())

    async def more(self, socket: ClientConnection, component: str, fragment: str, have: dict[str, Any]) -> None:
        """Ask for what comes next; again after three seconds without an answer."""
        while True:
            event = [{"event": "poll", "value": have}]
            await self.ask(socket, fragment, (f"$$STREAMLIT_INTERNAL_KEY_{component}__events", event))
            await asyncio.sleep(3.0)


async def write(url: str, count: int, seconds: float, pages: tuple[str, ...]) -> dict[str, Any]:
    """Let so many sessions write for so long, and open pages meanwhile."""
    found: Counter[str] = Counter()
    watching = asyncio.Event()
    base = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    writers = [Writer(f"{base}/write?tokens=20000", i / count, found, watching) for i in range(count)]
    tasks = [asyncio.create_task(writer.live()) for writer in writers]
    async with asyncio.timeout(240):
        while not all(writer.written for writer in writers):
            await asyncio.sleep(0.1)
        before = sum(writer.written for writer in writers)
        began = time.monotonic()
        times: dict[str, list[float]] = defaultdict(list)
        while time.monotonic() - began < seconds:
            for page in pages:
                visitor = Session(f"{base}/{page}", 0.0, found, watching)
                at = time.monotonic()
                task = asyncio.create_task(visitor.live())
                await visitor.drawn.wait()
                times[page].append(round(time.monotonic() - at, 2))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        took = time.monotonic() - began
    written = [writer.written for writer in writers]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "sessions": count,
        "characters a second, all together": round((sum(written) - before) / took),
        "fewest and most characters": [min(written), max(written)],
        "seconds until a page was drawn": dict(times),
        "what happened": dict(found),
    }


def writing(sessions: int = 20) -> dict[str, Any]:
    """Twenty texts grow; every other page has to be drawn within a second.

    On a server that has drawn each several times, until what the first page counts once is known, and where the machine
    code that writes has been compiled.
    """
    subprocess.run([sys.executable, "-m", "core.jobs.worker", "--compile"], cwd=paths.ROOT, check=True)
    (paths.runs() / layout.SPEED).parent.mkdir(parents=True, exist_ok=True)
    (paths.runs() / layout.SPEED).write_text("{}")
    with serving() as (_, url):
        asyncio.run(write(url, 1, 10.0, PAGES))
        found = asyncio.run(write(url, sessions, 20.0, PAGES))
    worst = max(max(times) for times in found["seconds until a page was drawn"].values())
    return {"load average": round(os.getloadavg()[0], 1), **found, "worst s": worst, "ok": worst <= 1.0}


if __name__ == "__main__":
    answer = asyncio.run(write(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), tuple(sys.argv[4:]) or PAGES))
    print(json.dumps(answer))
