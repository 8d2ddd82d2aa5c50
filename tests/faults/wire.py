"""Sessions without a browser: what a tab says to the server and what it waits for, without drawing anything.

`python -m tests.faults.wire URL SESSIONS` opens sessions on a page one after the other and prints `open` when all have
drawn. Then each line on its standard input is an order: `watch` lets them do what the page asks of a tab, `rest` stops
that, `end` prints what happened (JSON) and ends.
"""

import asyncio
import json
import sys
import threading
from collections import Counter
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from tests.message import unpack

CHART = "bardlab_curves"
ASKING = (CHART, "bardlab_pulse")


class Session:
    """One session: it runs the page, then each fragment as often as the page asks for, and asks for what moves."""

    def __init__(self, url: str, phase: float, found: Counter[str], watching: asyncio.Event) -> None:
        where = urlsplit(url)
        self.server, self.page, self.query = where.netloc, where.path.strip("/"), where.query
        self.phase, self.found, self.watching = phase, found, watching
        self.drawn = asyncio.Event()
        self.have: dict[str, dict[str, int]] = {}
        self.asked: dict[str, float] = {}
        self.timers: dict[str, asyncio.Task[None]] = {}
        self.script_hash = ""
        self.updates = 0
        """How often a chart has brought points that were not there before."""

    async def live(self) -> None:
        """Connect, draw the page and answer until cancelled."""
        url = f"ws://{self.server}/_stcore/stream"
        async with connect(url, subprotocols=["streamlit"], origin=f"http://{self.server}", max_size=None) as socket:
            await self.ask(socket)
            try:
                async for message in socket:
                    self.receive(socket, ForwardMsg.FromString(message))
            finally:
                self.found["connections lost"] += 1
                for timer in self.timers.values():
                    timer.cancel()

    async def ask(self, socket: ClientConnection, fragment: str = "", widget: tuple[str, Any] | None = None) -> None:
        """Ask for a run of the page, or of one fragment of it."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self.query, self.script_hash
        if not self.script_hash:
            state.page_name = self.page
        state.fragment_id = fragment
        state.is_auto_rerun = bool(fragment and not widget)
        if widget:
            state.widget_states.widgets.add(id=widget[0], json_trigger_value=json.dumps(widget[1]))
        state.widget_states.SetInParent()
        await socket.send(message.SerializeToString())

    def receive(self, socket: ClientConnection, message: ForwardMsg) -> None:
        """Take in one message of the server."""
        kind = message.WhichOneof("type")
        if kind == "new_session":
            if not message.metadata.run.fragment_ids:
                for timer in self.timers.values():
                    timer.cancel()
                self.timers.clear()
        elif kind == "script_finished":
            self.found[ForwardMsg.ScriptFinishedStatus.Name(message.script_finished)] += 1
            self.drawn.set()
        elif kind == "auto_rerun":
            each = message.auto_rerun
            self.keep(each.fragment_id, self.rerun(socket, each.fragment_id, each.interval))
        elif kind == "navigation":
            self.script_hash = message.navigation.page_script_hash
        elif kind == "stop_auto_rerun":
            if timer := self.timers.pop(message.stop_auto_rerun.fragment_id, None):
                timer.cancel()
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            if element.WhichOneof("type") == "exception":
                self.found[f"exception: {element.exception.message[:80]}"] += 1
            if element.WhichOneof("type") == "bidi_component":
                self.component(socket, element.bidi_component, message.delta.fragment_id)

    def component(self, socket: ClientConnection, component: Any, fragment: str) -> None:
        """Note which points a chart has brought; keep asking for more if it is live, as what has a pulse does too."""
        name, there = component.component_name, component.id
        if name not in ASKING:
            return
        header = unpack(component.bytes)
        if name == CHART:
            self.take(there, header)
        if name != CHART or header["live"]:
            asking = self.feed if header["feed"] else self.poll
            self.keep(there, asking(socket, there, fragment, header), replace=True)

    def take(self, chart: str, header: dict[str, Any]) -> None:
        """Take in the curves of a message."""
        have = {curve["id"]: curve["from"] + curve["n"] for curve in header["curves"]}
        self.updates += any(n > self.have.get(chart, have).get(name, 0) for name, n in have.items())
        self.have[chart] = have
        self.found["chart messages"] += 1

    def keep(self, name: str, work: Any, replace: bool = False) -> None:
        """Run a timer under a name."""
        if name in self.timers and not replace and not self.timers[name].done():
            work.close()
            return
        if old := self.timers.get(name):
            old.cancel()
        self.timers[name] = asyncio.create_task(work)

    async def turn(self) -> None:
        """Wait until something is wanted again; then come at a moment of one's own, as tabs that people open do."""
        if not self.watching.is_set():
            await self.watching.wait()
            await asyncio.sleep(self.phase)

    async def rerun(self, socket: ClientConnection, fragment: str, interval: float) -> None:
        """Run a fragment again and again, as a tab's timer does."""
        while True:
            await asyncio.sleep(interval)
            await self.turn()
            self.found["fragments"] += 1
            await self.ask(socket, fragment)

    async def feed(self, socket: ClientConnection, there: str, fragment: str, header: dict[str, Any]) -> None:
        """Ask at a feed's address; once what was drawn no longer stands, have it drawn again (as in component.js)."""
        standing = header["standing"]
        while header["standing"] == standing:
            await asyncio.sleep(header.get("interval") or header["every"])
            await self.turn()
            self.found["polls"] += 1
            address = f"http://{self.server}{header['feed']}?{urlencode(self.have.get(there, {}))}"
            try:
                header = {**header, **unpack(await asyncio.to_thread(fetch, address))}
            except HTTPError:
                break
            if "curves" in header:
                self.take(there, header)
        await self.poll(socket, there, fragment, {"interval": 0.0})

    async def poll(self, socket: ClientConnection, there: str, fragment: str, header: dict[str, Any]) -> None:
        """Have a fragment drawn again; again after three seconds without an answer (as in component.js)."""
        now, interval = asyncio.get_running_loop().time, header["interval"]
        await asyncio.sleep(max(self.asked.get(there, now()) + interval - now(), interval / 4))
        while True:
            await self.turn()
            self.found["polls"] += 1
            self.asked[there] = now()
            event = [{"event": "poll", "value": {"have": self.have.get(there, {})}}]
            await self.ask(socket, fragment, (f"$$STREAMLIT_INTERNAL_KEY_{there}__events", event))
            await asyncio.sleep(3.0)


def fetch(address: str) -> bytes:
    """What a server answers at an address."""
    with urlopen(address, timeout=30) as answer:
        return bytes(answer.read())


async def crowd(url: str, count: int) -> None:
    """Open sessions, then follow orders."""
    found: Counter[str] = Counter()
    watching = asyncio.Event()
    sessions = [Session(url, i / count, found, watching) for i in range(count)]
    tasks = []
    for i, session in enumerate(sessions):
        tasks.append(asyncio.create_task(session.live()))
        drawn = asyncio.create_task(session.drawn.wait())
        await asyncio.wait([tasks[-1], drawn], timeout=120, return_when=asyncio.FIRST_COMPLETED)
        if tasks[-1].done():
            await tasks[-1]  # says why it ended
        if not drawn.done():
            raise TimeoutError(f"session {i} was not drawn within two minutes")
    print("open", flush=True)
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, line.strip())
        loop.call_soon_threadsafe(orders.put_nowait, "end")

    threading.Thread(target=read, daemon=True).start()
    while (order := await orders.get()) != "end":
        if order == "watch":
            watching.set()
        else:
            watching.clear()
        found["fewest updates"] = min(session.updates for session in sessions)
        print(json.dumps(found), flush=True)
    found["alive"] = sum(not task.done() for task in tasks)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(crowd(sys.argv[1], int(sys.argv[2])))
