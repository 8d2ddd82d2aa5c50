"""Numbers in words: one way to write a duration, a size and a count on every page."""

import math
import re

JOINER = "\u2060"
"""A character that takes no room and cannot be seen."""
GONE = "it is no longer here. Add the same text again on the page The text."
"""What is said of a run's text that was deleted, or never was on this machine."""


def duration(seconds: float | None) -> str:
    """A duration as people say it."""
    if seconds is None:
        return "–"
    if seconds < 0.0005:
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    if seconds < 48 * 3600:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"
    return f"{seconds / 86400:.1f} days"


def roughly(seconds: float) -> str:
    """A duration of which only the order matters, as short as it can be said."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.1f} days"


def size(count: float) -> str:
    """Bytes in a readable unit."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def loss(value: float | None) -> str:
    """A loss with the digits that mean something."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.4f}"


def rate(value: float | None, unit: str) -> str:
    """A speed."""
    if not value:
        return "–"
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2f} {unit}"


def chance(p: float) -> str:
    """A probability as it is, never rounded to zero: as the components write it."""
    return f"{p:.0f}" if p in (0, 1) else f"{p:.4f}" if p >= 0.001 else f"{p:.1e}".replace("e-0", "e-")


def counted(count: int) -> str:
    """So many runs."""
    return "1 run" if count == 1 else f"{count:,} runs"


def waiting(message: str) -> str:
    """What a job says that waits for a device, with the device as people call it."""
    found = re.match(r"waiting for the (\w+)", message)
    if not found or device(found[1]) == "–":
        return message
    return f"waiting for the {device(found[1])}{message[found.end() :]}"


def device(kind: str, count: int = 1) -> str:
    """A device as people call it, whatever its number, or several that compute one run."""
    kind = kind.partition(":")[0]
    if count > 1 and kind == "cpu":
        return f"CPU in {count} processes"
    name = {"cpu": "CPU", "cuda": "GPU", "mps": "GPU"}.get(kind, "–")
    return f"{count} {name}s" if count > 1 and name != "–" else name


def place(kind: str, node: str, count: int = 1) -> str:
    """A device, or several, and the machine that they are in if that is another one."""
    return f"{device(kind, count)} of {node}" if node else device(kind, count)


def plain(text: str) -> str:
    """Text that somebody typed, for a place that reads Markdown: shown sign for sign, whatever is in it.

    Colours, icons and emoji are put in by Streamlit after the Markdown is read, where a backslash no longer helps: an
    invisible joiner keeps their names from being found. It also keeps addresses from becoming links by themselves.
    """
    text = re.sub(r"[\\`*\[\]<>$~|{}]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)", lambda found: "\\" + found[0], text)
    text = re.sub(r":(?=[\w+/-])", lambda _: "\\:" + JOINER, text)
    text = re.sub(r"@|www(?=\.)", lambda found: found[0] + JOINER, text, flags=re.IGNORECASE)
    at_start = r"^(\s*)(#|[-+](?=\s)|\d+(?=[.)]))"  # headings and lists
    return re.sub(at_start, lambda found: found[1] + JOINER + found[2], text, flags=re.MULTILINE)


def inline(text: str) -> str:
    """Any text as it is, for a line of Markdown: signs of Markdown and HTML in it mean nothing."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if not text or text[0] in " `" or text[-1] in " `" else ""  # Markdown takes one blank off each end
    return f"{fence}{pad}{text}{pad}{fence}"
