"""Bardlab's entry: `streamlit run app.py`.

The pages are framed by pages/frame.py. Starting through `st.App` gives a hook before the first visitor, in which the
slow imports are done and a worker is put on standby; and it keeps Streamlit from reading the folder `pages/` as an app
of its old kind, which would greet the first deep link with "Page not found".
"""

import gc
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.web.server.server_util import get_url
from streamlit.web.server.starlette import App

from core.errors import BardlabError
from pages import feeds, guard, login
from pages.shell import Shell


@asynccontextmanager
async def ready(app: App) -> AsyncIterator[None]:
    """Do once what every visitor would wait for.

    What is loaded here for good is taken out of the garbage collector's sight, or each of its looks at torch's hundred
    thousand objects would cost 0.15 s.
    """
    from core.jobs import processes
    from core.ladder import registry
    from core.training import devices
    from pages.ui import ladder_problems, loaders
    from pages.ui.plots import figures  # noqa: F401
    from pages.ui.run import rung_page  # noqa: F401

    devices.limit_threads()
    sys.setswitchinterval(0.001)  # with 5 ms the thread that answers waits too long for its turn among those that draw
    processes.warm()
    text = loaders.corpus()
    loaders.corpus_landmarks(text.sha256, text.name)
    for rung in registry.RUNGS.values():
        loaders.cost(rung.key, *rung.settings(rung.default_preset, {}, {}), text.tokenizer.size)
    for problem in ladder_problems.problems():
        print(f"Bardlab: {problem}", file=sys.stderr, flush=True)
    gc.collect()
    gc.freeze()
    print(f"Bardlab: {get_url(st.get_option('server.address'))}", flush=True)
    yield


class Lost:
    """Leads from an address that no page has to the ladder, which says so.

    Streamlit itself would show its main page under the wrong address, behind a dialogue.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything but the request for such a page."""
        from pages.ui.navigation import HOME, addresses

        base = scope.get("root_path", "").rstrip("/")
        name = scope["path"].removeprefix(base).strip("/") if scope["type"] == "http" else ""
        asks = Headers(scope=scope).get("accept", "") if name else ""
        if "text/html" in asks and re.fullmatch(r"[^/._][^/.]*", name) and name not in addresses():
            query = scope["query_string"].decode("latin-1") if name == HOME else urlencode({"lost": name[:60]})
            await RedirectResponse(f"{base}/?{query}")(scope, receive, send)
        else:
            await self.app(scope, receive, send)


try:
    login.login()
except BardlabError as error:
    raise SystemExit(f"Bardlab does not start: {error}") from None
guard.never_ask_outside()
app = st.App(
    Path(__file__).parent / "pages" / "frame.py",
    lifespan=ready,
    middleware=[Middleware(guard.Guard), Middleware(feeds.Feeds), Middleware(Lost), Middleware(Shell)],
)
