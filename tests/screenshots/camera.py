"""A visitor with a camera: opens pages, waits until they are drawn, keeps pictures of them, small."""

import io
import re
from types import TracebackType
from typing import Self

from PIL import Image, ImageChops
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import ROOT

PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 4_000_000
"""What all pictures together may take."""
SIZE = {"width": 1280, "height": 800}


class Camera:
    """One visitor in a browser of its own, in the light theme, in a window of 1280 x 800."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.context = browser.new_context(viewport=SIZE, color_scheme="light", reduced_motion="no-preference")
        self.context.set_default_timeout(120_000)
        self.page = self.context.new_page()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.context.close()

    def open(self, path: str) -> None:
        """Open a page of the app and wait until it is drawn."""
        self.page.goto(f"{self.url}/{path}")
        self.settle()

    def settle(self) -> None:
        """Wait until the server has drawn all of the page, and it has not failed."""
        page = self.page
        expect(page.locator("[data-testid=stMain] h1").first).to_have_text(re.compile("."))
        expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")
        expect(page.locator("[data-testid=stMain] [data-stale=true]")).to_have_count(0)
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        self.rest()

    def rest(self) -> None:
        """Wait until the browser has painted what it was told."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def bring(self, what: Locator, top: int = 16) -> None:
        """Scroll the page until the top of something is so many pixels below the window's."""
        what.evaluate(
            """(node, top) => {
                const main = document.querySelector('[data-testid=stMain]');
                main.scrollTop += node.getBoundingClientRect().top - top;
            }""",
            top,
        )
        self.rest()

    def shot(self) -> bytes:
        """Return the window as it is, as a PNG."""
        return self.page.screenshot(animations="allow")

    def look(self) -> Image.Image:
        """Return the window as it is."""
        return developed(self.shot())

    def fold_menu(self) -> None:
        """Fold the menu away, as a visitor does who needs the room."""
        self.page.get_by_test_id("stSidebar").hover()
        self.page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
        expect(self.page.get_by_test_id("stExpandSidebarButton")).to_be_visible()
        self.page.mouse.move(0, 0)

    def still(self) -> Image.Image:
        """Return the window once nothing in it moves any more."""
        before, now = None, self.look()
        while before is None or ImageChops.difference(before, now).getbbox():
            self.page.wait_for_timeout(700)
            before, now = now, self.look()
        return now

    def save(self, name: str) -> None:
        """Keep the window as a picture of the documents, once nothing moves."""
        keep(self.still(), name)


def developed(shot: bytes) -> Image.Image:
    """Return what a PNG holds."""
    return Image.open(io.BytesIO(shot)).convert("RGB")


def keep(picture: Image.Image, name: str) -> None:
    """Write a picture of the documents."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture.save(PICTURES / f"{name}.png", optimize=True)
