"""The app in a real browser under its own rules: all of it works, and a page of another site gets nothing."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from core.runs.state import Run
from tests.browser.conftest import Serve, Visit, go

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit()


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str], list[str]]]:
    """Another site: its address, what it shows, and which paths were asked for."""
    content, asked = [""], list[str]()

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content[0].encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", content, asked
    server.shutdown()
    server.server_close()


def test_a_file_that_a_page_makes_is_saved_under_the_rules(page: Page, lab: str, finished: Run):
    """That no page is refused what it needs shows in test_accessibility.py, where every message of the browser is a
    fault; here, that an address with a run works, and a download."""
    page.set_default_timeout(120_000)  # nothing here is about time
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: problems.append(r.url) if not r.url.startswith((lab, "data:", "blob:")) else None)
    page.goto(f"{lab}/attention?run={finished.slug}")
    expect(page.locator("canvas").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Page (.html)").click()
    assert "<html" in Path(download.value.path()).read_text()
    assert not problems


def test_a_foreign_page_can_neither_frame_the_app_nor_speak_to_it(
    page: Page, lab: str, elsewhere: tuple[str, list[str], list[str]]
):
    there, content, _ = elsewhere
    socket = lab.replace("http", "ws") + "/_stcore/stream"
    content[0] = f"""<iframe src="{lab}/"></iframe><p id="said"></p><script>
        const socket = new WebSocket("{socket}", "streamlit");
        socket.onopen = () => {{ said.textContent = "open"; }};
        socket.onclose = () => {{ said.textContent = "closed"; }};
    </script>"""
    page.goto(there)
    expect(page.locator("#said")).to_have_text("closed")
    page.wait_for_load_state("networkidle")
    assert all(not frame.locator("#root").count() for frame in page.frames[1:])


def test_no_picture_of_another_site_is_loaded(
    serve: Serve, page: Page, elsewhere: tuple[str, list[str], list[str]], tmp_path: Path
):
    """Even where a text is read as Markdown: whoever could write it would know who reads it."""
    there, _, asked = elsewhere
    shown = tmp_path / "shown.py"
    shown.write_text(
        "import streamlit as st\nfrom starlette.middleware import Middleware\nfrom pages.guard import Guard\n"
        f"app = st.App({str(tmp_path / 'page.py')!r}, middleware=[Middleware(Guard)])\n"
    )
    (tmp_path / "page.py").write_text(f"import streamlit as st\nst.markdown('before ![x]({there}/p.png) after')\n")
    page.goto(serve(shown))
    expect(page.get_by_text("before")).to_be_visible()
    expect(page.locator("img")).to_have_count(1)
    page.wait_for_load_state("networkidle")
    assert not asked


def test_no_address_in_a_message_is_a_link(page: Page, lab: str):
    addresses = {
        "www.evil.example": "www",
        "http://evil.example/x": "example/x",
        "me@evil.example": "me@",
        "![x](http://evil.example/p.png)": "p.png",
    }
    for address, part in addresses.items():
        go(page, f"{lab}/?lost={quote(address)}")
        told = page.get_by_test_id("stAlert").first
        expect(told).to_contain_text("There is no page")
        expect(told).to_contain_text(part)
        expect(told).to_contain_text("example")
        expect(told.locator("a, img")).to_have_count(0)
