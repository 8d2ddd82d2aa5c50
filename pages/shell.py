"""The empty page that Streamlit serves before its script draws anything, in Bardlab's own words."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.ui.course.marking import markup

WITHOUT_SCRIPTS = (
    "<h1>Bardlab</h1><p>Bardlab trains language models and shows them while they learn. "
    "Its pages are drawn by JavaScript: switch it on for this address, then reload.</p>"
)
CHANGES = (
    (rb"<title>.*?</title>", b"<title>Bardlab</title>"),
    (rb"<noscript>.*?</noscript>", f"<noscript><main>{WITHOUT_SCRIPTS}</main></noscript>".encode()),
    (rb'<link\s+rel="preload"[^>]*as="font"[^>]*/>\s*', b""),  # the theme uses the system's fonts
    (rb"</head>", markup().encode() + b"</head>"),
)
"""What is replaced by what in the HTML."""


def own(html: bytes) -> bytes:
    """Return Streamlit's page as Bardlab serves it."""
    for pattern, words in CHANGES:
        html = re.sub(pattern, words.replace(b"\\", rb"\\"), html, count=1, flags=re.DOTALL)
    return html


class Shell:
    """Passes on everything; the page itself is changed on its way."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        if "text/html" in asked.get("accept", ""):  # a page is changed, so it must not come compressed
            kept = [(name, value) for name, value in asked.raw if name != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        start: Message | None = None
        body = b""

        async def send_changed(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    html = own(body)
                    headers = MutableHeaders(scope=start)
                    headers["content-length"] = str(len(html))
                    del headers["etag"], headers["last-modified"]  # they tell of the file, not of what is sent
                    await send(start)
                    await send({"type": "http.response.body", "body": html})

        await self.app(scope, receive, send_changed)


def _is_page(message: Message) -> bool:
    headers = MutableHeaders(scope=message)
    whole = message["status"] == 200 and "content-encoding" not in headers
    return whole and headers.get("content-type", "").startswith("text/html")
