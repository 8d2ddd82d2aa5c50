"""`python -m tests.screenshots [NAME ...]`: make the documents' pictures from the real app, and the README's table.

Everything is drawn by the app as it is, with the runs that ship and one Transformer that is trained here in front of
the camera, in a home of its own. Names: `ladder` (the table alone, no browser), `film`, and those of the pictures.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, expect, sync_playwright

from core import files
from core.studies import shipping
from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS, ROOT, start_app, stop_app, wait_until_up
from tests.screenshots import pictures, training
from tests.screenshots.camera import MOST_BYTES, PICTURES, Camera

README = ROOT / "README.md"
BEGIN, END = "<!-- ladder: python -m tests.screenshots ladder -->\n", "<!-- end of the ladder -->\n"


def with_ladder(text: str) -> str:
    """Return the README with the table of the shipped runs as it is now between its marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{shipping.ladder()}\n{END}{rest.split(END)[1]}"


def photograph(wanted: list[str], home: Path) -> None:
    """Start the app in a home of its own and take the pictures that are wanted."""
    os.environ["BARDLAB_HOME"] = str(home)
    env = {"BARDLAB_HOME": str(home), "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "core.jobs.worker", "--probe"], env={**os.environ, **env}, cwd=ROOT, check=True
    )
    log = home / "app.log"
    process, url = start_app("app.py", log, env)
    try:
        wait_until_up(process, url, log)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            _all(wanted, browser, url)
            browser.close()
    finally:
        stop_app(process)


def _all(wanted: list[str], browser: Browser, url: str) -> None:
    run = ""
    if {*training.NAMES, *pictures.OF_THE_NEW_RUN} & set(wanted):
        with Camera(browser, url) as camera:
            run = training.film(camera)
    for name, take in pictures.ALL.items():
        if name in wanted:
            began = time.monotonic()
            with Camera(browser, url) as camera:
                take(camera, run)
                camera.save(name)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def main(names: list[str]) -> int:
    """Make what is named, or everything; the exit status says whether the pictures stayed small enough."""
    known = ["ladder", *training.NAMES, *pictures.ALL]
    if unknown := [name for name in names if name not in known]:
        print(f"no picture {unknown[0]!r}; choose from {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = names or known
    began = time.monotonic()
    if "ladder" in wanted:
        files.replace(README, with_ladder(README.read_text(encoding="utf-8")).encode())
    if wanted != ["ladder"]:
        expect.set_options(timeout=120_000)
        with TemporaryDirectory(prefix="bardlab-pictures-", ignore_cleanup_errors=True) as home:
            photograph(wanted, Path(home))
    size = sum(path.stat().st_size for path in PICTURES.iterdir())
    print(f"{size / 1e6:.2f} MB in docs/pictures, {time.monotonic() - began:.0f} s")
    return int(size > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
