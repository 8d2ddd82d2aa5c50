"""How loss falls with size: FLOPs per step and a fitted power law."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.studies.findings import INTERVAL


@dataclass(frozen=True)
class PowerLaw:
    """Loss = factor · x^-exponent, a straight line on two logarithmic axes."""

    exponent: float
    uncertainty: float
    """Half the width of the exponent's 95 % interval."""
    factor: float
    points: int
    _mean_log: float
    _spread: float
    _residual: float

    @property
    def sentence(self) -> str:
        """The fit in one line."""
        trusted = abs(self.exponent) > self.uncertainty
        told = (
            f"loss falls as the power {self.exponent:.3f} ± {self.uncertainty:.3f}" if trusted else "no trend to trust"
        )
        return (
            f"{told} ({self.points} runs)"
            if trusted
            else (f"{told}: exponent {self.exponent:.3f} ± {self.uncertainty:.3f} ({self.points} runs)")
        )

    def at(self, x: float) -> tuple[float, float, float]:
        """Return the fitted loss at `x`, and the ends of its 95 % band."""
        from scipy.special import stdtrit

        middle = math.log(self.factor) - self.exponent * math.log(x)
        off = (math.log(x) - self._mean_log) ** 2 / self._spread
        half = float(stdtrit(self.points - 2, (1 + INTERVAL) / 2)) * self._residual * math.sqrt(1 / self.points + off)
        return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def power_law(xs: Sequence[float], losses: Sequence[float]) -> PowerLaw | None:
    """Fit loss = a · x^-b by least squares on the logarithms (xs and losses (n,), positive); None below three costs.

    The interval is that of the slope, t(n - 2, 0.975) times its standard error: it holds if the scatter around the line
    is even and normal, which runs of very different recipes are not.
    """
    points = [(math.log(x), math.log(y)) for x, y in zip(xs, losses, strict=True) if x > 0 and y > 0]
    if len({round(x, 6) for x, _ in points}) < 3:
        return None
    from scipy.special import stdtrit
    from scipy.stats import linregress

    logs, heights = [x for x, _ in points], [y for _, y in points]
    fit = linregress(logs, heights)
    n, mean = len(points), sum(logs) / len(points)
    spread = sum((x - mean) ** 2 for x in logs)
    residual = math.sqrt(sum((y - fit.intercept - fit.slope * x) ** 2 for x, y in points) / (n - 2))
    uncertainty = float(stdtrit(n - 2, (1 + INTERVAL) / 2)) * float(fit.stderr)
    return PowerLaw(-float(fit.slope), uncertainty, math.exp(float(fit.intercept)), n, mean, spread, residual)
