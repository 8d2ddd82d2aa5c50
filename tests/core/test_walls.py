"""The walls: the core knows no page, the pages know no tensor, and nothing is fetched from the network."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "core").rglob("*.py"))
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
ASSETS = sorted(p for p in (ROOT / "pages").rglob("*") if p.suffix in (".js", ".css", ".html", ".svg"))
FETCHED = re.compile(
    r"""<script[^>]+src|<link[^>]+href|@import|@font-face|fonts\.(googleapis|gstatic)|url\(\s*['"]?(https?:)?//"""
    r"""|\bimport\b[^;\n]*['"]https?:|\b(fetch|importScripts|WebSocket|EventSource)\s*\(|\.src\s*=(?!\s*["'`]data:)"""
    r"""|XMLHttpRequest""",
    re.IGNORECASE,
)


SYSTEM = re.compile(
    r"\bimport (fcntl|select|selectors|msvcrt|resource|pwd|grp|termios|pty|winreg|ctypes)\b|\bselect\.select\b"
    r"|\bos\.(fork|forkpty|killpg|kill|getpgid|getpgrp|setpgid|setsid|getsid|nice|setpriority|getpriority|dup2|sysconf"
    r"|mkfifo|statvfs|getuid|geteuid|uname|chown|O_DIRECTORY|O_CLOEXEC|sched_\w+|wait\w*|name)\b"
    r"|\bsignal\.(SIG(?!TERM\b|INT\b|_DFL\b|_IGN\b)\w+|alarm|setitimer|pause|pthread_\w+|sigwait\w*|CTRL_\w+)"
    r"|\b(start_new_session|preexec_fn|creationflags|close_fds|process_group)\b|\bfilelock\b"
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


@pytest.mark.parametrize("path", [path for path in CORE if path.name != "system.py"], ids=name)
def test_one_module_asks_which_system_it_runs_on(path: Path):
    """What only POSIX or only Windows has is called in core/system.py alone."""
    assert not SYSTEM.findall(path.read_text(encoding="utf-8"))


COMPUTES = re.compile(r"\bthreading\.Thread\b|\bThreadPoolExecutor\b|\bimport .*\bThread\b")


@pytest.mark.parametrize("path", [p for p in [*CORE, *PAGES] if "inspect" in p.parts or p not in CORE], ids=name)
def test_no_page_computes_in_a_thread(path: Path):
    """What takes minutes is a job, which survives the web server; a thread would slow every page and die with it."""
    assert not COMPUTES.search(path.read_text(encoding="utf-8"))


WAITING = "errors files paths system runs.folder runs.layout training.gpus jobs.overdue jobs.turns jobs.waiting worker"


@pytest.mark.parametrize("module", WAITING.split())
def test_a_waiting_run_loads_nothing_large(module: str):
    """All that a run needs until its turn comes imports, at the top, the standard library, psutil and its like."""
    tree = ast.parse((ROOT / "core" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    tops = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    light = {*sys.stdlib_module_names, "psutil", "core"}
    for node in tops:
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.module and node.module.split(".")[0] in light
            at = node.module.removeprefix("core").removeprefix(".")
            modules = {at} if at in WAITING.split() else {f"{at}.{each}".removeprefix(".") for each in names}
            assert not node.module.startswith("core") or modules <= set(WAITING.split())
        else:
            assert {each.split(".")[0] for each in names} <= light


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
    system = (
        "os.killpg(1, 9)",
        "import fcntl",
        "select.select([p], [], [])",
        "signal.SIGKILL",
        "start_new_session=True",
    )
    assert all(SYSTEM.search(text) for text in system) and not SYSTEM.search("signal.SIGTERM; str.select; os.getpid()")
    assert all(map(COMPUTES.search, ("threading.Thread(target=f)", "from threading import Lock, Thread")))
    assert not FETCHED.search("ctx.fillStyle = 'red'; const url = 'https://doi.org/10.1002'")
    assert "torch" in imported(ROOT / "core" / "jobs" / "work.py") and "streamlit" in imported(ROOT / "app.py")
    assert len(CORE) > 10 and len(PAGES) > 5 and len(ASSETS) >= 2
