"""Watches a run's losses and says what it notices: a spike, a plateau, overfitting."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

RECENT = 50
"""Reports of the training loss that a spike is measured against."""
ENOUGH = 15
"""Fewer say nothing."""
SPIKE = 8.0
"""How many times the usual scatter (the median distance from the median) above the rest a spike rises."""
SPIKE_NATS = 0.3
"""Nor is less than this called a spike."""
OVERFIT_AFTER = 3
"""Evaluations without improvement, while the training loss falls, that are called overfitting."""
PLATEAU_AFTER = 5
"""Evaluations within which the validation loss must have improved by `PLATEAU_NATS`."""
PLATEAU_NATS = 0.005


@dataclass(frozen=True)
class Alert:
    """Something worth a look."""

    step: int
    kind: str
    text: str


class Watch:
    """Follows the losses of one run. All that a resumed run needs to judge as before is in `state_dict`."""

    def __init__(self) -> None:
        self.recent: list[float] = []
        """The latest reports of the training loss."""
        self.reported, self.reports = 0.0, 0
        """Sum and number of the reports since the last evaluation."""
        self.best = math.inf
        self.best_step: int | None = None
        self.since = 0
        """Evaluations since the best one."""
        self.train_at_best = math.inf
        self.level = math.inf
        """The validation loss from which a plateau is measured."""
        self.flat = 0
        """Evaluations since it was last left."""
        self.told_overfit = self.told_plateau = False

    def progress(self, step: int, loss: float) -> Alert | None:
        """Take a report of the training loss."""
        self.reported, self.reports = self.reported + loss, self.reports + 1
        found = None
        if len(self.recent) >= ENOUGH:
            middle = statistics.median(self.recent)
            scatter = statistics.median(abs(value - middle) for value in self.recent)
            if loss > middle + max(SPIKE * scatter, SPIKE_NATS):
                found = Alert(step, "spike", f"the training loss jumped from about {middle:.2f} to {loss:.2f}")
                self.recent.clear()  # nothing more until there is a new level to compare with
        self.recent = [*self.recent[1 - RECENT :], loss]
        return found

    def evaluated(self, step: int, loss: float) -> Alert | None:
        """Take a validation loss."""
        train = self.reported / self.reports if self.reports else math.inf
        self.reported, self.reports = 0.0, 0
        self.since += 1
        self.flat += 1
        if loss < self.best:
            self.best, self.best_step, self.since, self.train_at_best = loss, step, 0, train
            self.told_overfit = False
        if loss < self.level - PLATEAU_NATS:
            self.level, self.flat, self.told_plateau = loss, 0, False
        falling = train < self.train_at_best - PLATEAU_NATS
        if not self.told_overfit and self.since >= OVERFIT_AFTER and falling:
            self.told_overfit = True
            text = (
                f"the validation loss has not improved for {self.since} evaluations while the training loss went on "
                f"falling: this is what overfitting looks like; the best was {self.best:.4f} at step {self.best_step}"
            )
            return Alert(step, "overfit", text)
        if not self.told_overfit and not self.told_plateau and self.flat >= PLATEAU_AFTER:
            self.told_plateau = True
            text = f"the validation loss has improved by less than {PLATEAU_NATS:g} nats in {self.flat} evaluations"
            return Alert(step, "plateau", text)
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to judge as if never interrupted."""
        return vars(self).copy()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` left off. Raises ValueError if it is no such state."""
        known = {name: value for name, value in state.items() if name in vars(self)}
        for name, value in known.items():
            now = getattr(self, name)
            kinds = (int, type(None)) if name == "best_step" else (float, int) if isinstance(now, float) else type(now)
            numbers = value if isinstance(value, list) else [value]
            if not isinstance(value, kinds) or not all(isinstance(n, int | float | None) for n in numbers):
                raise ValueError(f"{name} is not what a watch keeps")
        vars(self).update(known)
