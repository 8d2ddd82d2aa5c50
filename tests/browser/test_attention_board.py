"""The attention page in a real browser: hovering asks nobody, locking goes into the address, saved pages live alone."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from core.inspect.attention import attention_maps
from core.inspect.heads import head_scores, probe
from core.runs import checkpoints
from core.runs.state import Run
from pages.ui.components.grids.attention_board import BoardView, board_page
from pages.ui.plots.attention_maps import pack_maps
from tests.browser.conftest import Visit, asked_of_server

pytestmark = pytest.mark.browser
PROMPT = "ab <img>:\nab ab"  # 15 of the tiny model's 16 characters once < and > are left out
KNOWN = "ab img:\nab ab"


@pytest.fixture
def address(lab: str, finished: Run) -> str:
    """The page with a tiny trained Transformer and a prompt that looks like markup."""
    return f"{lab}/attention?run={finished.slug}&prompt={quote(PROMPT)}"


@pytest.fixture
def page(visit: Visit, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page, in the theme that the test asks for; an error in it fails the test."""
    theme = getattr(request, "param", "light")
    page = visit(1280, 1400, color_scheme=theme)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert not errors


def board_of(page: Page) -> Locator:
    """The board, once it has been drawn with an opened head."""
    board = page.locator(".attention")
    expect(board).to_have_attribute("data-opened", re.compile("@"), timeout=60_000)
    return board


def middle(page: Page, head: int) -> tuple[float, float]:
    """Where a head of the 2 × 2 board is on the screen."""
    box = page.locator(".board .plot").bounding_box()
    assert box
    cell = min(128, (box["width"] - 24) // 2)
    return box["x"] + 24 + (head % 2 + 0.5) * cell, box["y"] + (head // 2 + 0.5) * (box["height"] - 3) / 2


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_hover_lock_and_the_link_in_another_browser(page: Page, address: str, visit: Visit, finished: Run) -> None:
    page.goto(address)
    board = board_of(page)
    assert board.locator(".chars").inner_text().replace("\n", "") == KNOWN.replace("\n", "↵")
    sent = asked_of_server(page)

    page.mouse.move(*middle(page, 2))
    expect(board).to_have_attribute("data-shown", "1.0")
    board.locator(".chars [data-at='9']").hover()
    expect(board).to_have_attribute("data-focus", "9")
    model, tokenizer = checkpoints.load_model(finished)
    maps = attention_maps(model, tokenizer.encode(KNOWN))
    key = int(maps.pattern[0, 0, 9].argmax())
    expect(board.locator(".text .readout")).to_contain_text(f"{key} “{KNOWN[key]}” {maps.pattern[0, 0, 9, key]:.3f}")
    assert sent == []

    page.mouse.click(*middle(page, 2))
    expect(board).to_have_attribute("data-details", re.compile(r"1\.0"))
    page.keyboard.down("Shift")
    page.mouse.click(*middle(page, 1))
    page.keyboard.up("Shift")
    board.get_by_role("button", name="View", exact=True).click()
    board.get_by_role("button", name="lines").click()
    board.get_by_role("button", name="weight × value").click()
    board.locator(".chars [data-at='9']").click()
    expect(board).to_have_attribute("data-opened", "0.1@9")
    page.wait_for_url(re.compile(r"heads=1\.0%2C0\.1.*query=9|query=9.*heads=1\.0%2C0\.1"))
    wanted = {n: board.get_attribute(f"data-{n}") for n in ("board", "heads", "query", "mode", "opened")}
    assert wanted["mode"] == "value,lines" and sent

    second = visit(1280, 1400)
    second.goto(page.url)
    again = board_of(second)
    for name, value in wanted.items():
        expect(again).to_have_attribute(f"data-{name}", value or "")


def test_the_keyboard_reaches_everything(page: Page, address: str) -> None:
    page.goto(address)
    board = board_of(page)
    board.locator(".chars").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    expect(board).to_have_attribute("data-focus", "2")
    page.keyboard.press("Enter")
    expect(board).to_have_attribute("data-query", "2")
    page.wait_for_url(re.compile("query=2"))
    page.keyboard.press("Escape")
    expect(board).to_have_attribute("data-query", "")
    page.wait_for_url(lambda url: "query" not in url)
    board.locator(".board .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(board).to_have_attribute("data-shown", "1.1")
    page.keyboard.press("Enter")
    expect(board).to_have_attribute("data-opened", re.compile("1.1@"))
    page.wait_for_url(re.compile("heads=1.1"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+Enter")
    expect(board).to_have_attribute("data-opened", re.compile("0.1@"))
    page.wait_for_url(re.compile("heads=1.1%2C0.1"))
    page.keyboard.press("Escape")
    expect(board).to_have_attribute("data-heads", "0.1")
    page.wait_for_url(lambda url: "heads=0.1" in url)


def test_scores_become_weights_step_by_step_or_played(page: Page, address: str, finished: Run) -> None:
    """Each step says the traced number of the heaviest key; played it moves through all, with less motion never."""
    page.goto(address)
    board = board_of(page)
    board.locator(".chars [data-at='9']").click()
    expect(board).to_have_attribute("data-opened", "0.0@9")
    model, tokenizer = checkpoints.load_model(finished)
    head = attention_maps(model, tokenizer.encode(KNOWN)).open(0, 0)
    key = int(head.pattern[9].argmax())
    steps = {
        "q · k": f"{head.q[9] @ head.k[key]:.3f}",
        "÷ √": f"{head.attn_scores[9, key]:.3f}",
        "÷ sum": f"{head.pattern[9, key]:.4f}",
    }
    for name, number in steps.items():
        board.get_by_role("button", name=name).click()
        expect(board.locator(".query .readout").first).to_contain_text(number.replace("-", "−"))
    board.get_by_role("button", name="Play").click()
    expect(board).to_have_attribute("data-stage", re.compile(r"^[0-3]\."))
    expect(board).to_have_attribute("data-stage", "4.00", timeout=20_000)
    page.emulate_media(reduced_motion="reduce")
    expect(board.get_by_role("button", name="Play")).to_be_hidden()


def test_pictures_and_the_page_are_saved_and_live_without_a_server(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address)
    board = board_of(page)
    for kind, begin in (("PNG", b"\x89PNG"), ("SVG", b"<svg xmlns")):
        with page.expect_download() as saved:
            board.locator(".head").get_by_role("button", name=kind).click()
        assert Path(saved.value.path()).read_bytes().startswith(begin)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Page (.html)").click()
    file = tmp_path / "saved.html"
    saved.value.save_as(file)

    page.context.set_offline(True)
    page.goto(file.as_uri())
    alone = board_of(page)
    alone.locator(".chars [data-at='3']").hover()
    expect(alone).to_have_attribute("data-focus", "3")
    page.mouse.click(*middle(page, 3))
    expect(alone).to_have_attribute("data-opened", re.compile(r"^1\.1@"))
    assert page.locator("img").count() == 0


def test_characters_of_another_direction_stay_in_their_places(page: Page, tmp_path: Path, finished: Run) -> None:
    """Cells go from left to right whatever they hold, and what cannot be seen has a sign and its code point."""
    model, tokenizer = checkpoints.load_model(finished)
    maps = attention_maps(model, tokenizer.encode(KNOWN))
    text = "אבגדהוזחט\u200b\u0301\u202ea"
    saved = board_page(pack_maps(maps), text, maps, view=BoardView(), title="Heads", about="All of them.")
    (tmp_path / "page.html").write_bytes(saved)
    page.goto((tmp_path / "page.html").as_uri())
    letters = board_of(page).locator(".chars [data-at]")

    lefts = letters.evaluate_all("all => all.map((node) => node.getBoundingClientRect().left)")
    assert len(lefts) == len(text) and lefts == sorted(lefts)
    assert [letters.nth(i).inner_text() for i in (0, 9, 10, 11)] == ["א", "ZWSP", "◌\u0301", "RLO"]
    assert letters.nth(9).get_attribute("title") == "U+200B"


def test_prices_and_labels_sort_the_board(page: Page, tmp_path: Path, finished: Run) -> None:
    """What a head is worth stands beside it, and orders the board; a saved page shows it as the app does."""
    model, tokenizer = checkpoints.load_model(finished)
    maps = attention_maps(model, tokenizer.encode(KNOWN))
    scores = head_scores(model, probe("ROMEO:\nAy, good morrow.\n\n" * 9, tokenizer, model.context))
    prices = {(0, 0): (0.01, 0.002), (0, 1): (-0.003, 0.001), (1, 0): (0.25, 0.01), (1, 1): (0.04, 0.002)}
    view = BoardView(((0, 1),), sort="price")
    saved = board_page(
        pack_maps(maps), KNOWN, maps, scores=scores, prices=prices, view=view, title="Heads", about="All of them."
    )
    (tmp_path / "page.html").write_bytes(saved)
    page.context.set_offline(True)
    page.goto((tmp_path / "page.html").as_uri())
    board = board_of(page)

    expect(board.locator(".board .readout")).to_contain_text("changes by −0.0030 ± 0.0010 nats")
    box = board.locator(".board .plot").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 40)
    expect(board).to_have_attribute("data-shown", "1.0")
    expect(board.locator(".board .readout")).to_contain_text("+0.2500 ± 0.0100 nats")
    board.get_by_role("button", name="View", exact=True).click()
    board.get_by_label("Sort").select_option("layer")
    board.get_by_role("button", name="View", exact=True).click()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # drawn in new order
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    expect(board).to_have_attribute("data-shown", "0.0")
    best = int(np.nanargmax(scores.lift[:, 0, 0]))
    assert f"{scores.kinds[best].title} {scores.score[best, 0, 0]:.2f}" in board.locator(".board .readout").inner_text()
