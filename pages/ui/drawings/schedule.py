"""The course of the learning rate over a run, as a small line."""

from core.training.config import TrainConfig
from core.training.optimizers import schedule
from pages.ui.drawings.svg import Drawing

WIDTH, HEIGHT, TOP, FOOT = 360, 74, 18, 18
POINTS = 180


def drawing(train: TrainConfig) -> tuple[str, str]:
    """Return the SVG, the factor that training itself uses at each step with warm-up and cool-down named; and words."""
    steps, planned = train.steps, min(train.steps, train.planned)
    cooling = round(planned * train.cooldown)
    corners = {0, train.warmup - 1, planned - 1 - cooling, planned - 1, planned, steps - 1} & set(range(steps))
    some = {round(i * (steps - 1) / POINTS) for i in range(POINTS + 1)}
    floor, high = HEIGHT - FOOT, HEIGHT - FOOT - TOP

    def x(step: float) -> float:
        return round(WIDTH * min(1.0, max(0.0, step / max(1, steps - 1))), 1)

    found = Drawing(WIDTH, HEIGHT)
    points = [(x(step), round(floor - high * schedule(step, train), 1)) for step in sorted(some | corners) if step >= 0]
    found.line([point for point in points if point[0] <= WIDTH], "road")
    found.text(0, TOP / 2 - 2, f"{train.learning_rate:g}", "small")
    found.text(WIDTH, HEIGHT - FOOT / 2, f"step {steps:,}", "small right")
    if train.warmup:
        found.box(x(train.warmup - 1), TOP, 1, high, "group")
        found.text(min(x(train.warmup - 1), 0.6 * WIDTH), HEIGHT - FOOT / 2, f"warm-up {train.warmup:,}", "small")
    if cooling:
        found.box(x(planned - 1 - cooling), TOP, 1, high, "group")
        found.text(WIDTH, TOP / 2 - 2, f"cool-down from step {planned - cooling:,}", "small right")
    told = f"Learning rate over {steps:,} steps, {train.warmup:,} of warm-up, {cooling:,} of cool-down"
    return found.svg(), told
