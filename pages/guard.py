"""What stands before Streamlit: it answers its own pages in its own name, and nobody else's.

A page of another site can make a browser send requests here. Each is refused before Streamlit sees it if it names a
host that is not in `server.allowedHosts` (a foreign name that was led to this address), or if it changes something, or
opens the live connection, from an origin that is neither this server nor in `server.corsAllowedOrigins`.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config, net_util
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

READING = ("GET", "HEAD", "OPTIONS")
ANSWERS = {
    "Content-Security-Policy": "frame-ancestors 'self'; img-src 'self' data: blob:; form-action 'self'; "
    "base-uri 'self'; object-src 'none'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Headers of every answer: no frame on a foreign page, no picture from elsewhere, no address told to others."""


def never_ask_outside() -> None:
    """Keep Streamlit from asking a server on the internet which address it has, as it does for a foreign origin."""
    net_util._external_ip = "127.0.0.1"


class Guard:
    """Passes on what comes from the server's own pages, and says in each answer what a browser may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on one request or one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ANSWERS)
            await send(message)

        if reason := refusal(scope):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": reason})
            else:
                await PlainTextResponse(f"{reason}\n", 403)(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


def refusal(scope: Scope) -> str:
    """Say why a request is not answered; empty if it is."""
    headers = Headers(scope=scope)
    host, origin = headers.get("host"), headers.get("origin")
    if not is_host_allowed(host):
        return "This name of the server is not among server.allowedHosts."
    if scope["path"].rstrip("/").endswith("/_stcore/metrics"):
        return "The server's figures are not for visitors."
    reads = scope["type"] == "http" and scope["method"] in READING
    if origin is not None and not reads and urlsplit(origin).netloc != host and origin not in _trusted():
        return "This request comes from a page of another site."
    return ""


def _trusted() -> set[str]:
    return {str(origin).strip() for origin in config.get_option("server.corsAllowedOrigins")}
