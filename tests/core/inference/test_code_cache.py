"""Where compiled code is kept, when it is compiled anew, and what is done without a compiler."""

from pathlib import Path

import pytest

from core import paths
from core.inference import code_cache, loader
from core.ladder.registry import RUNGS
from core.sampling import SamplingConfig, generate
from tests.core.test_walls import MODULES, known


def test_a_home_finds_what_the_programs_own_home_has_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """And compiles into itself, not there."""
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(paths, "ROOT", tmp_path / "program")
    monkeypatch.setenv("BARDLAB_HOME", str(tmp_path / "home"))
    assert code_cache.mark().is_relative_to(tmp_path / "home") and not loader.built()

    there = tmp_path / "program" / code_cache.mark().relative_to(tmp_path / "home")
    there.parent.mkdir(parents=True)
    there.touch()
    assert loader.built() and code_cache.mark() == there


def test_machine_code_is_compiled_anew_when_a_file_that_it_depends_on_changes(tmp_path: Path):
    """The compiler looks at one file of it alone. What is asked of the system is asked whenever it is loaded."""
    reached = {module for module in MODULES if module.startswith("core.inference")}
    used = {other for module in reached if "kernels" in module for other in known(module)} - {"core.system"}
    while used - reached:
        reached |= used
        used |= {other for module in used for other in known(module)} - {"core.system"}
    files = code_cache.sources()
    assert {MODULES[module] for module in reached} == set(files) and len(reached) > 5

    copies = [tmp_path / str(number) for number in range(len(files))]
    for copy, path in zip(copies, files, strict=True):
        copy.write_bytes(path.read_bytes())
    names = {code_cache.fingerprint(copies)}
    for copy in copies:
        copy.write_text(copy.read_text(encoding="utf-8") + "#", encoding="utf-8")
        names.add(code_cache.fingerprint(copies))
    assert len(names) == len(copies) + 1


def test_without_a_compiler_torch_writes_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Here: a home that is a file, so that nothing can be kept."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "compiled"))
    monkeypatch.setattr(loader, "_kernels", None)
    monkeypatch.setattr(loader, "_failed", False)
    assert loader.load() is None and loader.load() is None and loader.ready() is None

    rung = RUNGS["mlp"]
    model = rung.build(rung.config.parse(rung.tiny), 11)
    assert len(list(generate(model, [1], SamplingConfig(tokens=4), fast=True))) == 4
    assert len([r for r in caplog.records if "torch writes" in r.message]) == 1
