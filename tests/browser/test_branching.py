"""Branch and rewind in a real browser: point, take a rival, go back, reload: the same tree."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.test_newcomer import settled
from tests.conftest import copied

pytestmark = pytest.mark.browser


def address(page: Page) -> dict[str, str]:
    """The query of the address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_one_points_branches_rewinds_and_reloads(visit: Visit, lab: str, trained: Path):
    copied(trained, trained.name)
    page = visit()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{lab}/branches?prompt=ROMEO:&temperature=0.7&seed=5&tokens=20")
    settled(page, "Branches")
    letters, tree = page.locator(".branch_text .paper [data-i]"), page.locator(".branch_tree")
    expect(letters).to_have_count(20)
    before = letters.all_text_contents()
    assert tree.bounding_box()["y"] < 500  # type: ignore[index]

    letters.nth(4).hover()
    expect(page.locator(".branch_text")).to_have_attribute("data-shown", "4")
    assert page.locator(".branch_text .head b").inner_text() and "tree" in address(page)
    letters.nth(4).click()
    expect(letters.nth(4)).to_have_class(re.compile("kept"))
    expect(page).to_have_url(re.compile("at=0-4"))
    rivals = page.locator(".branch_text .rivals .row")
    expect(rivals).to_have_count(65)  # all that the model knows

    page.locator(".branch_text .why").first.click()
    expect(page.get_by_role("heading", name="Why not")).to_be_visible()
    expect(page.locator("[data-testid=stPlotlyChart]")).to_be_visible()

    taken = page.locator(".branch_text .rivals button.row", has_text=re.compile("^[A-Za-z]")).first
    character = taken.locator("b").inner_text()
    taken.click()
    expect(tree).to_have_attribute("data-branches", "2")
    expect(letters).to_have_count(25)
    expect(letters.nth(4)).to_have_text(re.compile(re.escape(character)))
    assert letters.all_text_contents()[:4] == before[:4]

    tree.locator("[data-branch='0'] .hit").click(position={"x": 10, "y": 8})  # back to the first branch, its beginning
    expect(letters).to_have_count(20)
    expect(letters.nth(0)).to_have_class(re.compile("kept"))
    page.get_by_role("button", name="Go on from here").click()
    expect(tree).to_have_attribute("data-branches", "3")
    expect(letters).to_have_count(21)
    settled(page)
    expect(page).to_have_url(re.compile(r"at=2\b"))
    labels, text = tree.locator("[role=treeitem]").all_text_contents(), letters.all_text_contents()
    assert address(page)["prompt"] == "ROMEO:" and address(page)["tree"].count("_") == 2

    page.reload()
    settled(page, "Branches")
    expect(tree).to_have_attribute("data-branches", "3")
    expect(letters).to_have_count(21)
    assert tree.locator("[role=treeitem]").all_text_contents() == labels and letters.all_text_contents() == text

    tree.locator("[data-fold='0']").click()
    expect(tree.locator("[role=treeitem]")).to_have_count(1)
    page.get_by_role("button", name="Delete branch").click()
    expect(tree).to_have_attribute("data-branches", "2")
    page.get_by_role("link", name="Attention").last.click()
    settled(page, "Attention")
    assert page.get_by_role("textbox", name="Prompt").input_value().startswith("ROMEO:")
    page.go_back()
    expect(tree).to_have_attribute("data-branches", "2")
    assert not wrong
