"""From logits to a character in a real browser: at once, without the server, and with Python's own numbers."""

import math
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from core import checkpoints
from core.inspect.lens import next_logits
from core.inspect.surprise import surprise
from core.runs import Run
from core.sampling import SamplingConfig, next_distribution
from tests.browser.conftest import Serve
from tests.conftest import copied

pytestmark = pytest.mark.browser
PROMPT = "ROMEO:\nWh"


@pytest.fixture
def run(trained: Path) -> Run:
    return copied(trained, trained.name)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose errors fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"dialog {dialog.message}") or dialog.dismiss())
    yield page
    context.close()
    assert not errors


def bars(page: Page) -> np.ndarray:
    """The probabilities that the bars have, by the characters' numbers."""
    found = page.locator(".bar-of").evaluate_all("nodes => nodes.map(n => [+n.dataset.id, +n.dataset.p])")
    return np.array([p for _, p in sorted(found)])


def test_the_bars_follow_the_sliders_without_the_server(
    page: Page, browser: Browser, serve: Serve, home: Path, run: Run
):
    asked: list[str | bytes] = []
    page.on("websocket", lambda socket: socket.on("framesent", asked.append))
    url = serve("app.py", {"BARDLAB_HOME": str(home)})
    page.goto(f"{url}/prediction?run={run.slug}&prompt={quote(PROMPT)}")
    expect(page.locator(".bar-of")).to_have_count(65, timeout=60_000)
    expect(page.locator("[data-testid=stMain] [data-stale=true]")).to_have_count(0)
    model, tokenizer = checkpoints.load_model(run)
    logits = next_logits(model, tokenizer.encode(PROMPT))
    asked.clear()

    for temperature, top_k, top_p in [(1, 0, 1), (0.05, 0, 1), (0.7, 5, 1), (1.5, 0, 0.6), (3, 20, 0.33), (0, 0, 1)]:
        for name, value in (("temperature", temperature), ("top_k", top_k), ("top_p", top_p)):
            page.get_by_role("slider", name=name, exact=True).fill(str(value))
        config = SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p)
        expected = next_distribution(logits, config).double().numpy()
        np.testing.assert_allclose(bars(page), expected, atol=2e-6)
        assert ((bars(page) > 0) == (expected > 0)).all()

    page.get_by_role("slider", name="temperature", exact=True).fill("0.8")
    page.get_by_role("slider", name="top_k", exact=True).fill("7")
    third = int(logits.argsort(descending=True)[2])
    page.locator(f".bar-of[data-id='{third}']").hover()
    x = logits / 0.8
    exps, kept = x.exp().double(), logits.topk(7).indices
    detail = page.locator(".next_character .detail")
    expect(detail).to_contain_text(f"logit {logits[third]:.4f} ÷ temperature 0.80 = {x[third]:.4f}, 3 of 65")
    expect(detail).to_contain_text(f"exp({x[third]:.4f}) / (exp({x.max():.4f}) + ")
    expect(detail).to_contain_text(f" + 3 more) = {exps[third]:.4f} / {exps[kept].sum():.4f}")
    expect(detail).to_contain_text(f" = {exps[third] / exps[kept].sum():.4f}.")
    page.locator(f".bar-of[data-id='{third}']").click()
    assert asked == [], "a slider or a bar asked the server"
    query = parse_qs(urlsplit(page.url).query)
    assert (query["temperature"], query["top_k"], query["character"]) == (["0.8"], ["7"], [tokenizer.chars[third]])

    other = browser.new_context().new_page()  # the link, opened by somebody else
    other.goto(page.url)
    expect(other.locator(".next_character .detail")).to_have_text(detail.inner_text().replace("\n", ""), timeout=60_000)
    np.testing.assert_array_equal(bars(other), bars(page))
    other.context.close()

    page.locator(".chart").press("Enter")  # the server appends it, and the next distribution comes
    longer = PROMPT + tokenizer.chars[third]
    expect(page.get_by_label("Prompt")).to_have_value(longer)
    expect(page.locator(".branch")).to_have_count(1)
    second = next_distribution(next_logits(model, tokenizer.encode(longer)), SamplingConfig(temperature=0.8, top_k=7))
    np.testing.assert_allclose(bars(page), second.double().numpy(), atol=2e-6)
    paid = torch.log_softmax(logits.double(), -1)[third]
    expect(page.locator(".tree tr")).to_contain_text(f"{paid:.3f} nats")

    page.get_by_role("button", name="Back one").click()
    expect(page.get_by_label("Prompt")).to_have_value(PROMPT)
    page.get_by_role("button", name="Draw one").click()
    expect(page.locator(".next_character .detail")).to_contain_text("the random number")
    page.locator(".branch").first.click()
    expect(page.locator(".branch[aria-pressed=true]")).to_have_count(1)
    with page.expect_download() as saved:
        page.get_by_role("button", name="SVG").click()
    assert Path(saved.value.path()).read_text().count('class="bar-of"') == 65


def test_a_lens_cell_and_a_passage_in_the_browser(page: Page, serve: Serve, home: Path, run: Run):
    """Arrow keys move the lens and the address follows; markup stays text; hovering tells Python's bits."""
    url = serve("app.py", {"BARDLAB_HOME": str(home)})
    markup = "<img src=x onerror=alert(1)>"
    page.goto(f"{url}/prediction?run={run.slug}&view=lens&prompt={quote(markup)}")
    page.locator(".grid svg").wait_for()
    page.locator(".grid").press("ArrowLeft")
    page.locator(".grid").press("ArrowDown")
    page.wait_for_url(f"**position={len(markup) - 1}*")
    expect(page.get_by_text(f"The prediction after character {len(markup) - 1}")).to_be_visible()
    assert "row=1" in page.url  # L0, below L1
    assert page.locator("img[src=x]").count() == 0

    model, tokenizer = checkpoints.load_model(run)
    text = "Good morrow & <b>good day</b>"
    known = tokenizer.drop_unknown(text)
    page.goto(f"{url}/surprise?run={run.slug}&text={quote(text)}&mark=6")
    found = surprise(model, tokenizer.encode(known))
    row = page.locator(".passage .detail tr").nth(1)
    expect(row).to_contain_text(f"{found.bits[4]:.3f}", timeout=60_000)
    expect(row).to_contain_text(str(found.rank[4]))
    assert math.isclose(2 ** -found.bits[4], found.chances[4][found.rank[4] - 1], rel_tol=1e-6) or found.rank[4] > 5
    assert page.locator(".passage text").count() == len(known)
