"""Text with some of its characters marked. It is shown as it is, never as markup."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

_text = st.components.v2.component(
    "bardlab_marked_text",
    html="<pre></pre>",
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def marked_text(text: str, marks: Sequence[bool], *, faint: int = 0, label: str, key: str) -> None:
    """Show `text`, its first `faint` characters paler, with those marked whose `marks` entry is true."""
    runs: list[list[object]] = []
    for at, (character, mark) in enumerate(zip(text, marks, strict=True)):
        kind = "faint" if at < faint else "mark" if mark else ""
        shown = "↵\n" if mark and character == "\n" and at >= faint else character
        if runs and runs[-1][0] == kind:
            runs[-1][1] = f"{runs[-1][1]}{shown}"
        else:
            runs.append([kind, shown])
    _text(data={"runs": runs, "label": label}, key=key)
