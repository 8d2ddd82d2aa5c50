"""The walls: the core knows no page, the pages know no tensor, and nothing is fetched from the network."""

import ast
import re
import sys
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import pytest

from core.ladder.registry import RUNGS

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


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a file, which no test changes."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Return the top-level names of every module that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
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
    """No script, style or font comes over the network: the lab works offline. Components ask their own server."""
    source = path.read_text(encoding="utf-8")
    if path.name == "component.js":
        source = source.replace("await fetch(address(view), { signal })", "", 1)
    assert not FETCHED.findall(source)


@pytest.mark.parametrize("path", [path for path in CORE if path.name != "system.py"], ids=name)
def test_one_module_asks_which_system_it_runs_on(path: Path):
    """What only POSIX or only Windows has is called in core/system.py alone."""
    assert not SYSTEM.findall(path.read_text(encoding="utf-8"))


COMPUTES = re.compile(r"\bthreading\.Thread\b|\bThreadPoolExecutor\b|\bimport .*\bThread\b")


@pytest.mark.parametrize("path", [p for p in [*CORE, *PAGES] if "inspect" in p.parts or p not in CORE], ids=name)
def test_no_page_computes_in_a_thread(path: Path):
    """What takes minutes is a job, which survives the web server; a thread would slow every page and die with it."""
    assert not COMPUTES.search(path.read_text(encoding="utf-8"))


WAITING = (
    "errors files paths system runs.folder runs.layout training.gpus jobs.launchers.launcher jobs.launchers.node "
    "jobs.overdue jobs.turns jobs.waiting jobs.worker"
)


@pytest.mark.parametrize("module", WAITING.split())
def test_a_waiting_run_loads_nothing_large(module: str):
    """All that a run needs until its turn comes imports, at the top, the standard library, psutil and its like."""
    tree = parsed(ROOT / "core" / f"{module.replace('.', '/')}.py")
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


# --- rooms and floors ------------------------------------------------------------------------------------------------

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in [*CORE, *PAGES]
}


@cache
def known(module: str, anywhere: bool = True) -> frozenset[str]:
    """Return the modules of this project that a module imports, inside functions too if `anywhere`."""
    tree = parsed(MODULES[module])
    names: set[str] = set()
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            parts = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part if part in MODULES else node.module for part in parts.values()}
    return frozenset(names & MODULES.keys() - {module, "core"})


def room(module: str) -> str:
    """Return the room of core that a module stands in, or the module itself if it stands at the root."""
    return ".".join(module.split(".")[:2])


def rooms() -> dict[str, set[str]]:
    """Return, of each room of core, the rooms that it imports anywhere."""
    arrows: dict[str, set[str]] = {room(module): set() for module in MODULES if module.startswith("core.")}
    for module in MODULES:
        if module.startswith("core."):
            arrows[room(module)] |= {room(other) for other in known(module)} - {room(module)}
    return arrows


def circle(arrows: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names along one circle of arrows, the first again at the end; nothing if there is none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in done:
            for other in sorted(arrows.get(name, ())):
                if back := walk(other, [*way, name]):
                    return back
            done.add(name)
        return []

    return next((back for name in sorted(arrows) if (back := walk(name, []))), [])


def floors(arrows: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Return how high each room stands: one above the highest that it imports."""

    @cache
    def floor(name: str) -> int:
        return 1 + max((floor(other) for other in arrows[name]), default=0)

    return {name: floor(name) for name in arrows}


def test_rooms_of_the_core_form_no_circle():
    """Imports inside functions count: they would hide a circle, not open it."""
    assert not circle(rooms())


def test_modules_form_no_circle_by_what_they_import_at_the_top():
    assert not circle({module: known(module, anywhere=False) for module in MODULES})


def test_the_rooms_stand_on_floors(capsys: pytest.CaptureFixture[str]):
    """What stands where; the numbers are shown by `pytest -s`."""
    heights = floors(rooms())
    with capsys.disabled():
        print(f"\n{len(heights)} rooms on {max(heights.values())} floors")
    names = ["errors", "models", "inference", "training", "ladder", "runs", "inspect", "cli"]
    order = [heights[f"core.{name}"] for name in names]

    assert order == sorted(set(order))
    assert max(heights.values()) <= 13


COMPILER = re.compile(r"^(import|from) (numba|llvmlite)\b", re.MULTILINE)


def test_the_kernels_alone_need_the_compiler():
    """Nobody else asks for it, or for them, as it is loaded: without numba all is there, and torch writes."""
    kernels = {module for module in MODULES if module.startswith("core.inference.kernels")}
    others = MODULES.keys() - kernels

    assert len({module for module in kernels if COMPILER.search(MODULES[module].read_text(encoding="utf-8"))}) > 10
    assert not {module for module in others if COMPILER.search(MODULES[module].read_text(encoding="utf-8"))}
    assert not {module for module in others if known(module, anywhere=False) & kernels}


MAY_KNOW = {
    "core.models": {"core.errors", "core.paths", "core.settings", "core.system"},
    "core.inference": {"core.models", "core.paths", "core.system"},
    "core.scalars": {"core.errors"},
    "core.training": {
        "core.errors",
        "core.evaluation",
        "core.models",
        "core.paths",
        "core.sampling",
        "core.settings",
        "core.system",
    },
}
"""Rooms that must stay low, and all that they may import: models know no engine, training no rung and no run."""


@pytest.mark.parametrize("name", MAY_KNOW)
def test_a_low_room_knows_nothing_above_it(name: str):
    assert rooms()[name] <= MAY_KNOW[name]


STARTS_THREADS = {"core.inspect.interventions.ranking"}
"""The ranking of parts still computes in a thread of the server; nothing else may."""


def test_looking_inside_starts_no_thread_and_no_job():
    starting = re.compile(r"\bThread\(|PoolExecutor\(|\bProcess\(|\bPopen\(")
    inspecting = {module: path for module, path in MODULES.items() if module.startswith("core.inspect")}

    assert len(inspecting) > 10
    assert {m for m, path in inspecting.items() if starting.search(path.read_text(encoding="utf-8"))} <= STARTS_THREADS
    assert not {other for module in inspecting for other in known(module) if room(other) == "core.jobs"}


def test_the_loaders_know_no_component():
    """What is kept for the pages does not depend on what draws it."""
    assert not {other for other in known("pages.ui.loaders") if other.startswith("pages.ui.components")}


FOLDERS = [
    path for top in ("core", "pages") for path in [ROOT / top, *sorted((ROOT / top).rglob("*/"))] if path.is_dir()
]
FOLDERS = [path for path in FOLDERS if "__pycache__" not in path.parts]
WIDEST = 20
"""Entries of a folder above which it is no longer a map."""


def entries(folder: Path) -> set[str]:
    """Return what stands in a folder; the files of one component, NAME.py NAME.js NAME.css, are one entry."""
    return {path.stem if path.is_file() else path.name for path in folder.iterdir() if not path.name.startswith("__")}


def test_a_folder_is_a_map():
    assert len(FOLDERS) > 15
    assert not {name(folder): len(entries(folder)) for folder in FOLDERS if len(entries(folder)) > WIDEST}


# --- the rungs are declared, not known by name -----------------------------------------------------------------------

NAMED = re.compile(
    r"isinstance\([^()]*(\([^()]*\)[^()]*)*\b(Bigram|MLP|WaveNet|ResidualNet|Transformer|Recurrent\w*)\b(?!Config)"
)
AT_HOME = ("core/models/", "core/ladder/")
"""Where a rung may be called by its name."""
THE_THING_ITSELF = {
    "core/bench/": "the benchmarks measure the Transformer's and the WaveNet's presets",
    "core/cli/bench.py": "the benchmarks' command",
    "core/exchange/": "the reference GPT, nanoGPT and their bigram are layouts of one class each",
    "core/jobs/trial.py": "a device is tried with a table and with attention",
    "core/studies/claims/declared/": "a claim names the rungs that it trains",
    "core/studies/course/": "stations, terms and broken trainings name the rungs that show them",
    "core/studies/landmarks.py": "the loss of counted pairs is a landmark called bigram",
    "pages/inside/time.py": "the landmark of counted pairs",
    "pages/ui/components/charts/time_machine.py": "the landmark of counted pairs",
    "pages/ladder/paper.py": "the page compares one paper with one rung",
    "pages/ui/drawings/rungs.py": "drawings by their names, which rungs choose among",
    "pages/ladder/overview.py": "which rung the first page trains in place",
    "pages/inside/knockout.py": "which run is offered first",
}


def test_nobody_asks_for_the_class_of_a_model():
    """The model answers what pages and inspection ask of it (core/models/contract.py)."""
    asking = [name(path) for path in [*CORE, *PAGES] if NAMED.search(path.read_text(encoding="utf-8"))]

    assert not [path for path in asking if not path.startswith("core/models/")]


def test_no_rung_is_known_by_its_key():
    """A rung is found through the registry, by what it declares and answers."""
    trees = {name(path): parsed(path) for path in [*CORE, *PAGES]}
    naming = {
        path
        for path, tree in trees.items()
        if any(isinstance(node, ast.Constant) and node.value in RUNGS for node in ast.walk(tree))
    }

    assert not {path for path in naming if not path.startswith((*AT_HOME, *THE_THING_ITSELF))}


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
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"] and not circle({"a": {"b"}, "b": set()})
    assert floors({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": 3, "b": 2, "c": 1}
    assert "core.jobs.work" in known("core.jobs.waiting") - known("core.jobs.waiting", anywhere=False)
    assert NAMED.search("isinstance(model, MLP)") and NAMED.search("isinstance(m, Bigram | Transformer)")
    assert not NAMED.search("isinstance(config, TransformerConfig)")
    assert "torch" in imported(ROOT / "core" / "jobs" / "work.py") and "streamlit" in imported(ROOT / "app.py")
    assert len(CORE) > 10 and len(PAGES) > 5 and len(ASSETS) >= 2
