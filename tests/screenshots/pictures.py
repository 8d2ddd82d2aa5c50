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
    skip = camera.page.get_by_role("button", name="Skip")
    skip.evaluate("button => button.click()")  # it is off once the film has ended by itself
    expect(skip).to_be_disabled()
    camera.rest()


def attention(camera: Camera, run: str) -> None:
    """All heads of the shipped Transformer, and one of them with the letters that it looks at."""
    camera.open(f"attention?run={SHIPPED}")
    board = camera.page.locator(".attention")
    expect(board).to_have_attribute("data-opened", re.compile("@"))
    camera.fold_menu()
    camera.bring(board)


def surprise(camera: Camera, run: str) -> None:
    """Which rung earns which character of a passage that nobody trained on."""
    camera.open("surprise?mark=29")
    camera.fold_menu()
    camera.bring(camera.page.get_by_role("button", name="Who earns it"), 60)


def side_by_side(camera: Camera, run: str) -> None:
    """All rungs write from one prompt."""
    camera.page.set_viewport_size({"width": 1440, "height": 900})  # six columns of text want the room
    camera.open("stage")
    camera.fold_menu()
    expect(camera.page.locator(".stage")).to_have_attribute("aria-busy", "false", timeout=60_000)
    camera.bring(camera.page.locator(".stage .bar"), 60)


def knockout(camera: Camera, run: str) -> None:
    """What each part of the run is worth."""
    camera.open(f"knockout?run={run}")
    rank = camera.page.get_by_role("button", name="Rank all")
    if rank.is_enabled():
        rank.click()
    expect(rank).to_be_disabled()  # it comes back so once every part is measured
    camera.page.set_viewport_size({"width": 1040, "height": 650})
    camera.settle()
    camera.fold_menu()
    camera.bring(rank, 60)


ALL: Mapping[str, Callable[[Camera, str], None]] = {
    "first-page": first_page,
    "attention": attention,
    "surprise": surprise,
    "side-by-side": side_by_side,
    "knockout": knockout,
}
