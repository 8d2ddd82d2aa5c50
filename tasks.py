"""Bardlab's commands without make: `python tasks.py app` installs and serves, `python tasks.py test` runs every test.

The Makefile calls the same commands. What follows a command is passed on to what it starts: `tasks.py app
--server.port 8600`. Only the standard library is needed, and an old Python gets far enough to say that it is old.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CHECKED = ["core", "pages", "tests", "data", "app.py", "tasks.py"]
WANTED = ["pyproject.toml", "constraints.txt"]
"""What decides what is installed."""
OLDEST, NEWEST = (3, 11), (3, 14)


def install(extra: str = "") -> None:
    """Make the virtual environment, and install what is not there yet."""
    if not PYTHON.exists():
        if not OLDEST <= sys.version_info[:2] <= NEWEST:
            sys.exit("Bardlab needs Python 3.11 to 3.14; run: python3.12 tasks.py app, or make PYTHON=python3.12 app")
        finish(subprocess.Popen([sys.executable, "-m", "venv", str(VENV)]))
    done = VENV / (".test" if extra else ".app")
    if not done.exists() or any((ROOT / name).stat().st_mtime > done.stat().st_mtime for name in WANTED):
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        finish(start(*pip, "--constraint", "constraints.txt", "--editable", "." + extra))
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
    types = start("-m", "mypy", output=subprocess.PIPE)  # beside the tests
    tests = start(*pytest(*more))
    wait(tests)
    print(types.communicate()[0], end="", flush=True)
    finish(types)
    finish(tests)


def unit(*more: str) -> None:
    """Run the tests that need no browser."""
    install("[test]")
    become(*pytest("-m", "not browser", *more))


def pytest(*more: str) -> list[str]:
    """Return the arguments that run tests, on all cores."""
    return ["-m", "pytest", "-n", "logical", "--dist", "worksteal", *more]


def lint(*more: str) -> None:
    """Check style, format and types."""
    install("[test]")
    ruff()
    become("-m", "mypy", *more)


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


def gpu(*more: str) -> None:
    """Check everything that needs a GPU, on this machine's; without one it says what it would do."""
    install("[test]")
    become("-m", "tests.gpu", *more)


def faults(*more: str) -> None:
    """Try faults: killed workers, full disks, damaged files, a crowd."""
    install("[test]")
    become("-m", "tests.faults", *more)


def clean(*_: str) -> None:
    """Remove the virtual environment and what the tools keep."""
    for name in (VENV.name, ".pytest_cache", ".mypy_cache", ".ruff_cache"):
        shutil.rmtree(ROOT / name, ignore_errors=True)


COMMANDS = {command.__name__: command for command in (app, test, unit, lint, bench, pretrained, faults, gpu, clean)}


def main(arguments: list[str]) -> None:
    """Run a command."""
    if not arguments or arguments[0] not in COMMANDS:
        table = [f"  {name:<12}{command.__doc__}" for name, command in COMMANDS.items()]
        sys.exit("\n".join(["usage: python tasks.py COMMAND", *table]))
    COMMANDS[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
