"""How components are declared and how data travels to them.

A component is NAME.py, NAME.js and NAME.css. Its script imports from the modules in `shared/`, which are ordinary
JavaScript modules, and JSON; what reaches the browser is one script without imports, joined here when the server
starts.

A message is one block of bytes: the header's length (uint32, little-endian), the header (JSON, padded with spaces to
four bytes), then the arrays, each padded to four bytes. `message` writes it, shared/wire.js reads it.
"""

import html
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import ArrayLike, NDArray

HERE = Path(__file__).parents[1]
_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.[^"]+)";\n', re.MULTILINE)
_DATA = re.compile(r'^import (\w+) from "(\.[^"]+\.json)" with \{ type: "json" \};\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def declare(name: str, label: str, classes: str = "") -> Any:
    """Declare the component of `name`.js and `name`.css, drawn into an element that is called `label`."""
    return st.components.v2.component(
        f"bardlab_{name}", html=markup(classes or name, label), css=style(name), js=script(name)
    )


def heard(key: str, what: str) -> Any:
    """Return what a component has just told of; None if it has not, as when its page was left in the same moment."""
    return st.session_state.get(key, {}).get(what)


def markup(classes: str, label: str) -> str:
    """Return the element into which a component draws."""
    return f'<div class="inside {classes}" role="group" aria-label="{html.escape(label)}"></div>'


def _file(name: str) -> Path:
    """Find a component's file in whichever folder it lies."""
    return next(HERE.glob(f"*/{name}"))


@cache
def style(name: str) -> str:
    """Return what a component looks like: what is common to all, then its own."""
    return "\n".join(_file(part).read_text("utf-8") for part in ("shared.css", f"{name}.css"))


@cache
def script(name: str) -> str:
    """Join a component's script and all modules that it imports, each once and before what needs it."""
    visited: set[Path] = set()
    parts: list[str] = []

    def visit(path: Path) -> None:
        if path in visited:
            return
        visited.add(path)
        source = path.read_text("utf-8")
        for imported in _IMPORT.findall(source):
            visit((path.parent / imported).resolve())

        def data(found: re.Match[str]) -> str:
            return f"const {found[1]} = {json.dumps(json.loads((path.parent / found[2]).read_text('utf-8')))};\n"

        parts.append(_EXPORT.sub("", _DATA.sub(data, _IMPORT.sub("", source))))

    visit(_file(f"{name}.js"))
    return "\n".join(parts)


def message(header: Mapping[str, Any]) -> bytes:
    """Encode one message. Arrays may stand anywhere in `header`; numbers that are not finite become null.

    A message without a `serial` gets one that changes with the content.
    """
    blocks: list[bytes] = []
    content = _plain(header, blocks)
    body = b"".join(blocks)
    content.setdefault("serial", zlib.crc32(body, zlib.crc32(json.dumps(content).encode())))
    head = json.dumps(content).encode()
    head += b" " * (-len(head) % 4)
    return len(head).to_bytes(4, "little") + head + body


def _plain(value: Any, blocks: list[bytes]) -> Any:
    """Return what JSON can hold; an array goes to `blocks`, and its kind, offset and length stay."""
    match value:
        case np.ndarray():
            kind = "f4" if value.dtype.kind == "f" else "u1" if value.dtype == np.uint8 else "u2"
            found = np.ascontiguousarray(value, dtype=f"<{kind}")
            offset = sum(map(len, blocks))
            content = found.tobytes()
            blocks.append(content + bytes(-len(content) % 4))
            return {"$array": [kind, offset, found.size]}
        case float():
            return value if math.isfinite(value) else None
        case np.generic():
            return _plain(value.item(), blocks)
        case Mapping():
            return {str(name): _plain(part, blocks) for name, part in value.items()}
        case str():
            return value
        case Sequence():
            return [_plain(part, blocks) for part in value]
    return value


def floats(values: ArrayLike) -> NDArray[np.float32]:
    """Numbers of any shape; they travel row by row."""
    return np.asarray(values, dtype=np.float32)


def whole(values: ArrayLike) -> NDArray[np.uint16]:
    """Whole numbers from 0 to 65,535 of any shape."""
    return np.asarray(values).astype(np.uint16)
