"""Reads weights files of others without executing anything in them."""

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from core import files
from core.errors import BardlabError
from core.runs import reading, torch_files
from core.settings import Settings

LARGEST_FILE = 2 * 1024**3  # bytes; the largest Transformer of the lab takes 1.2 GB, most of it masks
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
HELP = "save model.state_dict() of the reference GPT and give that file"

_WRAPPERS = {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Words that data-parallel and compiled models put into the names of what they wrap, at any depth."""
_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module")
"""Under which a state dict is looked for first; then under any other."""
_ALPHABETS = ("chars", "itos", "stoi", "alphabet", "vocab", "vocabulary", "characters")

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "only a pointer that Git LFS left in place of the file; fetch it with: git lfs pull"),
    (b"\x89HDF", "a Keras or HDF5 file, not one of PyTorch; only PyTorch models are read"),
    (b"GGUF", "a GGUF file; give the PyTorch file that it was made from"),
    (b"\x93NUMPY", "a NumPy array, not a state dict; give the file that torch.save wrote"),
    (b"\x1f\x8b", "compressed with gzip; unpack it and give the file that is in it"),
    (b"BZh", "compressed with bzip2; unpack it and give the file that is in it"),
    (b"\xfd7zXZ", "compressed with xz; unpack it and give the file that is in it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the file that is in it"),
    (b"Rar!", "a RAR archive; unpack it and give the file that is in it"),
    (b"%PDF", "a PDF, not a file of weights"),
    (b"\x89PNG", "a picture, not a file of weights"),
)


@dataclass(frozen=True)
class WeightFile:
    """A state dict as it was found, with what else the file says of the model."""

    label: str
    tensors: dict[str, Tensor]
    """By plain name, without what wrappers put before it."""
    others: dict[str, str] = field(default_factory=dict)
    """What lies beside them that is no tensor: its type by its name."""
    settings: dict[str, int | float | str | bool] = field(default_factory=dict)
    """Single values found anywhere in the file, such as `n_head`."""
    alphabet: str | None = None
    """The characters in the order of their numbers, if the file tells."""
    said: tuple[str, ...] = ()

    def lacking(self, missing: Sequence[str]) -> BardlabError:
        """Return the error for names that are not there."""
        for name in missing:
            if name in self.others:
                return BardlabError(f"{some([name])} is a {self.others[name]}, not a tensor; {HELP}")
        return BardlabError(f"the weights lack {some(missing)}; {HELP}")

    def numbers(self, name: str) -> Tensor:
        """Return one tensor as float32. Raises BardlabError if it holds anything but finite floating-point numbers."""
        tensor = self.tensors[name]
        if tensor.dtype not in FLOATS or tensor.layout is not torch.strided or tensor.is_meta:
            raise BardlabError(f"{short(name)} does not hold floating-point numbers but {_kind(tensor)}; {HELP}")
        values = tensor.detach().float()
        if bad := int((~values.isfinite()).sum()):
            raise BardlabError(
                f"{short(name)} has {bad:,} weights that are not finite (NaN or infinite); train the model again"
            )
        return values


@dataclass(frozen=True)
class Reading:
    """One way to understand a file of weights: a rung of the ladder with its settings, and our model's state dict."""

    rung_key: str
    config: Settings
    vocab_size: int
    state: dict[str, Tensor]
    rows: tuple[str, ...]
    """The names in `state` whose rows stand for characters, and columns where they are square."""
    said: tuple[str, ...] = ()
    """What was taken for granted, in words."""
    choice: str = ""
    """What sets it apart from the other readings of the same file, in words."""
    closer: tuple[Settings, ...] = ()
    """Settings to compare once it is known to be the best: they differ in what shows least."""


@dataclass(frozen=True)
class Family:
    """A kind of model that other programs save: the first words of its names, and how they are understood."""

    roots: frozenset[str]
    mark: re.Pattern[str]
    """Names by which it is told, anywhere in the file."""
    read: Callable[[WeightFile], list[Reading]]
    """Return the ways to understand a file, the likeliest first. Raises BardlabError if there is none."""


def read(source: Path | str | bytes, families: Sequence[Family], label: str = "") -> tuple[WeightFile, Family]:
    """Find the state dict in a file, or its content, that torch or safetensors wrote. Nothing in it is executed.

    Raises BardlabError, in one line, if there is no such file, it is larger than 2 GB, or holds none of `families`.
    """
    label = label or ("the file" if isinstance(source, bytes) else safe_label(source))
    content, metadata = _content(source, label)
    dictionaries = list(_dictionaries(content))
    if not dictionaries:
        raise BardlabError(f"{label} is not a state dict but a {type(content).__name__}; {HELP}")
    for place, dictionary in sorted(dictionaries, key=lambda found: _rank(found[0])):
        for family in families:
            if any(isinstance(name, str) and family.mark.search(name) for name in dictionary):
                file = _state_dict(dictionary, family, label)
                said = (f'found under "{short(place[-1])}"',) if place else ()
                settings = {**_single_values(dictionaries), **metadata}
                return WeightFile(
                    label, file.tensors, file.others, settings, _alphabet(dictionaries, label), said
                ), family
    names = [_key(name) for _, found in dictionaries for name, value in found.items() if isinstance(value, Tensor)]
    if not names:
        raise BardlabError(f"{label} is an empty state dict, or one without tensors; {HELP}")
    raise BardlabError(
        f"{label} is the state dict of another kind of model: it has {some(names)}; what is read is the reference GPT, "
        "its bigram, nanoGPT, and the runs of this lab"
    )


def _content(source: Path | str | bytes, label: str) -> tuple[object, dict[str, str]]:
    """Return what is in a file, and what a safetensors file says about it."""
    try:
        path = source if isinstance(source, bytes) else Path(source).expanduser()
        with io.BytesIO(path) if isinstance(path, bytes) else path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            head = file.read(4096)
            length = int.from_bytes(head[:8], "little")
            if size > LARGEST_FILE:
                raise BardlabError(f"{label} holds {size / 1e9:.1f} GB; weights for this lab have at most 2 GB")
            if head[8:9] == b"{" and length <= size - 8:
                if length > reading.LARGEST_HEADER:
                    raise BardlabError(f"{label} has a header of {length / 1e6:.0f} MB; at most 10 MB are read")
                return _safetensors(head + file.read(), label)
        if problem := _not_weights(head, size):
            raise BardlabError(f"{label} is {problem}")
        return torch_files.load(path, label, LARGEST_FILE), {}
    except OSError as error:
        raise BardlabError(f"cannot read {label}: {files.explain(error)}") from None
    except ValueError:
        raise BardlabError(f"cannot read {label}: that is no name of a file") from None


def _not_weights(head: bytes, size: int) -> str | None:
    """Say what a file is that begins like this, if it is plainly no file of weights."""
    if not size:
        return f"an empty file; {HELP}"
    for mark, what in _KINDS:
        if head.startswith(mark):
            return what
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page, not the file that it links to; download the file itself (often a button called Raw)"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return f"a text, not a file of weights; {HELP}"
    return None


def _safetensors(content: bytes, label: str) -> tuple[object, dict[str, str]]:
    try:
        state = load_tensors(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = header.get("__metadata__", {})
        return state, {str(name): str(value) for name, value in about.items()}
    except MemoryError:
        raise
    except Exception as error:  # its reader raises several kinds
        reason = (str(error).splitlines() or [""])[0]
        raise BardlabError(f"{label} is a damaged safetensors file ({short(reason)}); {HELP}") from None


# --- where the tensors are -------------------------------------------------------------------------------------------


def _dictionaries(content: object) -> Iterable[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """Yield each dictionary in a nested structure once, with the keys that lead to it, the outer ones first."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), content)]
    seen: set[int] = set()
    while waiting:
        place, part = waiting.pop(0)
        if id(part) in seen or len(place) > 6 or len(seen) > 10_000:
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            yield place, part
            waiting += [
                ((*place, _key(key)), inner) for key, inner in part.items() if isinstance(inner, Mapping | list)
            ]
        elif isinstance(part, list | tuple):
            waiting += [((*place, str(n)), inner) for n, inner in enumerate(part[:100]) if isinstance(inner, Mapping)]


def _key(key: object) -> str:
    return key if isinstance(key, str) else str(key) if type(key) is int else f"a {type(key).__name__}"


def _rank(place: tuple[str, ...]) -> tuple[int, int]:
    """Order the places where a state dict may lie: the outermost, then the usual keys, then the rest."""
    return len(place), _KEYS.index(place[-1]) if place and place[-1] in _KEYS else len(_KEYS)


def _state_dict(dictionary: Mapping[Any, Any], family: Family, label: str) -> WeightFile:
    """Sort a dictionary into tensors by plain name and other things. Raises BardlabError if two names become one."""
    tensors: dict[str, Tensor] = {}
    others: dict[str, str] = {}
    given: dict[str, str] = {}
    for name, value in dictionary.items():
        plain = plain_name(name, family.roots) if isinstance(name, str) else _key(name)
        if not isinstance(value, Tensor):
            others[plain] = type(value).__name__
            continue
        if plain in tensors and not _same(tensors[plain], value):
            raise BardlabError(
                f"{label} holds two models, {short(given[plain])} and {short(name)} among their names; save one of them"
            )
        tensors[plain], given[plain] = value, _key(name)
    return WeightFile(label, tensors, others)


def plain_name(name: str, roots: frozenset[str]) -> str:
    """Take out of a tensor's name what wrappers put into it: their words anywhere, and all before the first root."""
    words = [word for word in name.split(".") if word not in _WRAPPERS]
    first = next((i for i, word in enumerate(words) if word in roots), 0)
    return ".".join(words[first:])


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.dtype == b.dtype and a.shape == b.shape and bool(torch.equal(a, b)))


def _single_values(
    dictionaries: Iterable[tuple[tuple[str, ...], Mapping[Any, Any]]],
) -> dict[str, int | float | str | bool]:
    found: dict[str, int | float | str | bool] = {}
    for _, dictionary in dictionaries:
        for name, value in dictionary.items():
            if isinstance(name, str) and isinstance(value, int | float | str):
                found.setdefault(name, value)
    return found


def _alphabet(dictionaries: Iterable[tuple[tuple[str, ...], Mapping[Any, Any]]], label: str) -> str | None:
    """Return the alphabet that a file tells, as a text, a list, or a table one way or the other."""
    for _, dictionary in dictionaries:
        for key in _ALPHABETS:
            entry = dictionary.get(key)
            if isinstance(entry, Mapping):
                pairs = list(entry.items())
                if all(type(number) is int for _, number in pairs):
                    pairs = [(number, character) for character, number in pairs]
                if not all(type(number) is int for number, _ in pairs):
                    continue
                entry = [character for _, character in sorted(pairs, key=lambda pair: int(pair[0]))]
            if isinstance(entry, str):
                entry = list(entry)
            if (
                isinstance(entry, list | tuple)
                and len(entry) > 1
                and all(isinstance(c, str) and len(c) == 1 for c in entry)
                and len(set(entry)) == len(entry)
            ):
                return "".join(entry)
    return None


# --- in words --------------------------------------------------------------------------------------------------------


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(short(name) for name in names[:3]) + rest


def short(name: object) -> str:
    """A name from a file, fit for one line."""
    text = str(name)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 60 else text[:59] + "…"


def shape(sizes: Iterable[int]) -> str:
    """A tensor's shape in words."""
    return "(" + ", ".join(map(str, sizes)) + ")"


def safe_label(file: Path | str) -> str:
    """A file's name, fit for one line of any view."""
    return re.sub(r"[^\w .,()+-]", "_", Path(file).name)[:60].strip() or "a file"


def _kind(tensor: Tensor) -> str:
    return " ".join(str(x).removeprefix("torch.") for x in (tensor.layout, tensor.dtype, "on", tensor.device))
