"""A line of text that moves while something is under way, without the page being drawn again."""

import re
from collections.abc import Mapping

from pages.ui.components.shared.toolkit import declare, message
from pages.ui.wording import JOINER

_line = declare("live_line", "As it is now", "live-line")
_PIECE = re.compile(
    r"\*\*(?P<strong>(?:\\.|[^*\\])+)\*\*"
    r"|:(?P<colour>[a-z]+)-badge\[(?::material/(?P<icon>\w+): )?(?P<badge>(?:\\.|[^\]\\])*)\]",
    re.DOTALL,
)


def line(markdown: str, *, help: str = "", progress: float | None = None, faint: bool = False) -> Mapping[str, object]:
    """What is said in a line, and how far a bar below it is; of Markdown it may hold what is bold, and badges."""
    return {"pieces": pieces(markdown), "help": help, "progress": progress, "faint": faint}


def pieces(markdown: str) -> list[dict[str, str]]:
    """Take Markdown apart: each piece with its text, and `strong` or a badge's colour and icon."""
    found: list[dict[str, str]] = []
    end = 0
    for match in _PIECE.finditer(markdown):
        found.append({"text": _as_it_is(markdown[end : match.start()])})
        if match["strong"]:
            found.append({"text": _as_it_is(match["strong"]), "kind": "strong"})
        else:
            found.append({"text": _as_it_is(match["badge"]), "kind": match["colour"], "icon": match["icon"] or ""})
        end = match.end()
    found.append({"text": _as_it_is(markdown[end:])})
    return [piece for piece in found if piece["text"]]


def live_line(name: str, said: Mapping[str, object]) -> None:
    """Draw a line; from then on it says what a component hears from the server under its name."""
    _line(key=f"line.{name}", data=message({"name": name, "line": said}))


def _as_it_is(markdown: str) -> str:
    """Undo what `plain` does to a text."""
    return re.sub(r"\\(.)", r"\1", markdown, flags=re.DOTALL).replace(JOINER, "")
