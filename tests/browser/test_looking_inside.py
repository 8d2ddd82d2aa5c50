"""The pages that look inside, in a real browser: what moves without the server, what a link brings back, what is saved.

One server for all: with the shipped Transformer, a tiny one, and one that has learned a text full of markup.
"""

import csv
import io
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

from core import paths
from core.inspect.lens import next_logits
from core.jobs import work
from core.runs import checkpoints, editing, layout, plan, reading, records
from core.runs.state import Run
from core.sampling import SamplingConfig, generate, next_distribution
from core.texts import own as texts_own
from core.texts.labels import visible
from tests.browser.conftest import Visit, asked_of_server, go, know, start_app, stop_app, wait_until_up
from tests.browser.test_newcomer import settled
from tests.conftest import TINY

pytestmark = pytest.mark.browser
SHIPPED = "pretrained/transformer"
PROMPT = "ROMEO:\nBut, soft! what light through yonder window b"
MARKUP = "<img src=x onerror=alert(1)>"
SOON = 60_000  # ms that anything may take
PEN = {"left": 44, "right": 14}  # of the time machine's charts over steps, px


@dataclass(frozen=True)
class House:
    """The app and the runs in it."""

    url: str
    shipped: Run
    tiny: Run
    marked: Run


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, trained: Path, known: Path) -> Iterator[House]:
    home = tmp_path_factory.mktemp("looking")
    know(home, known)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BARDLAB_PRETRAINED", raising=False)
        shutil.copytree(paths.pretrained() / "transformer", home / "pretrained" / "transformer")
        env = {"BARDLAB_HOME": str(home), "BARDLAB_PRETRAINED": str(home / "pretrained")}
        for name, value in env.items():
            patch.setenv(name, value)
        shutil.copytree(trained, paths.runs() / "tiny")
        own = texts_own.add((f"{MARKUP}\n" * 400).encode(), "Markup")
        model, train = {**TINY["transformer"]["model"], "context": 32}, TINY["transformer"]["train"]
        planned = plan.plan("transformer", model=model, train=train, device="cpu", corpus_name=own.name)
        marked = work.work(editing.create(planned).path)
        log = home / "app.log"
        process, url = start_app("app.py", log, env)
        try:
            wait_until_up(process, url, log)
            yield House(url, reading.find(SHIPPED), reading.find("tiny"), marked)
        finally:
            stop_app(process)


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """A page on which an error, or a dialog, fails the test."""
    wrong: list[str] = []
    watch: dict[Literal["pageerror", "dialog"], Callable[[Any], None]] = {
        "pageerror": lambda error: wrong.append(str(error)),
        "dialog": lambda dialog: (wrong.append(dialog.message), dialog.dismiss()),
    }
    for event, note in watch.items():
        page.on(event, note)
    yield page
    for event, note in watch.items():
        page.remove_listener(event, note)
    assert wrong == []


@pytest.fixture
def page(visit: Visit) -> Iterator[Page]:
    """A visitor's page. An error in it, or a dialog, fails the test."""
    with watched(visit(1280, 1200)) as page:
        yield page
        page.close()


@pytest.fixture
def tab(walk: Visit) -> Iterator[Page]:
    """A page that others were on before, for what does not depend on settings, which a visitor keeps."""
    with watched(walk(1280, 1200)) as page:
        yield page


def open_page(page: Page, house: House, path: str, **query: str) -> None:
    """Open a page and wait until it is drawn."""
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    go(page, f"{house.url}/{path}?{asked}")
    settled(page)


def address(page: Page) -> dict[str, str]:
    """The query of the address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query, keep_blank_values=True).items()}


def tab_to(page: Page, target: Locator, most: int = 60) -> None:
    """Press Tab until the focus is on an element."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("node => node.getRootNode().activeElement === node"):
            return
    raise AssertionError(f"{most} times Tab do not reach {target}")


def saved(page: Page, button: Locator) -> bytes:
    """Press a button that saves a file; return its content."""
    with page.expect_download() as download:
        button.click()
    return Path(download.value.path()).read_bytes()


def elsewhere(visit: Visit, page: Page) -> Page:
    """The same address in the browser of somebody else."""
    other = visit(1280, 1200)
    other.goto(page.url)
    settled(other)
    return other


# ---- the first screen -----------------------------------------------------------------------------------------------

FIRST = {
    "attention": ".attention section.board .plot",
    "prediction": ".next_character .chart",
    "prediction?view=lens": ".lens_grid .grid",
    "surprise": ".passage .paper",
    "embeddings": "[data-testid=stPlotlyChart]",
    "time": ".machine .loss canvas",
    "knockout": "table[role=grid]",
    "knockout?tool=patching": "table[role=grid]",
    "stage": ".stage .card",
    "write": ".st-key-paper",
    "branches": ".branch_text .paper",
    "sweeps": ".curves .plot",
    "text": "[data-testid=stDataFrame]",
}
"""Where the first thing is that a page is opened for, by its address."""
WHOLE = {"attention": (".board .plot", ".head .plot"), "time": (".loss canvas", ".map canvas")}
"""What is to be seen at once, without scrolling."""


def test_every_page_shows_what_it_is_for_on_the_first_screen(page: Page, house: House) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    places = {}
    for address, first in FIRST.items():
        path, _, query = address.partition("?")
        open_page(page, house, path, run=SHIPPED, **dict(parse_qsl(query)))
        page.locator(first).first.wait_for()
        for _ in range(400):  # it may still move up as the page is completed
            box = page.locator(first).first.bounding_box()
            places[address] = box["y"] if box else 1e6
            if places[address] < 350:
                break
            page.wait_for_timeout(50)
        for part in WHOLE.get(address, ()):
            expect(page.locator(part).first).to_be_in_viewport(ratio=0.98)
    assert {address: y for address, y in places.items() if y >= 350} == {}


def test_models_write_side_by_side_while_one_looks(page: Page, house: House) -> None:
    """What stands in the columns at the end is what each model writes alone, character by character."""
    both = (house.tiny, house.shipped)
    slugs = f"{house.tiny.slug},{SHIPPED}"
    open_page(page, house, "stage", prompt=PROMPT, tokens="200", seed="7", **{"with": slugs})
    stage = page.locator(".stage")
    expect(stage).to_have_attribute("aria-busy", "false", timeout=60_000)
    expect(stage).to_have_attribute("data-shown", "200")
    cards = stage.locator(".card pre")
    shown = [
        card.evaluate("node => [...node.querySelectorAll('[data-at]')].map((n) => n.textContent)")
        for card in cards.all()
    ]
    for run in both:
        model, tokenizer = checkpoints.load_model(run)
        choices = generate(model, tokenizer.encode(PROMPT), SamplingConfig(tokens=200, temperature=0.8, seed=7))
        text = tokenizer.decode([choice.id for choice in choices])
        assert ["↵\n" if letter == "\n" else letter for letter in text] in shown


# ---- prediction -----------------------------------------------------------------------------------------------------


def bars(page: Page) -> Locator:
    """The bars of the next character, once they are drawn."""
    found = page.locator(".next_character")
    expect(found).to_have_attribute("data-kept", re.compile(r"\d"))
    return found


def heights(found: Locator) -> list[float]:
    """The probability of each character, as the bars have it."""
    chances: list[float] = found.evaluate(
        "node => [...node.querySelectorAll('.bar-of')].sort((a, b) => a.dataset.id - b.dataset.id)"
        ".map((bar) => Number(bar.dataset.p))"
    )
    return chances


def test_bars_follow_the_sliders_without_the_server(page: Page, house: House) -> None:
    """All 65 bars are those of the product's own sampling, at any setting, and nothing is asked of the server."""
    model, tokenizer = checkpoints.load_model(house.shipped)
    logits = next_logits(model, tokenizer.encode(PROMPT))
    open_page(page, house, "prediction", run=SHIPPED, prompt=PROMPT)
    found = bars(page)

    def expected(**settings: float) -> np.ndarray:
        return next_distribution(torch.as_tensor(logits), SamplingConfig(**settings)).numpy()

    assert found.locator(".bar-of").count() == 65
    np.testing.assert_allclose(heights(found), expected(), atol=1e-5)
    sent = asked_of_server(page)
    settings: dict[str, Any] = {}
    for name, value in (("temperature", 0.5), ("top_k", 9), ("top_p", 0.9)):
        settings[name] = value
        found.locator(f"input[aria-label$='{name}' i]").fill(str(value))
        np.testing.assert_allclose(heights(found), expected(**settings), atol=1e-5)
    kept = int((expected(**settings) > 0).sum())
    assert found.get_attribute("data-kept") == str(kept) and kept < 9
    assert "at least 0.9 of the probability" in found.locator("svg").text_content()

    at = int(expected().argsort()[-2])
    found.locator(f".bar-of[data-id='{at}']").hover()
    expect(found.locator(".detail")).to_have_attribute("data-character", tokenizer.decode([at]))
    words = found.locator(".detail").inner_text()
    assert f"logit {logits[at]:.4f} ÷ temperature 0.50 = {logits[at] / 0.5:.4f}" in words
    assert f"exp({logits[at] / 0.5:.4f})" in words and f"{expected(**settings)[at]:.4f}" in words
    found.locator(f".bar-of[data-id='{at}']").click()
    expect(found.locator(f".bar-of[data-id='{at}']")).to_have_attribute("aria-selected", "true")
    assert sent == []

    page.reload()
    settled(page)
    found = bars(page)
    np.testing.assert_allclose(heights(found), expected(**settings), atol=1e-5)
    expect(found.locator(f".bar-of[data-id='{at}']")).to_have_attribute("aria-selected", "true")


def test_bars_by_keyboard_and_as_files(page: Page, house: House) -> None:
    open_page(page, house, "prediction", run=SHIPPED, prompt=PROMPT)
    found = bars(page)
    tab_to(page, found.locator("input[aria-label$='temperature' i]"))
    page.keyboard.press("ArrowLeft")
    expect(found.locator("input[aria-label$='temperature' i] + output")).not_to_have_text("0.8")
    tab_to(page, found.locator(".chart"))
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    ranked = sorted(range(65), key=lambda i: -heights(found)[i])
    expect(found.locator(f".bar-of[data-id='{ranked[1]}']")).to_have_attribute("aria-selected", "true")

    rows = list(csv.DictReader(io.StringIO(saved(page, found.get_by_role("button", name="CSV")).decode())))
    np.testing.assert_allclose([float(row["probability"]) for row in rows], heights(found), rtol=1e-12)
    drawing = ElementTree.fromstring(saved(page, found.get_by_role("button", name="SVG")))
    solid = drawing.findall(".//{http://www.w3.org/2000/svg}rect[@class='solid']")
    tall = np.array([float(bar.get("height") or 0) for bar in solid])
    np.testing.assert_allclose(tall, np.maximum(0.5, tall.max() * np.array(heights(found)) / max(heights(found))), 1e-6)
    assert saved(page, found.get_by_role("button", name="PNG")).startswith(b"\x89PNG")

    chosen = found.locator(".detail").get_attribute("data-character")
    found.locator(".chart").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value(PROMPT + chosen)
    expect(found.locator(".branch")).to_have_text(chosen)


def test_a_position_of_the_lens_goes_into_the_address(page: Page, house: House) -> None:
    """A position is the number of its character, the line break (number 7) counted like any other."""
    open_page(page, house, "prediction", run=SHIPPED, prompt=PROMPT, view="lens")
    lens = page.locator(".lens_grid")
    lens.locator("svg > g:not(.frames) rect").nth(2 * len(PROMPT) + 26).click()
    page.wait_for_url(re.compile(r"position=27\b"))
    expect(lens.locator(".detail")).to_contain_text(f"After L1, at character 27 {visible(PROMPT[26])}")
    expect(page.get_by_text("The prediction after character 27")).to_be_visible()
    assert address(page)["row"] == "2"
    lens.locator(".grid").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.wait_for_url(re.compile(r"position=26\b"))
    settled(page)

    page.reload()
    settled(page)
    expect(lens.locator(".detail")).to_contain_text(f"After L2, at character 26 {visible(PROMPT[25])}")
    expect(page.get_by_text("The prediction after character 26")).to_be_visible()
    assert (address(page)["row"], address(page)["position"]) == ("3", "26")


# ---- knock-out ------------------------------------------------------------------------------------------------------


def metric(page: Page, label: str) -> Locator:
    """A number of the page with what stands below it."""
    return page.locator("[data-testid=stMetric]").filter(has=page.get_by_text(label, exact=True))


def told(page: Page) -> dict[str, str]:
    """What the page says of what is off: the cells, the numbers, the sample."""
    pressed = page.locator("table[role=grid] button[aria-pressed=true]")
    off = pressed.evaluate_all("all => all.map((button) => button.dataset.key)")
    numbers = page.locator("[data-testid=stMetric]").all_inner_texts()
    written = [page.get_by_label(title, exact=True).inner_text() for title in ("Everything on", "Without")]
    return {"off": ",".join(off), "numbers": "\n".join(numbers), "written": "\n".join(written)}


def test_a_click_switches_a_head_off_and_the_link_says_so(page: Page, house: House, visit: Visit) -> None:
    open_page(page, house, "knockout", run=SHIPPED)
    grid = page.get_by_role("grid", name="Parts of the model")
    assert metric(page, "Loss without").count() == 0

    grid.locator("[data-key='0.2']").click()
    expect(metric(page, "Loss without")).to_be_visible(timeout=SOON)
    expect(page.get_by_label("Without", exact=True)).to_be_visible(timeout=SOON)
    settled(page)
    here = told(page)
    assert here["off"] == address(page)["off"] == "0.2"
    marks = page.get_by_label("Without", exact=True).locator("mark")
    assert marks.count() > 0
    everything = page.get_by_text(re.compile(r"the loss there is \d")).inner_text()
    loss = float(re.findall(r"the loss there is (\d\.\d+)", everything)[0])
    found = metric(page, "Loss without")
    without = float(found.locator("[data-testid=stMetricValue]").inner_text())
    change = float(re.findall(r"[+-]\d\.\d+", found.locator("[data-testid=stMetricDelta]").inner_text())[0])
    assert change and without - loss == pytest.approx(change, abs=1.1e-4)

    other = elsewhere(visit, page)
    expect(other.get_by_label("Without", exact=True)).to_be_visible()
    expect(metric(other, "Loss without")).to_be_visible()  # by a script that a new visitor's browser fetches first
    settled(other)
    assert told(other) == here
    other.close()

    tab_to(page, grid.locator("[data-key='0.2']"))
    for key in ("ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    expect(metric(page, "Loss without")).to_have_count(0)
    expect(grid.locator("[aria-pressed=true]")).to_have_count(0)
    assert "off" not in address(page)


# ---- time machine ---------------------------------------------------------------------------------------------------


def machine_of(page: Page) -> Locator:
    """The time machine, once its frames are there."""
    found = page.locator(".machine")
    expect(found).to_have_attribute("data-step", re.compile(r"\d"))
    return found


def look(machine: Locator) -> dict[str, str]:
    """Everything that a snapshot shows: what is drawn, the bars, the text."""
    machine.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found: dict[str, str] = machine.evaluate(
        "node => Object.fromEntries([...[...node.querySelectorAll('section canvas')].map((canvas) =>"
        " [canvas.closest('section').className, canvas.toDataURL()]),"
        " ['bars', node.querySelector('.rows').innerText], ['text', node.querySelector('pre').innerText],"
        " ['readout', node.querySelector('.readout').innerText], ['said', node.querySelector('.said').innerText]])"
    )
    return found


def marker(machine: Locator, chart: str) -> float:
    """Where the marker stands on a chart over steps, as a share of its width."""
    share: float = machine.evaluate(
        """(node, [chart, pen]) => {
          const canvas = node.querySelector(`.${chart} canvas`);
          const probe = document.createElement("canvas").getContext("2d");
          probe.fillStyle = getComputedStyle(node).getPropertyValue("--st-primary-color");
          probe.fillRect(0, 0, 1, 1);
          const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
          const fine = canvas.width / canvas.clientWidth;
          const row = canvas.getContext("2d").getImageData(0, Math.round(10 * fine), canvas.width, 1).data;
          const hits = [];
          for (let x = 0; x < canvas.width; x++) {
            const [i, near] = [4 * x, (a, b) => Math.abs(a - b) < 40];
            if (row[i + 3] > 100 && near(row[i], r) && near(row[i + 1], g) && near(row[i + 2], b)) hits.push(x);
          }
          const middle = hits.reduce((a, b) => a + b, 0) / hits.length / fine;
          return (middle - pen.left) / (canvas.clientWidth - pen.left - pen.right);
        }""",
        [chart, PEN],
    )
    return share


def test_the_slider_moves_everything_together(page: Page, house: House, visit: Visit) -> None:
    steps = layout.snapshot_steps(house.shipped.path)
    of = house.shipped.status.of
    open_page(page, house, "time", run=SHIPPED)
    machine = machine_of(page)
    expect(machine).to_have_attribute("data-step", str(steps[-1]))
    sent = asked_of_server(page)
    tab_to(page, machine.get_by_label("Snapshot"))
    seen = {steps[-1]: look(machine)}
    for step in reversed(steps[:-1]):
        page.keyboard.press("ArrowLeft")
        expect(machine).to_have_attribute("data-step", str(step))
        seen[step] = look(machine)
        assert f"step {step:,} of {of:,}" in seen[step]["readout"] and f"At step {step:,}" in seen[step]["said"]
        for chart in ("loss", "careers"):
            assert marker(machine, chart) == pytest.approx(step / of, abs=0.004)
    for part in seen[0]:
        assert len({shown[part] for shown in seen.values()}) == len(steps), f"{part} stands still"
    assert sent == []
    samples = {sample.step: sample for sample in records.samples(house.shipped.path)}
    assert seen[0]["text"].endswith(samples[0].text.rstrip("\n")[-40:])

    for chart in ("loss", "careers"):
        canvas = machine.locator(f".{chart} canvas")
        box = canvas.bounding_box()
        assert box
        target = steps[2 if chart == "loss" else 1]
        x = PEN["left"] + (target / of) * (box["width"] - PEN["left"] - PEN["right"])
        canvas.click(position={"x": x + 2, "y": 60})
        expect(machine).to_have_attribute("data-step", str(target))
    page.wait_for_url(re.compile(rf"step={steps[1]}\b"))
    page.mouse.move(5, 5)
    here = look(machine)
    assert here == seen[steps[1]]
    other = elsewhere(visit, page)
    assert look(machine_of(other)) == here
    other.close()

    machine.get_by_role("button", name="Play").click()
    for step in steps[2:]:
        expect(machine).to_have_attribute("data-step", str(step))
    expect(machine.get_by_role("button", name="Play")).to_be_visible()
    assert look(machine) == seen[steps[-1]]
    assert sent == []


def test_charts_of_the_time_machine_are_saved(page: Page, house: House) -> None:
    open_page(page, house, "time", run="tiny")
    machine = machine_of(page)
    for chart, kind in (("Loss (nats per character)", "line"), ("Attention", "image"), ("Character vectors", "text")):
        assert saved(page, machine.get_by_role("button", name=f"Save {chart} as png")).startswith(b"\x89PNG")
        drawing = ElementTree.fromstring(saved(page, machine.get_by_role("button", name=f"Save {chart} as svg")))
        assert [node for node in drawing.iter() if node.tag.endswith(kind)]
    with page.expect_download() as download:
        page.get_by_role("button", name="Numbers (.csv)").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text("utf-8").splitlines()))
    assert {int(row["step"]) for row in rows} == set(layout.snapshot_steps(house.tiny.path))


# ---- what may go wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["time", "attention", "prediction", "embeddings", "knockout"])
def test_a_snapshot_deleted_while_it_is_looked_at(tab: Page, house: House, path: str) -> None:
    """One line says so; the page goes on with other weights, in the open page and for who comes by the old link."""
    step = layout.snapshot_steps(house.tiny.path)[1]
    open_page(tab, house, path, run="tiny", step=str(step))
    there = layout.snapshot_path(house.tiny.path, step)
    away = there.rename(house.tiny.path / "away")
    try:
        tab.keyboard.press("r")
        said = tab.get_by_text(re.compile(rf"step {step}\b.*(not kept|no snapshot)"))
        expect(said).to_have_count(1)
        settled(tab)
        expect(tab.locator("[data-testid=stMain] [data-testid=stAlertContentError]")).to_have_count(0)
    finally:
        away.rename(there)


BOXES = {"attention": "Prompt", "prediction": "Prompt", "surprise": "Passage", "time": "Prompt"}


@pytest.mark.parametrize("path", BOXES)
def test_markup_is_text(tab: Page, house: House, path: str) -> None:
    """Typed for a model that knows every sign of it: nothing of it becomes part of the page."""
    query = {"with": ""} if path == "surprise" else {}
    open_page(tab, house, path, run=house.marked.slug, **query)
    box = tab.get_by_label(BOXES[path], exact=True)
    box.fill(MARKUP)
    box.press("Control+Enter")
    settled(tab)
    said = {
        "attention": (tab.locator(".attention .chars"), MARKUP),
        "prediction": (tab.locator(".next_character .detail"), "logit"),
        "surprise": (tab.locator(".passage svg"), MARKUP.replace(" ", "·")),
        "time": (tab.locator(".machine .readout"), "step 4"),
    }
    where, what = said[path]
    expect(where).to_contain_text(what)
    expect(box).to_have_value(MARKUP)
    assert tab.locator("[data-testid=stMain] img").count() == 0


def test_a_passage_may_grow_and_shrink_under_the_pointer(tab: Page, house: House) -> None:
    """What was laid out for one text is not looked up for the characters of another."""
    open_page(tab, house, "surprise", run=house.marked.slug, **{"with": ""})
    box, drawn = tab.get_by_label("Passage", exact=True), tab.locator(".passage svg")
    for text in (MARKUP[:5], MARKUP, MARKUP[:5]):
        box.fill(text)
        box.press("Control+Enter")
        expect(drawn).to_have_text(text.replace(" ", "·"))
        drawn.locator("text").last.hover()
    expect(tab.locator("[data-testid=stMain] [data-testid=stAlertContentError]")).to_have_count(0)


@pytest.mark.parametrize("width", [400, 1280])
def test_what_is_said_of_a_character_never_hides_the_passage(tab: Page, house: House, width: int) -> None:
    """With nothing pointed at, all of the passage can be read; beside it, or below, stands what is said."""
    tab.set_viewport_size({"width": width, "height": 800})
    open_page(tab, house, "surprise", run=house.marked.slug, **{"with": ""})
    box = tab.get_by_label("Passage", exact=True)
    box.fill(f"{MARKUP}\n" * 20)
    box.press("Control+Enter")
    letters = tab.locator(".passage svg text")
    expect(letters).to_have_count(20 * (len(MARKUP) + 1))
    letters.nth(200).scroll_into_view_if_needed()
    tab.mouse.move(2, 2)

    def covered() -> int:
        return tab.locator(".passage").evaluate(
            """node => {
              const box = (name) => node.querySelector(name).getBoundingClientRect();
              const [a, b] = [box(".detail"), box(".paper")];
              const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
              const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
              return Math.max(0, Math.min(wide, high));
            }"""
        )

    assert covered() == 0
    letters.nth(200).click()
    expect(tab.locator(".passage .detail")).to_have_class(re.compile("pointed"))
    expect(tab.locator(".passage .detail b").first).to_be_in_viewport()
    assert width == 400 or covered() == 0
    tab.keyboard.press("Escape")
    tab.mouse.move(2, 2)
    expect(tab.locator(".passage .detail")).not_to_have_class(re.compile("pointed"))


def test_a_lens_may_shrink_under_the_pointer(tab: Page, house: House) -> None:
    open_page(tab, house, "prediction", run=house.marked.slug, view="lens")
    box, lens = tab.get_by_label("Prompt", exact=True), tab.locator(".lens_grid")
    for text in (MARKUP, MARKUP[:5]):
        box.fill(text)
        box.press("Control+Enter")
        settled(tab)
        expect(lens.locator("svg > g:not(.frames) rect")).to_have_count(3 * len(text))
        lens.locator("svg > g:not(.frames) rect").last.hover()
        expect(lens.locator(".detail")).to_contain_text(f"at character {len(text)} ")
    expect(tab.locator("[data-testid=stMain] [data-testid=stAlertContentError]")).to_have_count(0)
