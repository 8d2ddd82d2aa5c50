"""An animated picture: frames that last as long as they are worth, with a drawn pointer."""

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

SHRUNK = (960, 600)
ARROW = ((0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12))
"""The pointer, in pixels of the window, from its tip."""


@dataclass
class Film:
    """Frames in order, each with its milliseconds."""

    frames: list[Image.Image] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def add(
        self, picture: Image.Image, ms: int, pointer: tuple[float, float] | None = None, *, press: bool = False
    ) -> None:
        """Append a frame, with the pointer where it is, ringed while it presses."""
        frame = picture.copy()
        if pointer:
            draw, (x, y) = ImageDraw.Draw(frame), pointer
            if press:
                draw.ellipse((x - 16, y - 16, x + 16, y + 16), outline="#8c2f39", width=4)
            draw.polygon([(x + 1.5 * dx, y + 1.5 * dy) for dx, dy in ARROW], fill="black", outline="white", width=2)
        self.frames.append(frame.resize(SHRUNK, Image.Resampling.LANCZOS))
        self.times.append(ms)

    def go(self, picture: Image.Image, start: tuple[float, float], end: tuple[float, float], frames: int = 8) -> None:
        """Move the pointer over a window that stands still, slower at both ends."""
        for at in range(1, frames + 1):
            share = at / frames
            eased = share * share * (3 - 2 * share)
            self.add(picture, 60, (start[0] + eased * (end[0] - start[0]), start[1] + eased * (end[1] - start[1])))

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(self.times) / 1000

    def save(self, path: Path) -> None:
        """Write it as an animated WebP that repeats."""
        self.frames[0].save(
            path, save_all=True, append_images=self.frames[1:], duration=self.times, loop=0, quality=70, method=4
        )
