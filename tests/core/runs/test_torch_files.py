"""Files of torch.save are read as numbers and names alone: what is no plain state dict is refused before it is run."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import BardlabError
from core.runs import torch_files

STATE = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}


def saved(content: object, *, old: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def same(one: object, other: dict[str, Tensor]) -> bool:
    assert isinstance(one, dict)
    return one.keys() == other.keys() and all(torch.equal(one[name], tensor) for name, tensor in other.items())


@pytest.mark.parametrize("old", [False, True])
def test_both_formats_are_read_up_to_the_size_allowed(old: bool, monkeypatch: pytest.MonkeyPatch):
    content = saved(STATE, old=old)

    assert same(torch_files.load(content, "x", len(content)), STATE)
    with pytest.raises(BardlabError, match="x holds"):
        torch_files.load(content, "x", len(content) - 1)
    if old:  # each of its five pickles is short, wherever in the file it begins
        monkeypatch.setattr(torch_files, "LONGEST_PICKLE", len(content) - 60)
        assert same(torch_files.load(content, "x", len(content)), STATE)
    monkeypatch.setattr(torch_files, "LONGEST_PICKLE", 10)
    with pytest.raises(BardlabError, match=r"not a plain state dict: (its|it has no) list of contents"):
        torch_files.load(content, "x", len(content))


def test_what_is_no_file_of_torch_is_refused_by_its_own_reason():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x/version", "3")
    long = b"c" + b"m" * 200 + b"\nf\n."
    for content, reason in (
        (archive.getvalue(), "no list of contents"),
        (pickle.dumps(7), "not one that torch.save wrote"),
        (saved({"w": torch.zeros(1).expand(3)}), "repeats the same numbers"),
        (long, "mmm…"),
    ):
        with pytest.raises(BardlabError, match=reason):
            torch_files.load(content, "x", 10_000)


class Touching:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_torch_itself_would_run_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second lock holds without the first, which looks through the names before torch sees the file."""
    monkeypatch.setattr(torch_files, "_look_through", lambda *_: None)
    content = saved({"w": Touching(tmp_path / "run")})
    with pytest.raises(BardlabError, match="damaged, or is no file"):
        torch_files.load(content, "x", len(content))

    assert not (tmp_path / "run").exists()
