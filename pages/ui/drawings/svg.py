"""Writing SVG: a handful of shapes for the pictures of the rungs, coloured by class (components/picture.css)."""

from html import escape


class Drawing:
    """Collects shapes and gives them back as one SVG of a size in pixels."""

    def __init__(self, width: float, height: float, top: float = 0.0) -> None:
        self.width, self.height, self.top = width, height, top
        self._parts: list[str] = []

    def box(self, x: float, y: float, w: float, h: float, kind: str = "box", **data: str) -> None:
        """A rectangle with round corners."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="5" class="{kind}"{_data(data)}/>'
        )

    def text(self, x: float, y: float, words: str, kind: str = "middle", **data: str) -> None:
        """A line of text whose middle of height is at y."""
        self._parts.append(f'<text x="{x:g}" y="{y + 4.5:g}" class="{kind}"{_data(data)}>{escape(words)}</text>')

    def labelled(self, x: float, y: float, w: float, h: float, words: str, kind: str = "box", tip: str = "") -> None:
        """A box with words in it, and what it says when hovered."""
        self.box(x, y, w, h, kind, **({"tip": tip} if tip else {}))
        self.text(x + w / 2, y + h / 2, words, "middle", **({"tip": tip} if tip else {}))

    def line(self, points: list[tuple[float, float]], kind: str = "wire", arrow: bool = False, **data: str) -> None:
        """A line through points, with a head at its end if it is an arrow."""
        path = " L".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(f'<path d="M{path}" class="{kind}"{_data(data)}/>')
        if arrow:
            (x0, y0), (x, y) = points[-2:]
            length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-9)
            ux, uy = (x - x0) / length, (y - y0) / length
            bx, by = x - 7 * ux, y - 7 * uy
            corners = f"{x:g},{y:g} {bx - 3.5 * uy:g},{by + 3.5 * ux:g} {bx + 3.5 * uy:g},{by - 3.5 * ux:g}"
            self._parts.append(f'<polygon points="{corners}" class="head"/>')

    def road(self, path: str, width: float) -> None:
        """A way around something, as wide as it is strong."""
        self._parts.append(f'<path d="{path}" class="road" style="stroke-width: {width:.2f}"/>')

    def dot(self, x: float, y: float, r: float, kind: str = "dot", **data: str) -> None:
        """A circle."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{r:g}" class="{kind}"{_data(data)}/>')

    def svg(self) -> str:
        """All of it."""
        size = f'viewBox="0 {self.top:g} {self.width:g} {self.height - self.top:g}" style="max-width: {self.width:g}px"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(self._parts)}</svg>'


def _data(values: dict[str, str]) -> str:
    return "".join(f' data-{name}="{escape(value, quote=True)}"' for name, value in values.items())
