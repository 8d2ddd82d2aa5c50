"""Measure the attention page: `python tests/browser/bench_attention.py [repeats]`, figures as JSON.

The shipped Transformer, and an untrained one of 6 layers × 6 heads × width 192. From Ctrl + Enter in the prompt to the
new board painted, from the message's arrival to that, and from a pointer's move to the page painted with what it points
at.
"""

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from conftest import CHROMIUM, CHROMIUM_ARGS, start_app, stop_app, wait_until_up
from playwright.sync_api import Page, sync_playwright

CHANGE = """async (node) => {
  const [old, began] = [node.dataset.board, performance.now()];
  const key = new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true });
  document.querySelector("textarea").dispatchEvent(key);
  while (node.dataset.board === old || +node.dataset.paints === node.was) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


def untrained() -> str:
    """Make the run, with weights as they are drawn. Returns its address."""
    from core import files
    from core.ladder.registry import RUNGS
    from core.runs import checkpoints, editing, folder, layout, plan, state

    run = editing.create(plan.plan("transformer", preset="reference", model={"d_model": 192}, train={}, device="cpu"))
    config = run.need()
    model = RUNGS["transformer"].build(config.model_config_, len(config.characters))
    files.replace(run.path / layout.WEIGHTS, checkpoints.weights(model, 0))
    update = {"state": folder.State.FINISHED, "checkpoint_step": 0}
    state.write_status(run.path, run.status.model_copy(update=update))
    return run.slug


def measure(page: Page, length: int, repeats: int) -> dict[str, float]:
    """Medians at one length of prompt."""
    from core.texts.corpus import load

    text = load().text
    board = page.locator(".attention")
    changes, paints, hovers = [], [], []
    for number in range(repeats + 1):
        page.get_by_role("textbox", name="Prompt").fill(text[number * 1000 :][:length])
        board.evaluate("node => { node.was = +node.dataset.paints }")
        changes.append(board.evaluate(CHANGE))
        page.wait_for_timeout(500)
        paints.append(float(board.get_attribute("data-took") or "nan"))
    for at in range(0, length - 1, length // 12):
        board.locator(f".chars [data-at='{at}']").hover()
        page.wait_for_timeout(150)
        hovers.append(float(board.get_attribute("data-hover-took") or "nan"))
    named = {"change_ms": changes[1:], "paint_ms": paints[1:], "hover_ms": hovers}
    return {name: round(statistics.median(values), 1) for name, values in named.items()} | {
        f"best_{name}": round(min(values), 1) for name, values in named.items()
    }


def main(repeats: int) -> None:
    """Print the figures at 128 and 256 characters, with the machine's load."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        os.environ["BARDLAB_HOME"] = home
        slug = untrained()
        log = Path(home) / "app.log"
        process, url = start_app("app.py", log, {"BARDLAB_HOME": home})
        try:
            wait_until_up(process, url, log)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            for run in ("pretrained/transformer", slug):
                page.goto(f"{url}/attention?run={run}")
                page.locator(".attention[data-opened]").wait_for(timeout=60_000)
                figures = {str(length): measure(page, length, repeats) for length in (128, 256)}
                print(json.dumps({"run": run, **figures, "cpus": os.cpu_count(), "load": os.getloadavg()[0]}))
            browser.close()
        finally:
            stop_app(process)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
