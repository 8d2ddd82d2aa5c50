"""The film: somebody presses Train, a Transformer learns, and its heads are looked at. One real run, start to end."""

import re

from PIL import Image
from playwright.sync_api import Locator, expect

from core.runs import reading
from tests.screenshots.camera import PICTURES, Camera, developed, keep
from tests.screenshots.film import Film

NAMES = ("film", "training")
RUN = re.compile(r"run=(transformer-[\w-]+)")
EVERY = 300
"""Milliseconds between two looks at the training."""
WATCHED, HALF = 40, 0.6
"""Frames of the training, and how far it is on the still picture."""
HEADS = 4
"""How many heads are looked at."""


def film(camera: Camera) -> str:
    """Train the Transformer's first preset and film it. Returns the run's folder name."""
    film = Film()
    camera.open("transformer")
    page = camera.page
    train = page.get_by_role("button", name=re.compile("^(play_arrow )?Train ·"))
    pointer = (760.0, 520.0)
    before = camera.look()
    film.add(before, 900, pointer)
    pointer = _go(film, before, pointer, train)
    film.add(before, 250, pointer, press=True)
    train.click()
    page.mouse.move(760, 60)  # no help over the picture
    run, seen = _watch(camera)
    for frame in _spread(seen, WATCHED):
        film.add(developed(frame), 230)
    keep(developed(seen[int(HALF * (len(seen) - 1))]), "training")
    camera.settle()
    after = camera.look()
    film.add(after, 1800, pointer)
    to_heads = page.locator("[data-testid=stMain]").get_by_role("link", name=re.compile("attention", re.I)).first
    pointer = _go(film, after, pointer, to_heads)
    film.add(after, 250, pointer, press=True)
    _heads(camera, film, pointer, run)
    film.save(PICTURES / "train.webp")
    print(f"film: {len(film.frames)} frames, {film.seconds:.1f} s", flush=True)
    return run


def _watch(camera: Camera) -> tuple[str, list[bytes]]:
    """Look at the run until it has ended. Returns its folder's name and what was seen."""
    camera.page.wait_for_url(RUN)
    slug = RUN.findall(camera.page.url)[0]
    seen = [camera.shot()]
    while reading.find(slug).state.active:
        camera.page.wait_for_timeout(EVERY)
        seen.append(camera.shot())
    return slug, seen


def _spread(seen: list[bytes], most: int) -> list[bytes]:
    return [seen[round(i * (len(seen) - 1) / (most - 1))] for i in range(most)] if len(seen) > most else seen


def _heads(camera: Camera, film: Film, pointer: tuple[float, float], run: str) -> None:
    """Open the attention of the run and point at head after head."""
    camera.open(f"attention?run={run}")
    board = camera.page.locator(".attention")
    expect(board).to_have_attribute("data-opened", re.compile("@"))
    camera.bring(board, 8)
    still = camera.look()
    film.add(still, 900, pointer)
    for head in range(HEADS):
        target = _middle(board, 3 * head % 12)
        film.go(still, pointer, target, 6)
        camera.page.mouse.move(*target)
        camera.rest()
        still, pointer = camera.look(), target
        film.add(still, 900, pointer)
    film.add(still, 900, pointer)


def _middle(board: Locator, index: int) -> tuple[float, float]:
    """Where a head of the board is in the window."""
    box = board.locator(".board .plot").bounding_box()
    assert box
    across, down = 4, 3
    return (
        box["x"] + 24 + (index % across + 0.5) * (box["width"] - 24) / across,
        box["y"] + (index // across + 0.5) * box["height"] / down,
    )


def _go(film: Film, picture: Image.Image, start: tuple[float, float], target: Locator) -> tuple[float, float]:
    """Move the pointer to the middle of something."""
    box = target.bounding_box()
    assert box
    end = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    film.go(picture, start, end)
    return end
