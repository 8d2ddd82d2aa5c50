"""The course of the learning rate over a run, as a small line."""

from html import escape

from core.training.config import TrainConfig
from core.training.optimizers import schedule

WIDTH, HEIGHT, TOP, FOOT = 360, 74, 16, 16
POINTS = 180


def drawing(train: TrainConfig) -> str:
    """Return the SVG: the factor that training itself uses at each step, with warm-up and cool-down named."""
    steps = train.steps
    corners = {0, train.warmup - 1, steps - 1 - round(steps * train.cooldown), steps - 1}
    some = {round(i * (steps - 1) / POINTS) for i in range(POINTS + 1)}
    at = sorted(step for step in some | corners if 0 <= step < steps)
    floor, high = HEIGHT - FOOT, HEIGHT - FOOT - TOP

    def x(step: float) -> float:
        return WIDTH * step / max(1, steps - 1)

    line = " ".join(f"{x(step):.1f},{floor - high * schedule(step, train):.1f}" for step in at)
    words = [_word(0, TOP - 5, "start", f"{train.learning_rate:g}")]
    words.append(_word(WIDTH, HEIGHT - 3, "end", f"step {steps:,}"))
    marks = ""
    if train.warmup:
        end = min(WIDTH, x(train.warmup - 1))
        marks += _mark(end, floor)
        words.append(_word(min(end + 3, WIDTH - 120), HEIGHT - 3, "start", f"warm-up {train.warmup:,}"))
    if cooling := round(steps * train.cooldown):
        begin = max(0.0, x(steps - 1 - cooling))
        marks += _mark(begin, floor)
        words.append(_word(max(begin, 60), TOP - 5, "start", f"cool-down from step {steps - cooling:,}"))
    told = f"Learning rate over {steps:,} steps, {train.warmup:,} of warm-up, {cooling:,} of cool-down"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" aria-label="{escape(told, quote=True)}" '
        f'style="max-width: 30rem; overflow: visible">{marks}'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.6"/>{"".join(words)}</svg>'
    )


def _mark(x: float, floor: float) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor}" stroke="currentColor" stroke-opacity=".35" '
        'stroke-dasharray="2 3"/>'
    )


def _word(x: float, y: float, anchor: str, text: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-size="10.5" fill="currentColor" opacity=".8">'
        f"{escape(text)}</text>"
    )
