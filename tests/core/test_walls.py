"""The walls: the core knows no page, the pages know no tensor, and nothing is fetched from the network."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "core").rglob("*.py"))
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
ASSETS = sorted(p for p in (ROOT / "pages").rglob("*") if p.suffix in (".js", ".css", ".html", ".svg"))
FETCHED = re.compile(
    r"""<script[^>]+src|<link[^>]+href|@import|@font-face|fonts\.(googleapis|gstatic)|url\(\s*['"]?(https?:)?//"""
    r"""|\bimport\b[^;\n]*['"]https?:|\b(fetch|importScripts|WebSocket|EventSource)\s*\(|\.src\s*=(?!\s*["']data:)"""
    r"""|XMLHttpRequest""",
    re.IGNORECASE,
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """Return the top-level names of every module that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_knows_no_page(path: Path):
    assert not imported(path) & {"streamlit", "plotly", "pages", "app"}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_the_pages_know_no_tensor(path: Path):
    assert not imported(path) & {"torch", "safetensors", "tensorboard"}


@pytest.mark.parametrize("path", [*PAGES, *ASSETS], ids=name)
def test_nothing_is_fetched_from_elsewhere(path: Path):
    """No script, style or font comes over the network: the lab works offline."""
    assert not FETCHED.findall(path.read_text(encoding="utf-8"))


def test_the_walls_would_notice():
    """The checks see what they are for."""
    bad = (
        '<script type="x" src="a.js">',
        '@import "a.css"',
        "fonts.googleapis.com",
        "url(https://a/b.woff)",
        "fetch('/x')",
    )

    assert all(FETCHED.search(text) for text in bad)
    assert not FETCHED.search("ctx.fillStyle = 'red'; const url = 'https://doi.org/10.1002'")
    assert "torch" in imported(ROOT / "core" / "worker.py") and "streamlit" in imported(ROOT / "app.py")
    assert len(CORE) > 10 and len(PAGES) > 5 and len(ASSETS) >= 2
