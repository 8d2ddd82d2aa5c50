"""Bardlab's commands without make: `python tasks.py app` installs and serves, `python tasks.py test` runs every test.

The Makefile calls the same commands. What follows a command is passed on to what it starts: `tasks.py app
--server.port 8600`. Only the standard library is needed, and an old Python gets far enough to say that it is old.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CHECKED = ["core", "pages", "tests", "data", "app.py", "tasks.py"]
WANTED = ["pyproject.toml", "constraints.txt"]
"""What decides what is installed."""
OLDEST, NEWEST = (3, 11), (3, 14)
COVERED = 85
"""The per cent of every module's lines that the unit tests are to run."""


def install(extra: str = "") -> None:
    """Make the virtual environment, and install what is not there yet."""
    if extra:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a thousand processes would each compile all anew
    if not PYTHON.exists():
        if not OLDEST <= sys.version_info[:2] <= NEWEST:
            sys.exit("Bardlab needs Python 3.11 to 3.14; run: python3.12 tasks.py app, or make PYTHON=python3.12 app")
        finish(subprocess.Popen([sys.executable, "-m", "venv", str(VENV)]))
    done = VENV / (".test" if extra else ".app")
    if not done.exists() or any((ROOT / name).stat().st_mtime > done.stat().st_mtime for name in WANTED):
        print("Installing into .venv what constraints.txt pins: some minutes the first time", flush=True)
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        finish(start(*pip, "--constraint", "constraints.txt", "--editable", "." + extra))
        wait(start("-m", "compileall", "-qq", "-j", "0", str(VENV / "lib")))  # pip would do so on one core
        done.touch()


def start(*arguments: str, output: int | None = None) -> subprocess.Popen[str]:
    """Start the environment's Python in the repository."""
    return subprocess.Popen([str(PYTHON), *arguments], cwd=ROOT, stdout=output, text=True)


def wait(process: subprocess.Popen[str]) -> int:
    """Wait for a process and return its status. Ctrl-C, which it gets itself, does not end the waiting."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a process; end as it ended if it failed."""
    if status := wait(process):
        sys.exit(status if status > 0 else 128 - status)


def become(*arguments: str) -> None:
    """Go on as the environment's Python, which gets every signal; where a process cannot do that, wait for it."""
    if os.name == "nt":
        finish(start(*arguments))
    else:
        os.chdir(ROOT)
        os.execv(PYTHON, [str(PYTHON), *arguments])


# --- the commands ----------------------------------------------------------------------------------------------------


def app(*more: str) -> None:
    """Install and serve the app on http://127.0.0.1:8501."""
    install()
    become("-m", "streamlit", "run", "app.py", *more)


def test(*more: str) -> None:
    """Install, check the code and run every test."""
    install("[test]")
    ruff()
    biome()
    types = start("-m", "mypy", output=subprocess.PIPE)  # beside the tests
    tests = start(*pytest(*more))
    wait(tests)
    print(types.communicate()[0], end="", flush=True)
    finish(types)
    finish(tests)


def unit(*more: str) -> None:
    """Run the tests that need no browser, and name the modules of core whose lines they run too few of."""
    install("[test]")
    if more:
        become(*pytest("-m", "not browser", *more))
    with TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        os.environ["COVERAGE_FILE"] = str(Path(folder) / "coverage")
        finish(start(*pytest("-m", "not browser", "--cov", f"--cov-report=json:{report}")))
        coverage(json.loads(report.read_text(encoding="utf-8")))


def coverage(report: dict[str, Any]) -> None:
    """Print of which modules the tests run too few lines."""
    print(
        f"the tests run {report['totals']['percent_covered']:.1f} % of core's lines, and at least {COVERED} % of each"
    )
    few = {name: file for name, file in report["files"].items() if file["summary"]["percent_covered"] < COVERED}
    for name, file in sorted(few.items()):
        share, lines = file["summary"]["percent_covered"], joined(file["missing_lines"])
        print(f"  but {name}: {share:.1f} %, without lines {lines}")


def joined(lines: list[int]) -> str:
    """Return line numbers, those that follow one another as 3-5."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][-1] + 1:
            spans[-1].append(line)
        else:
            spans.append([line])
    return ", ".join(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)


def pytest(*more: str) -> list[str]:
    """Return the arguments that run tests, on all cores: one more than there are, since some tests wait."""
    return ["-m", "pytest", "-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal", *more]


def check(*more: str) -> None:
    """Check style, format, types and the unit tests of what differs from HEAD (--all: every unit test)."""
    install("[test]")
    ruff()
    biome()
    finish(start("-m", "mypy"))
    everything, more = "--all" in more, tuple(option for option in more if option != "--all")
    tests = [] if everything else tests_of(changed())
    if everything or tests:
        become(*pytest("-m", "not browser", *tests, *more))
    print("nothing that a unit test covers differs from HEAD")


def changed() -> list[str]:
    """Return the files that differ from the last commit, new ones included."""
    asked = (["diff", "--name-only", "HEAD"], ["ls-files", "--others", "--exclude-standard"])
    answers = [subprocess.run(["git", *a], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True) for a in asked]
    return [name for answer in answers for name in answer.stdout.splitlines() if (ROOT / name).exists()]


def tests_of(files: list[str]) -> list[str]:
    """Return the test files that are among these files, import one of them, or watch over all of their kind."""
    tests = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")
    }
    chosen = {file for file in files if file in tests}
    for file in files:
        package, _, name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".").rpartition(".")
        if file.endswith(".py") and package:
            module = rf"{re.escape(package)}(\.{name}\b| import [^\n(]*\b{name}\b| import \([^)]*\b{name}\b)"
            chosen |= {test for test, text in tests.items() if re.search(module, text)}
        if file.startswith(("core/", "pages/")):
            chosen.add("tests/core/test_walls.py")
        if file.startswith(("pages/ui/components/", "tests/js/")):
            chosen.add("tests/pages/test_components.py")
        if file.endswith(".md"):
            chosen |= {"tests/test_documents.py", "tests/test_readme.py"}
    return sorted(chosen)


def lint(*more: str) -> None:
    """Check style, format and types, and the JavaScript where Node is."""
    install("[test]")
    ruff()
    biome()
    become("-m", "mypy", *more)


def biome() -> None:
    """Install what the browser tests and the check of the JavaScript need, and check; where Node is missing, say so.

    With BARDLAB_NEEDS_NODE it must be there.
    """
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("BARDLAB_NEEDS_NODE"):
            sys.exit("npm is missing: install Node 18 or newer with npm")
        print("npm is missing: the JavaScript is not checked, nor whether everybody can use the pages")
        return
    done, wanted = ROOT / "node_modules" / ".package-lock.json", ROOT / "package-lock.json"
    if not done.exists() or done.stat().st_mtime < wanted.stat().st_mtime:
        finish(subprocess.Popen([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=ROOT, text=True))
    finish(subprocess.Popen([npm, "run", "--silent", "lint"], cwd=ROOT, text=True))


def ruff() -> None:
    """Check style and format."""
    finish(start("-m", "ruff", "check", "--quiet", *CHECKED))
    finish(start("-m", "ruff", "format", "--quiet", "--check", *CHECKED))


def bench(*more: str) -> None:
    """Measure speed and write docs/benchmarks.md."""
    install("[test]")
    become("-m", "core", "bench", "all", "--seeds", "3", *more)


def pretrained(*more: str) -> None:
    """Train the runs that ship."""
    install()
    become("-m", "core", "pretrain", *more)


def claims(*more: str) -> None:
    """Reproduce every claim and write the evidence that ships."""
    install()
    become("-m", "core", "claim", "all", "--ship", *more)


def screenshots(*more: str) -> None:
    """Make the pictures of the documents from the real app, and the README's table of the ladder."""
    install("[test]")
    become("-m", "tests.screenshots", *more)


def gpu(*more: str) -> None:
    """Check everything that needs a GPU, on this machine's; without one it says what it would do."""
    install("[test]")
    become("-m", "tests.gpu", *more)


def faults(*more: str) -> None:
    """Try faults: killed workers, full disks, damaged files, a crowd."""
    install("[test]")
    become("-m", "tests.faults", *more)


def mutants(*more: str) -> None:
    """Put small faults into core and see which of them the unit tests miss (--all: not a sample)."""
    install("[test]")
    become("-m", "tests.mutants", *more)


def clean(*_: str) -> None:
    """Remove the virtual environment and what the tools keep."""
    for name in (VENV.name, ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules"):
        shutil.rmtree(ROOT / name, ignore_errors=True)


COMMANDS = {
    command.__name__: command
    for command in (
        app,
        test,
        check,
        unit,
        lint,
        bench,
        pretrained,
        claims,
        screenshots,
        faults,
        mutants,
        gpu,
        clean,
    )
}


def main(arguments: list[str]) -> None:
    """Run a command."""
    if not arguments or arguments[0] not in COMMANDS:
        table = [f"  {name:<12}{command.__doc__}" for name, command in COMMANDS.items()]
        sys.exit("\n".join(["usage: python tasks.py COMMAND", *table]))
    COMMANDS[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
