"""The page before any script: Streamlit's own file, as Bardlab serves it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.responses import FileResponse
from starlette.types import Message, Scope
from streamlit import file_util

from pages.shell import Shell

STATIC = Path(file_util.get_static_dir())


def answer(file: Path) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a file as it is served."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()  # nobody leaves
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "extensions": {}}
    with ThreadPoolExecutor(1) as apart:  # this thread may have an event loop already, that of a browser
        apart.submit(lambda: asyncio.run(Shell(FileResponse(file))(scope, receive, send))).result()
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return headers, b"".join(message.get("body", b"") for message in sent[1:])


def test_the_page_says_what_to_do_without_scripts_and_asks_for_no_font():
    given = (STATIC / "index.html").read_text("utf-8")
    headers, body = answer(STATIC / "index.html")
    html = body.decode()

    assert int(headers["content-length"]) == len(body)
    assert "etag" not in headers
    assert "<title>Bardlab</title>" in html
    assert html.count("<noscript>") == 1
    assert "switch it on" in html
    assert "agents" in given
    assert "agents" not in html
    assert 'as="font"' in given
    assert 'as="font"' not in html
    assert html.split('<div id="root">')[1] == given.split('<div id="root">')[1]


def test_other_files_pass_unchanged():
    headers, body = answer(STATIC / "favicon.png")
    assert body == (STATIC / "favicon.png").read_bytes()
    assert "etag" in headers
