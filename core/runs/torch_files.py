"""Reads what `torch.save` wrote: it is looked through first, then loaded. Nothing in it runs, none of it is unpacked.

torch's own reader (`weights_only`) calls a short list of functions that the file chooses, `bytearray` among them, which
takes as much memory as the file asks for. A state dict needs fewer, so the pickle's instructions are read one by one
beforehand and anything else is refused. Nor does a state dict need compression: every part is as large as it is in the
file, and no tensor reaches beyond what the file holds of it.
"""

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from core.errors import BardlabError

LONGEST_PICKLE = 16 * 1024**2  # bytes; names, shapes and an optimiser's settings take a thousandth
MOST_OBJECTS = 1_000_000
LARGEST_TUPLE = 10_000
_MAGIC = 0x1950A86A20F9469CFC6C  # with this number the format of torch before 1.6 begins
_NUMBERS = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool", "ComplexFloat")
_DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
ALLOWED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch device",
    *(f"torch {kind}Storage" for kind in _NUMBERS),
    *(f"torch {name}" for name in _DTYPES),
}
"""What a pickle may name: tensors, dictionaries of them, and the types that a checkpoint's settings speak of."""


def load(source: Path | bytes, label: str, largest: int) -> object:
    """Return what was saved, on the CPU. `largest`: bytes that it may have.

    Raises OSError if the file cannot be opened, BardlabError, in one line, if it is too large, compressed, damaged, or
    names anything that a state dict does not need.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if size > largest:
            raise BardlabError(f"{label} holds {size / 1e9:.2f} GB; at most {largest / 1e9:.2f} GB are read")
        try:
            _look_through(file, size, label)
            file.seek(0)
            with warnings.catch_warnings():  # torch warns about odd formats; what counts is whether it can read them
                warnings.simplefilter("ignore")
                content: object = torch.load(file, map_location="cpu", weights_only=True)
            _check_extent(content, size, label)
        except (BardlabError, MemoryError):
            raise
        except Exception as error:  # torch raises whatever its reader meets in a damaged file
            reason = (str(error).strip().splitlines() or [""])[0]
            if "DefaultCPUAllocator" in reason:
                raise MemoryError(reason) from None
            raise BardlabError(
                f"{label} is damaged, or is no file that torch.save wrote ({_short(reason) or type(error).__name__})"
            ) from None
    return content


def check_checksums(file: Path, largest: int) -> None:
    """Raise ValueError if a part of an archive does not agree with its checksum; torch itself does not look at it."""
    with zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > largest:
            raise ValueError(f"it unpacks to more than {largest / 1e9:.2f} GB")
        if broken := archive.testzip():
            raise ValueError(f"the checksum of {_short(broken)} does not agree with its content")


def _look_through(file: IO[bytes], size: int, label: str) -> None:
    """Raise BardlabError unless the file is plainly a state dict, or a dictionary that may hold one."""
    if file.read(4) == b"PK\x03\x04":
        _look_through_archive(file, size, label)
        return
    file.seek(0)
    first = True
    for _ in range(
        5
    ):  # the old format: a magic number, a version, about the machine, the content, the list of storages
        start = file.tell()
        names, number = _named(file, label)
        _allow(names, label)
        if first and number != _MAGIC:
            raise BardlabError(f"{label} is a pickle, but not one that torch.save wrote; nothing in it was run")
        first = False
        if file.tell() - start > LONGEST_PICKLE:
            raise BardlabError(f"{label} is not a plain state dict: its list of contents is too long")


def _look_through_archive(file: IO[bytes], size: int, label: str) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if any(re.fullmatch(r"[^/]*/(code/.*|constants\.pkl)", name) for name in names):
            raise BardlabError(
                f"{label} is a TorchScript program (torch.jit.save), not weights; save model.state_dict() instead"
            )
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise BardlabError(f"{label} is compressed inside, which torch.save never does; nothing was unpacked")
        if sum(entry.file_size for entry in entries) > size:
            raise BardlabError(f"{label} announces more than it holds; nothing was unpacked")
        pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > LONGEST_PICKLE:
            raise BardlabError(f"{label} is not a plain state dict: it has no list of contents, or too long a one")
        content = archive.read(pickles[0])
    _allow(_named(io.BytesIO(content), label)[0], label)


def _named(file: IO[bytes], label: str) -> tuple[list[str], object]:
    """Return the functions and classes that one pickle names, as `module name` in order, and the last number in it."""
    names: list[str] = []
    texts: list[str] = []
    number: object = None
    sizes = _TupleSizes()
    try:
        for operation, argument, _ in pickletools.genops(file):
            sizes.take(operation, argument)
            if operation.name in ("GLOBAL", "INST"):
                names.append(str(argument))
            elif operation.name == "STACK_GLOBAL":
                names.append(" ".join(texts[-2:]))  # mostly; torch itself reads no pickle that has these
            elif operation.name.startswith("EXT"):
                names.append("copyreg extension")
            elif isinstance(argument, str):
                texts = [*texts[-1:], argument]
            elif isinstance(argument, int):
                number = argument
    except Exception:
        if set(names) - ALLOWED:
            return names, number
        raise BardlabError(f"{label} is not a file of weights, or is damaged") from None
    return names, number


class _TupleSizes:
    """Follows the stack of a pickle as far as tuples go.

    A few bytes may make a tuple of two tuples of two tuples, and so on: small in memory, but the time to hash or to
    print it doubles with each.
    """

    def __init__(self) -> None:
        self.stack: list[int | None] = []  # the parts of each value, counted as often as they occur; None: a mark
        self.memo: dict[int, int | None] = {}

    def take(self, operation: pickletools.OpcodeInfo, argument: object) -> None:
        """Take one instruction. Raises ValueError at a tuple of too many parts, or if the stack runs empty."""
        name, stack = operation.name, self.stack
        if name == "MARK":
            stack.append(None)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[int(str(argument))] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[int(str(argument))])
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            parts = self._pop_to_mark() if name == "TUPLE" else [stack.pop() for _ in range(int(name[-1]))]
            size = 1 + sum(part or 0 for part in parts)
            if size > LARGEST_TUPLE:
                raise ValueError("a tuple has too many parts")
            stack.append(size)
        else:
            before = operation.stack_before
            if pickletools.markobject in before:
                self._pop_to_mark()
                before = before[: before.index(pickletools.markobject)]
            for _ in before:
                stack.pop()
            stack += [1] * len(operation.stack_after)

    def _pop_to_mark(self) -> list[int | None]:
        at = len(self.stack) - 1 - self.stack[::-1].index(None)
        parts = self.stack[at + 1 :]
        del self.stack[at:]
        return parts


def _allow(names: list[str], label: str) -> None:
    asked = [name for name in names if name not in ALLOWED]
    if not asked:
        return
    if any(name.startswith("torch.nn.modules") for name in asked):
        whole = asked[0].rpartition(" ")[2]  # the outermost object comes first
        raise BardlabError(
            f"{label} is a whole pickled model ({_short(whole)}), which runs code when it is opened; nothing in it was "
            "run; save model.state_dict() instead"
        )
    what = _short(asked[0].replace(" ", "."))
    raise BardlabError(
        f"{label} is not a plain state dict: it asks for {what}; nothing in it was run; "
        "save model.state_dict() alone, or with plain numbers and text"
    )


def parts(content: object) -> Iterator[object]:
    """Yield each part of a nested structure of dictionaries, lists and tuples once, the outer before the inner.

    Raises ValueError if there are too many.
    """
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if len(seen) > MOST_OBJECTS:
            raise ValueError("it has too many parts")
        yield part
        if isinstance(part, Mapping):
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part


def _check_extent(content: object, size: int, label: str) -> None:
    """Raise BardlabError if tensors are larger than what the file holds of them: torch makes room for what is named."""
    storages: dict[int, int] = {}
    for part in parts(content):
        if isinstance(part, Tensor) and part.layout is torch.strided and not part.is_meta:
            storage = part.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            if part.numel() * part.element_size() > storage.nbytes():
                raise BardlabError(f"{label} repeats the same numbers inside a tensor; save model.state_dict() instead")
    if sum(storages.values()) > size:
        raise BardlabError(f"{label} announces more numbers than it holds; it is damaged")


def _short(text: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 80 else text[:79] + "…"
