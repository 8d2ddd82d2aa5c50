"""The page Write in a browser: each character answers to pointer, finger and keys, with the numbers of the model."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from core.jobs import work
from core.runs import checkpoints, editing, plan
from core.runs.state import Run
from core.sampling import Choice, SamplingConfig, generate
from core.texts import own as texts_own
from tests.browser.conftest import Visit
from tests.browser.test_newcomer import settled
from tests.conftest import TINY, copied

pytestmark = pytest.mark.browser

SETTINGS = "temperature=0.7&top_k=5&seed=21&tokens=100&stop=string&stop_at=zzz"
AT = 57
"""The character that is asked."""
MIXED = "שלום עולם, מה\u200b\nمرحبا\u200c\u200d\u200f\u202e a1e\u0301\n"
"""Two alphabets that run leftwards, marks that stand on letters, and characters without ink or width."""


@pytest.fixture
def run(trained: Path) -> Run:
    return copied(trained, trained.name)


def choices(run: Run, seed: int) -> tuple[list[Choice], str]:
    """What the model draws with these settings, and its alphabet."""
    model, tokenizer = checkpoints.load_model(run)
    config = SamplingConfig(tokens=100, temperature=0.7, top_k=5, seed=seed, beyond="half")
    return list(generate(model, tokenizer.encode("ROMEO:\n"), config)), tokenizer.chars


def write(page: Page) -> None:
    """Press Write and wait for the end."""
    page.get_by_role("button", name="Write", exact=True).click()
    written(page)


def written(page: Page) -> None:
    """Wait until all is written."""
    expect(page.locator(".writing[data-live=false]")).to_be_visible()
    settled(page)  # nothing moves under the pointer any more


def letters(page: Page, column: int = 0) -> Locator:
    """The characters of a text that was written."""
    return page.locator(".writing .paper").nth(column).locator(".line > span:not(.prompt, .unread)")


def letter(page: Page, number: int, column: int = 0) -> Locator:
    """One of them, counted from 0."""
    return letters(page, column).nth(number)


def figure(page: Page, name: str) -> float:
    """A number of the character that is told."""
    told = page.locator(f".writing .detail [data-name={name}]").inner_text()
    return float(re.sub(r"[^\d.e-]", "", told.removesuffix(" bits")))


def check(page: Page, run: Run, number: int, seed: int) -> Choice:
    """Hold the numbers of one character against the model's."""
    drawn, characters = choices(run, seed)
    choice = drawn[number]
    expect(page.locator(".writing .detail .title")).to_contain_text(f"Character {number + 1}")
    assert figure(page, "after") == pytest.approx(choice.probability, abs=6e-5)
    assert figure(page, "bits") == pytest.approx(-choice.log_probability / 0.6931471805599453, abs=6e-4)
    assert figure(page, "rank") == choice.rank
    rows = page.locator(".writing .rivals tr:has(.bars)").all()
    rivals = choice.rivals(10)
    for row, rival in zip(rows, rivals, strict=False):
        name, _, before, after = row.locator("td").all_inner_texts()
        assert name in (characters[rival.id], "␣", "↵")
        assert float(before) == pytest.approx(rival.before, rel=0.06, abs=6e-5)
        assert float(after) == pytest.approx(rival.after, rel=0.06, abs=6e-5)
    assert len(rows) in (len(rivals), len(rivals) + 1)
    return choice


def test_a_character_tells_what_it_was_drawn_from(visit: Visit, lab: str, run: Run, tmp_path: Path) -> None:
    page = visit()
    page.goto(f"{lab}/write?run={run.slug}&samples=2&{SETTINGS}")
    write(page)
    drawn, characters = choices(run, 21)
    text = "".join(characters[choice.id] for choice in drawn)

    letter(page, AT).hover()
    check(page, run, AT, 21)
    letter(page, AT, column=1).click()
    page.locator(".writing .bar .count").hover()
    check(page, run, AT, 22)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    check(page, run, 1, 22)
    letter(page, AT).click()
    page.locator(".writing .bar .count").hover()
    check(page, run, AT, 21)

    model, _ = checkpoints.load_model(run)
    before = ("ROMEO:\n" + text[:AT])[-model.context :]
    links = {link.inner_text(): link.get_attribute("href") or "" for link in page.locator(".writing .ways a").all()}
    asked = {words: (urlsplit(to).path, parse_qs(urlsplit(to).query)) for words, to in links.items()}
    pages = {"In Prediction": "prediction", "In Attention": "attention", "In the lens": "prediction"}
    assert pages.items() <= {words: path for words, (path, _) in asked.items()}.items()
    assert all(query["prompt"] == [before] and query["run"] == [run.slug] for _, query in asked.values())
    branch = asked.get("Branch from here", ("", {"temperature": ["0.7"], "top_k": ["5"], "seed": ["21"]}))
    assert {"temperature": ["0.7"], "top_k": ["5"], "seed": ["21"]}.items() <= branch[1].items()

    with page.expect_download() as saved:
        page.get_by_role("button", name="JSONL").click()
    saved.value.save_as(tmp_path / "texts.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text("utf-8").splitlines()]
    assert [line["seed"] for line in lines] == [21, 22] and lines[0]["text"] == text
    assert lines[0]["rank"] == [choice.rank for choice in drawn]

    page.reload()
    write(page)
    assert parse_qs(urlsplit(page.url).query)["seed"] == ["21"]
    letter(page, AT).hover()
    check(page, run, AT, 21)


def test_a_finger_asks_a_character(visit: Visit, lab: str, run: Run) -> None:
    """On a phone the answer stands at the foot of what is in sight, with buttons for the characters beside it."""
    page = visit(400, 800, has_touch=True, is_mobile=True)
    page.goto(f"{lab}/write?run={run.slug}&{SETTINGS}")
    page.get_by_role("button", name="Write", exact=True).tap()
    written(page)
    letter(page, 5).tap()
    check(page, run, 5, 21)
    page.get_by_role("button", name="›").tap()
    check(page, run, 6, 21)

    expect(page.locator(".writing .detail .title")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")


@pytest.fixture
def mixed() -> Iterator[Run]:
    """A bigram that writes all of the characters of `MIXED`, in no order."""
    text = texts_own.add((MIXED * 80).encode(), "Mixed")
    tiny = TINY["bigram"]
    asked = plan.plan("bigram", model=tiny["model"], train=tiny["train"], corpus_name=text.name, device="cpu")
    yield work.work(editing.create(asked).path)
    texts_own.delete(text.name)


def test_characters_of_another_direction_or_without_width_keep_their_numbers(
    visit: Visit, lab: str, mixed: Run
) -> None:
    """Whatever the order in which a line is seen: under the pointer lies one character, and that one is told."""
    model, tokenizer = checkpoints.load_model(mixed)
    prompt = "שלום"
    drawn = list(generate(model, tokenizer.encode(prompt), SamplingConfig(tokens=200, temperature=3.0, seed=3)))
    asked = {tokenizer.chars[choice.id]: i for i, choice in enumerate(drawn)}  # where each was written last
    assert set(asked) == set(MIXED)
    page = visit()
    query = urlencode({"run": mixed.slug, "prompt": prompt, "temperature": 3, "seed": 3, "tokens": 200})
    page.goto(f"{lab}/write?{query}&stop=string&stop_at=zzz")
    write(page)

    for character, i in asked.items():
        letter(page, i).hover()
        expect(page.locator(".writing .detail .title")).to_contain_text(f"Character {i + 1}:")
        told = page.locator(".writing .detail .drawn").inner_text()
        assert character.isascii() or f"U+{ord(character):04X}" in told
        assert figure(page, "bits") == pytest.approx(-drawn[i].log_probability / 0.6931471805599453, abs=6e-4)

    boxes = [box for box in map(Locator.bounding_box, letters(page).all()) if box]
    rows: dict[int, list[int]] = {}
    for i, box in enumerate(boxes):
        rows.setdefault(round(box["y"]), []).append(i)
    row = sorted(max(rows.values(), key=len), key=lambda i: -boxes[i]["x"])
    letter(page, row[0]).click()
    page.mouse.move(0, 0)
    for i in row:  # from the right end of a row to its left end, however many runs go which way
        expect(page.locator(".writing .detail .title")).to_contain_text(f"Character {i + 1}:")
        page.keyboard.press("ArrowLeft")
    assert len(row) > 20 and row not in (sorted(row), sorted(row, reverse=True))
