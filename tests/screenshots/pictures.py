"""The still pictures: each opens a page and leaves the window as it is to be kept."""

import re
from collections.abc import Callable, Mapping

from playwright.sync_api import expect

from tests.screenshots.camera import Camera

SHIPPED = "pretrained/transformer"
OF_THE_NEW_RUN = ("knockout",)
"""Those that show the run that was trained for the film."""


def first_page(camera: Camera, run: str) -> None:
    """The first page, the shipped Transformer's training replayed to its end, and the ladder."""
    camera.open("")
    camera.page.get_by_role("button", name="Skip").click()
    camera.page.mouse.move(0, 0)
    camera.rest()


def attention(camera: Camera, run: str) -> None:
    """All heads of the shipped Transformer, and one of them with the letters that it looks at."""
    camera.open(f"attention?run={SHIPPED}")
    board = camera.page.locator(".attention")
    expect(board).to_have_attribute("data-opened", re.compile("@"))
    camera.bring(board)


def surprise(camera: Camera, run: str) -> None:
    """Which rung earns which character of a passage that nobody trained on."""
    camera.open("surprise")


def side_by_side(camera: Camera, run: str) -> None:
    """All rungs write from one prompt."""
    camera.open("stage")


def knockout(camera: Camera, run: str) -> None:
    """What each part of the run is worth."""
    camera.open(f"knockout?run={run}")
    camera.page.get_by_role("button", name="Rank all").click()
    camera.page.wait_for_timeout(2000)
    camera.settle()


ALL: Mapping[str, Callable[[Camera, str], None]] = {
    "first-page": first_page,
    "attention": attention,
    "surprise": surprise,
    "side-by-side": side_by_side,
    "knockout": knockout,
}
