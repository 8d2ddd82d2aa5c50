"""A page's link: copied with one click, with all that is set; hidden, locked and alone as a teacher wants it."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.test_newcomer import settled
from tests.conftest import copied

pytestmark = pytest.mark.browser


def test_a_link_is_copied_with_one_click_and_shows_what_the_teacher_set(visit: Visit, lab: str, trained: Path):
    """From hidden menu and locked form to the axes of the chart; alone, the picture is all there is."""
    run = copied(trained, "transformer-mine")
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=lab)
    page.goto(f"{lab}/transformer?run={run.slug}&hide=sidebar,terminal&lock=model.n_head&set=model.n_head=2&smooth=0.8")
    settled(page, "Transformer")
    chart = page.locator(".curves").first
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.locator(".st-key-transformer-model-n_head").get_by_role("slider")).to_be_disabled()
    chart.get_by_role("button", name="Axes").click()
    expect(chart.get_by_label("Smoothing")).to_have_value("0.8")
    chart.get_by_label("x axis").select_option("clock")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert all(part in link for part in ("x=clock", "smooth=0.8", "hide=", "lock=", "n_head", f"run={run.slug}"))

    page.goto(link.replace("hide=", "only=picture&was="))
    chart = page.locator(".curves").first
    expect(chart.locator(".legend")).not_to_be_empty()
    for gone in (page.get_by_role("heading"), page.get_by_test_id("stSidebar"), page.get_by_test_id("stButton")):
        expect(gone.first).to_be_hidden()
    assert chart.locator(".plot").get_attribute("aria-label").find("by clock on the wall") > 0
