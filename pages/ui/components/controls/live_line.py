"""A line of text that moves while something is under way, without the page being drawn again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pages.ui.components.shared.toolkit import declare, message
from pages.ui.wording import plain

_line = declare("live_line", "As it is now", "live-line")


@dataclass(frozen=True)
class Piece:
    """Some words of a line."""

    text: str
    """Sign for sign."""
    kind: str = ""
    """`strong`, or the colour of a badge; empty for words like any others."""
    icon: str = ""
    """Of a badge: the name of a Material symbol."""


def line(
    pieces: Sequence[Piece], *, help: str = "", progress: float | None = None, faint: bool = False
) -> Mapping[str, object]:
    """What is said in a line, and how far a bar below it is."""
    return {"pieces": [asdict(piece) for piece in pieces], "help": help, "progress": progress, "faint": faint}


def markdown(pieces: Sequence[Piece]) -> str:
    """The same words as Markdown, for where they stand still."""
    return "".join(_in_markdown(piece) for piece in pieces)


def _in_markdown(piece: Piece) -> str:
    text = plain(piece.text)
    if not piece.kind:
        return text
    if piece.kind == "strong":
        return f"**{text}**"
    icon = f":material/{plain(piece.icon)}: " if piece.icon else ""
    return f":{plain(piece.kind)}-badge[{icon}{text}]"


def live_line(name: str, said: Mapping[str, object]) -> None:
    """Draw a line; from then on it says what a component hears from the server under its name."""
    _line(key=f"line.{name}", data=message({"name": name, "line": said}))
