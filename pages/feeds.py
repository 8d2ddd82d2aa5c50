"""What an open page asks for without being drawn again: short answers, each at an address that this page alone knows.

Drawing a fragment again makes a browser look at everything that stands on the page, which takes it about 0.1 s however
little has changed. So what moves every second travels here, and what it changes is drawn by the components themselves.
An address is as good as the session that it was given to: it ends with that.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import BardlabError
from pages.ui.address import whole_number

PATH = "/_bardlab/feed/"
MOST = 10_000
"""Addresses kept for all sessions; the oldest are forgotten first, and a page that asks there is drawn again."""

Answer = Callable[[Mapping[str, int]], bytes]
"""Called with what the page says that it has, by a thread of no session."""
_answers: OrderedDict[str, tuple[str, Answer]] = OrderedDict()
_lock = threading.Lock()


def open_feed(name: str, answer: Answer) -> str:
    """Let this session's pages ask for `answer` and return the address; what had this name before is replaced."""
    context = get_script_run_ctx()
    tokens: dict[str, str] = st.session_state.setdefault("feeds", {})
    token = tokens.setdefault(name, secrets.token_urlsafe(24))
    with _lock:
        _answers[token] = context.session_id if context else "", answer
        _answers.move_to_end(token)
        while len(_answers) > MOST:
            _answers.popitem(last=False)
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    return (f"/{base}" if base else "") + PATH + token


def answered(token: str, have: Mapping[str, int]) -> bytes | None:
    """What is answered at an address; None if nobody is any more."""
    with _lock:
        session, answer = _answers.get(token, ("", None))
    if answer is None or not runtime.get_instance().is_active_session(session):
        with _lock:
            _answers.pop(token, None)
        return None
    try:
        return answer(have)
    except (BardlabError, OSError):  # what it was about is gone
        return None


class Feeds:
    """Answers what pages ask in this way; passes on all else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        before, found, token = scope["path"].rpartition(PATH) if scope["type"] == "http" else ("", "", "")
        if not found or before.strip("/") != str(st.get_option("server.baseUrlPath")).strip("/"):
            await self.app(scope, receive, send)
            return
        query = QueryParams(scope["query_string"])
        asked = {name: whole_number(count, 0, 10**15) for name, count in query.items()}
        have = {name: count for name, count in asked.items() if count is not None}
        body = await run_in_threadpool(answered, token, have) if scope["method"] == "GET" else None
        answer = Response(body, 404 if body is None else 200, {"Cache-Control": "no-store"}, "application/octet-stream")
        await answer(scope, receive, send)
