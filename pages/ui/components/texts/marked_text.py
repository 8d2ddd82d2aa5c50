"""Text with some of its characters marked. It is shown as it is, never as markup."""

from collections.abc import Sequence

from pages.ui.components.shared.toolkit import declare, message

_text = declare("marked_text", "Text")


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
    _text(data=message({"runs": runs, "label": label}), key=key)
