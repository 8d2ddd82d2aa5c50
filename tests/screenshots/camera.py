"""A visitor with a camera: opens pages, waits until they are drawn, keeps pictures of them, small."""

import io
import re
from types import TracebackType
from typing import Self

from PIL import Image
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

    def look(self) -> Image.Image:
        """Return the window as it is."""
        return Image.open(io.BytesIO(self.page.screenshot(animations="allow"))).convert("RGB")

    def save(self, name: str) -> None:
        """Keep the window as a picture of the documents, in as many colours as a PNG of one byte a pixel has."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        few = self.look().quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(PICTURES / f"{name}.png", optimize=True)
