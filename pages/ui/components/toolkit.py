"""What the components that look inside a prediction share: how they are declared, and how numbers travel."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import ArrayLike

HERE = Path(__file__).parent


def declare(name: str, label: str) -> Any:
    """Declare the component of `name`.js and `name`.css, drawn into an element `.inside` that is called `label`."""
    read = {
        kind: "\n".join((HERE / f"{part}.{kind}").read_text("utf-8") for part in ("toolkit", name)) for kind in KINDS
    }
    html = f'<div class="inside {name}" role="group" aria-label="{label}"></div>'
    return st.components.v2.component(f"bardlab_{name}", html=html, css=read["css"], js=read["js"])


KINDS = ("css", "js")


def floats(values: ArrayLike) -> dict[str, str]:
    """Pack numbers of any shape as float32, row by row."""
    return _packed(values, "f4")


def whole(values: ArrayLike) -> dict[str, str]:
    """Pack numbers from 0 to 65,535 of any shape, row by row."""
    return _packed(values, "u2")


def _packed(values: ArrayLike, kind: str) -> dict[str, str]:
    return {"kind": kind, "base64": base64.b64encode(np.asarray(values).astype(f"<{kind}").tobytes()).decode()}
