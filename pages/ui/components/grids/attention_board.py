"""The attention board: every head at once, one head as map or lines, one query opened, the text itself shaded.

Hovering, sorting, switching and saving pictures happen in the browser. What is locked (heads, query, how it is drawn)
comes back to Python, which puts it into the URL and sends the parts of the head that is opened.

Patterns travel as their lower triangles, row by row, in steps of 1/65535; the parts of an opened head as float32. A
board that the browser holds already is not sent again.
"""

import base64
import html
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.inspect.attention import AttentionMaps
from core.inspect.heads import HeadScores
from pages.ui.address import whole_number
from pages.ui.components.shared.toolkit import declare, heard, markup, message, script, style
from pages.ui.plots.attention_maps import Packed
from pages.ui.plots.colours import DIVERGING, SEQUENTIAL, colour_table

Head = tuple[int, int]
Price = tuple[float, float]
"""By how much the validation loss rises without a head, nats, and the standard error of that."""
PARTS = ("text", "board", "head", "query")
SAVED_WHOLE = 12_000_000
"""Bytes up to which a saved page holds the parts of every head; beyond, of the chosen ones."""
_LABEL = "Attention of every head"

_board = declare("attention_board", _LABEL, "attention")


@dataclass(frozen=True)
class BoardView:
    """What is locked on a board, and how it is drawn. `parse` and `query` bring it out of a URL and into one."""

    heads: tuple[Head, ...] = ()
    """The chosen heads, the last one opened; none means the first on the board."""
    query: int | None = None
    """The locked position."""
    toward: str = "from"
    """`from`: what the position looks at; `to`: who looks at it."""
    by: str = "weight"
    """`weight`, or `value`: weight times the length of what is written."""
    shade: str = "head"
    """Whose attention shades the text: `head` the opened one, `chosen` all chosen, `max` the largest of all."""
    show: str = "map"
    """`map` or `lines`."""
    sort: str = "layer"
    """`layer`, `entropy`, `distance`, `price`, or a kind's key."""
    only: str = "all"
    """`all`, or the key of the label to show."""

    CHOICES = {  # noqa: RUF012
        "toward": ("from", "to"),
        "by": ("weight", "value"),
        "shade": ("head", "chosen", "max"),
        "show": ("map", "lines"),
    }

    @classmethod
    def parse(cls, values: Mapping[str, Any], layers: int, heads: int, positions: int) -> "BoardView":
        """Read what `query` wrote, or what the browser sent; whatever does not fit the board is passed over."""
        found = []
        for name in str(values.get("heads") or "").split(","):
            layer, _, head = name.partition(".")
            place = whole_number(layer, 0, layers - 1), whole_number(head, 0, heads - 1)
            if place[0] is not None and place[1] is not None:
                found.append((place[0], place[1]))
        at = whole_number(str(values.get("query", "")), 0, positions - 1)
        words = str(values.get("mode") or "").split(",")
        chosen = {name: next((w for w in words if w in allowed), allowed[0]) for name, allowed in cls.CHOICES.items()}
        named = dict(word.split(":", 1) for word in words if ":" in word)
        sort, only = named.get("sort", "layer"), named.get("only", "all")
        return cls(tuple(dict.fromkeys(found))[-8:], at, **chosen, sort=sort, only=only)

    def to_query(self) -> dict[str, str]:
        """Write it as query parameters; what is as usual is left out."""
        words = [getattr(self, name) for name, allowed in self.CHOICES.items() if getattr(self, name) != allowed[0]]
        words += [f"sort:{self.sort}"] if self.sort != "layer" else []
        words += [f"only:{self.only}"] if self.only != "all" else []
        heads = ",".join(f"{layer}.{head}" for layer, head in self.heads)
        wanted = {"heads": heads, "query": "" if self.query is None else str(self.query), "mode": ",".join(words)}
        return {name: value for name, value in wanted.items() if value}


URL_NAMES = ("heads", "query", "mode")


def attention_board(
    packed: Packed,
    tokens: str,
    maps: AttentionMaps | None = None,
    *,
    scores: HeadScores | None = None,
    prices: Mapping[Head, Price] | None = None,
    view: BoardView | None = None,
    parts: Sequence[str] = PARTS,
    key: str,
) -> BoardView:
    """Draw a board and return what is locked on it. Call it in an `st.fragment`: locking something reruns that.

    `packed` comes from `pack_maps` and `tokens` holds its characters. `maps` is needed to open a head into q, k and v.
    `scores` labels the heads and sorts the board; `prices` says what each head is worth. `view` is what to show at
    first, or after a change from outside; the visitor's own choices count while it stays the same, and when they are
    what it has become: a page may hand back what it was returned. `parts` leaves out what is not wanted: a board alone
    is `("board",)`.
    """
    pending, given, locked = f"{key}:pending", f"{key}:given", f"{key}:view"
    wanted = (view or BoardView()).to_query()
    told = st.session_state.pop(pending, None)  # what the browser has just said; none on a full rerun

    def remember() -> None:
        if act := heard(key, "act"):
            st.session_state[pending] = act
            st.session_state[locked] = act["view"]

    if not told and wanted not in (st.session_state.get(given), st.session_state.get(locked)):
        st.session_state[locked] = wanted
    st.session_state[given] = wanted
    now = BoardView.parse(st.session_state[locked], *packed.shape)
    have = told["have"] if told else []
    opened = [now.heads[-1] if now.heads else (0, 0)] if maps and "query" in parts else []
    header = {
        **_header(packed, tokens, scores, prices, parts),
        "key": key,
        "serial": uuid.uuid4().hex,
        "seq": told["seq"] if told else None,
        "view": now.to_query(),
        "opens": bool(opened),
    }
    _board(key=key, data=_message(header, packed, maps, opened, have), on_act_change=remember)
    return now


def board_page(
    packed: Packed,
    tokens: str,
    maps: AttentionMaps,
    *,
    scores: HeadScores | None = None,
    prices: Mapping[Head, Price] | None = None,
    view: BoardView,
    title: str,
    about: str,
) -> bytes:
    """Make an HTML page that holds the board with its data and opens without a network or a server."""
    L, H, T = packed.shape
    every = [(layer, head) for layer in range(L) for head in range(H)]
    D = maps.open(0, 0).q.shape[1]
    whole = L * H * 4 * (4 * T * D + 2 * T * T) <= SAVED_WHOLE
    opened = every if whole else list(view.heads or [(0, 0)])
    header = _header(packed, tokens, scores, prices, PARTS)
    header |= {"key": "saved", "serial": "saved", "seq": None, "view": view.to_query(), "opens": True, "saved": True}
    data = base64.b64encode(_message(header, packed, maps, opened, [])).decode()
    start_script = script("attention_board").replace("export default", "const start =", 1)
    start = (
        "const text = atob(document.getElementById('data').textContent);\n"
        "const data = Uint8Array.from(text, (c) => c.charCodeAt(0));\n"
        "start({ data, parentElement: document.body, setTriggerValue() {} });"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_theme()}\n{style('attention_board')}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1><p>{html.escape(about)}</p>\n{markup('attention', _LABEL)}\n"
        f'<script type="text/plain" id="data">{data}</script>\n<script type="module">{start_script}\n{start}</script>'
        "</body></html>\n"
    ).encode()


def _header(
    packed: Packed,
    tokens: str,
    scores: HeadScores | None,
    prices: Mapping[Head, Price] | None,
    parts: Sequence[str],
) -> dict[str, Any]:
    L, H, T = packed.shape
    if len(tokens) != T:
        raise ValueError(f"{len(tokens)} tokens for {T} positions")
    header: dict[str, Any] = {"layers": L, "heads": H, "tokens": list(tokens), "parts": list(parts), **_palettes()}
    if scores is not None:
        header["kinds"] = [{**asdict(k), "chance": _plain(c)} for k, c in zip(scores.kinds, scores.chance, strict=True)]
        header["about"] = {
            f"{layer}.{head}": {
                "label": label.key if (label := scores.label(layer, head)) else "mixed",
                "scores": [_plain(value) for value in scores.score[:, layer, head]],
                "lift": [_plain(value) for value in scores.lift[:, layer, head]],
                "entropy": float(scores.entropy[layer, head]),
                "distance": float(scores.distance[layer, head]),
            }
            for layer in range(L)
            for head in range(H)
        }
    if prices:
        header["prices"] = {
            f"{layer}.{head}": [_plain(part) for part in price] for (layer, head), price in prices.items()
        }
    return header


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@cache
def _palettes() -> dict[str, str]:
    return {"sequential": colour_table(SEQUENTIAL).hex(), "diverging": colour_table(DIVERGING).hex()}


def _message(
    header: Mapping[str, Any],
    packed: Packed,
    maps: AttentionMaps | None,
    opened: Sequence[Head],
    have: Collection[str],
) -> bytes:
    """Encode one message: what of the board and of the opened heads the browser does not hold yet."""
    blocks: dict[str, NDArray[Any]] = {}
    if packed.id not in have:
        blocks["pattern"] = np.frombuffer(packed.pattern, dtype="<u2")
        blocks["norm"] = np.frombuffer(packed.value_norm, dtype="<f4")
    for layer, head in opened:
        if maps is not None and f"{packed.id}:{layer}.{head}" not in have:
            blocks |= {f"{layer}.{head}:{part}": a for part, a in asdict(maps.open(layer, head)).items()}
    return message({**header, "board": packed.id, "blocks": blocks})


def _theme() -> str:
    """Return the app's two themes as CSS variables, for a page outside the app."""

    def rules(kind: str) -> str:
        names = ("primaryColor", "backgroundColor", "secondaryBackgroundColor", "textColor", "borderColor")
        found = {name: st.get_option(f"theme.{kind}.{name}") for name in names}
        made = [f"--st-{_dashed(name)}: {value};" for name, value in found.items() if value]
        colours = ",".join(st.get_option(f"theme.{kind}.chartCategoricalColors") or [])
        return " ".join([*made, f"--st-chart-categorical-colors: {colours};", f"color-scheme: {kind};"])

    fonts = f"--st-font: {st.get_option('theme.font')}; --st-code-font: {st.get_option('theme.codeFont')};"
    return (
        f":root {{ {rules('light')} {fonts} --st-base-radius: 0.4rem; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {rules('dark')} }} }}\n"
        "body { max-width: 72rem; margin: 1.5rem auto; padding: 0 1rem; background: var(--st-background-color); "
        "color: var(--st-text-color); font-family: var(--st-font); }"
    )


def _dashed(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name)
