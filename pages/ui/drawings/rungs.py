"""One picture a rung: what it does, drawn from the settings and the shapes of the model itself."""

from collections.abc import Callable
from typing import Any

from core.inspect.anatomy import Anatomy
from core.inspect.receptive import receptive_tree
from core.models.recurrent import CELLS
from core.texts.labels import visible
from pages.ui.drawings.block_diagram import block_diagram
from pages.ui.drawings.svg import Drawing

Picture = tuple[str, str]
"""(SVG, what it shows in words)"""


def shape(values: tuple[int, ...]) -> str:
    """A shape as people write it."""
    return "(" + ", ".join(f"{n}" for n in values) + ")"


def mlp(config: Any, anatomy: Anatomy, text: str) -> Picture:
    """Characters become vectors, vectors are laid side by side, hidden layers look at all of them at once."""
    shown = min(config.context, 12)
    cut = config.context > shown
    characters = text[: shown + 1]
    cell = 46
    left = 20 + (34 if cut else 0)
    width = max(620, left + shown * cell + 330)
    d = Drawing(width, 300)
    across = shown * cell
    E, K, V = config.d_embed, config.context, anatomy.vocab_size
    if cut:
        d.text(26, 255, "…")
    for k in range(shown):
        x = left + k * cell
        d.labelled(x + 8, 240, cell - 16, 30, visible(characters[k]), "box")
        d.line([(x + cell / 2, 240), (x + cell / 2, 214)], arrow=True)
        d.box(x + 4, 186, cell - 8, 26, "new", tip=f"The embedding of this character: {E} learned numbers.")
        d.line([(x + cell / 2, 186), (x + cell / 2, 164)], arrow=True)
    d.box(left, 136, across, 26, "box", tip=f"{K} × {E} = {K * E} numbers side by side.")
    d.text(left + across / 2, 149, f"{K} × {E} = {K * E} side by side", "middle small")
    top = 136
    step = min(46, 100 / config.n_hidden)
    for i in range(config.n_hidden):
        y = top - step
        d.line([(left + across / 2, top), (left + across / 2, y + 22)], arrow=True)
        rows, columns = anatomy.weights[f"hidden.{i}.linear.weight"]
        d.labelled(left, y, across, 22, f"tanh, {rows} units", "new", f"Weights {rows} × {columns}, bias {rows}.")
        top = y
    right = left + across + 24
    d.line([(left + across, top + 11), (right + 26, top + 11)], arrow=True)
    tip = f"Weights {V} × {config.d_hidden}: one logit for each of {V} characters."
    d.labelled(right + 28, top - 2, 92, 26, f"{V} logits", "box", tip)
    d.line([(right + 120, top + 11), (right + 160, top + 11)], arrow=True)
    d.text(right + 168, top + 11, f"“{visible(characters[shown])}”?", "bold")
    d.top = top - 16
    d.text(right, 255, f"the last {K} characters", "dim small")
    d.text(right, 199, f"a vector of {E} for each", "dim small")
    d.text(right, 149, "laid side by side", "dim small")
    return (
        d.svg(),
        f"The last {K} characters become vectors, which go side by side through {config.n_hidden} hidden layers.",
    )


def recurrent(config: Any, anatomy: Anatomy, text: str) -> Picture:
    """The same cells at every character, and the memory that goes from one to the next."""
    shown, cell, left = 8, 84, 70
    layers = min(config.n_layer, 2)
    carried = CELLS[config.cell].carried * config.d_hidden
    d = Drawing(left + shown * cell + 150, 150 + 70 * layers)
    bottom = 70 * layers + 40
    for i in range(layers):
        y = bottom - 70 * (i + 1) + 8
        d.text(4, y + 15, "nothing yet", "small dim")
        for t in range(shown):
            x = left + t * cell
            d.line([(x - 26 if t else x - 4, y + 15), (x + 6, y + 15)], arrow=True)
            gates = ", ".join(CELLS[config.cell].gates)
            tip = f"{config.d_hidden} {config.cell} units" + (f", each with gates: {gates}." if gates else ".")
            d.labelled(x + 8, y, 50, 30, "h", "new", tip + " The same weights at every character.")
            d.line([(x + 33, y + 70 if i == 0 else y + 66), (x + 33, y + 32)], arrow=True)
        d.line([(left + shown * cell - 26, y + 15), (left + shown * cell + 8, y + 15)], arrow=True)
        name = f"layer {i}" if layers == config.n_layer else f"{config.n_layer} layers"
        d.text(left + shown * cell + 14, y + 15, f"{carried:,} numbers on" if i == 0 else name, "small dim")
    for t in range(shown):
        x = left + t * cell
        d.labelled(x + 16, bottom + 10, 34, 30, visible(text[t]), "box")
        d.line([(x + 33, bottom - 70 * layers + 6), (x + 33, bottom - 70 * layers - 14)], arrow=True)
        d.text(x + 33, bottom - 70 * layers - 24, f"{visible(text[t + 1])}?", "middle small")
    d.text(left + shown * cell + 14, bottom + 25, f"a vector of {config.d_embed} each", "small dim")
    d.top, d.height = bottom - 70 * layers - 40, bottom + 50
    return (
        d.svg(),
        f"The same {config.cell} cells read one character after another and hand {carried} numbers on from each to "
        "the next; nothing else is remembered.",
    )


def wavenet(config: Any, anatomy: Anatomy, text: str) -> Picture:
    """The tree of dilations."""
    dilations = config.dilations
    return (
        tree(dilations, text),
        f"A tree of {len(dilations)} layers that joins positions {', '.join(str(n) for n in dilations)} apart.",
    )


def tree(dilations: tuple[int, ...], text: str, longest: int = 64) -> str:
    """Which positions feed the last one, layer by layer. `text` ends with the character at distance 0."""
    found = receptive_tree(dilations)
    reach = found.levels[0][-1] + 1
    shown = min(reach, longest)
    cell = max(13.0, min(34.0, 900 / shown))
    gap = 46 if len(dilations) <= 8 else 30
    left, right, top = 16, 150, 26
    height = top + gap * len(dilations) + 46
    d = Drawing(left + cell * shown + right, height)
    r = min(6.0, cell / 2.8)

    def at(level: int, distance: int) -> tuple[float, float]:
        return left + cell * (shown - distance - 0.5), top + gap * (len(dilations) - level)

    for level, edges in enumerate(found.edges):
        for lower, upper in edges:
            if lower < shown:
                d.line([at(level, lower), at(level + 1, upper)], "wire", id=f"e{level}.{lower}.{upper}")
    for level, distances in enumerate(found.levels):
        for distance in distances:
            if distance >= shown:
                continue
            below = found.below(level, distance)
            names = [f"n{i}.{b}" for i, heard in enumerate(below) for b in heard if b < shown]
            names += [
                f"e{i}.{low}.{up}"
                for i in range(level)
                for low, up in found.edges[i]
                if up in below[i + 1] and low < shown
            ]
            heard = "".join(text[-1 - b] if b < len(text) else "·" for b in sorted(below[0], reverse=True))
            said = " ".join(visible(c) if c != " " else "␣" for c in heard[-48:])
            name = f"Layer {level}" if level else "Embedding"
            tip = f"{name}: {len(heard)} character{'s' if len(heard) > 1 else ''}\n{said}"
            kind = "dot new" if level == len(dilations) else "dot"
            x, y = at(level, distance)
            d.dot(x, y, r, kind, id=f"n{level}.{distance}", lights=" ".join(names), tip=tip)
    for distance in range(shown):
        if distance < len(text):
            d.text(at(0, distance)[0], height - 22, visible(text[-1 - distance]), "middle mono small")
    for level, dilation in enumerate(dilations, 1):
        d.text(left + cell * shown + 12, at(level, 0)[1], f"layer {level}: {dilation} apart", "small dim")
    d.text(left + cell * shown + 12, at(0, 0)[1], "embeddings", "small dim")
    if shown < reach:
        d.text(left, 10, f"the nearest {shown} of {reach} characters", "small dim")
    return d.svg()


def residual(config: Any, anatomy: Anatomy, text: str) -> Picture:
    """The same stack with and without the roads around its layers."""
    shown = min(config.depth, 5)
    d = Drawing(760, 92 + 48 * shown)
    for column, skip in enumerate((0.0, config.skip or 1.0)):
        x = 60 + 340 * column
        title = "plain: every layer replaces" if not skip else "residual: every layer adds"
        if skip and skip < 1:
            title = f"skip {skip:g}: a narrow road"
        d.text(x + 110, 14, title, "middle bold")
        y = 34.0
        for i in range(shown):
            number = i + 1 if i < shown - 1 else config.depth
            if shown < config.depth and i == shown - 1:
                d.text(x + 110, y + 3, f"⋮  {config.depth} layers", "middle small dim")
                y += 14
            d.line([(x + 110, y), (x + 110, y + 10)], "wire")
            tip = f"norm, ReLU, then weights {shape(anatomy.weights['layers.0.linear.weight'])}"
            d.labelled(x + 40, y + 10, 140, 24, f"F{_sub(number)}", "box", tip)
            d.line([(x + 110, y + 34), (x + 110, y + 46)], "wire", arrow=not skip)
            if skip:
                d.road(f"M{x + 110:g},{y + 3:g} H{x + 214:g} V{y + 42:g} H{x + 118:g}", 0.8 + 2.4 * skip)
                d.dot(x + 110, y + 42, 7, "dot new")
                d.text(x + 110, y + 42, "+", "middle small")
            y += 48
    d.text(60 + 340 + 226, 60, "the gradient's", "small dim")
    d.text(60 + 340 + 226, 75, "straight road", "small dim")
    return d.svg(), f"{config.depth} layers one after another; beside them the same layers, each with a way around it."


def _sub(number: int) -> str:
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))


def transformer(config: Any, anatomy: Anatomy, text: str) -> Picture:
    """All blocks with the shape of everything that flows."""
    return block_diagram(config, anatomy)


PICTURES: dict[str, Callable[[Any, Anatomy, str], Picture]] = {
    "mlp": mlp,
    "recurrent": recurrent,
    "wavenet": wavenet,
    "residual": residual,
    "transformer": transformer,
}
