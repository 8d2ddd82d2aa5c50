"""Where a worker hears what is asked of it while it trains: hold still, take a step, change a setting, stop."""

import time
from collections.abc import Callable
from pathlib import Path

from core.jobs.waiting import Place
from core.runs import requests, state
from core.runs.folder import State
from core.runs.state import Status
from core.training import parking
from core.training.trainer import Trainer
from core.training.watch import Alert

LOOK = 0.05  # seconds between two looks while the run holds still


class Desk:
    """Looks at the requests in a run folder whenever the training loop reports."""

    def __init__(
        self,
        path: Path,
        trainer: Trainer,
        status: Status,
        place: Place,
        should_stop: Callable[[], bool],
        tell: Callable[[Alert], None],
        save: Callable[[], None],
        write_status: Callable[[], None],
    ) -> None:
        self.path, self.trainer, self.status, self.place = path, trainer, status, place
        self.should_stop, self.tell, self.save, self.write_status = should_stop, tell, save, write_status

    def attend(self) -> None:
        """Do what is asked for, and return when the training may go on."""
        if self.trainer.done >= self.trainer.total:
            return
        self._change()
        self.trainer.report_at = requests.hold_from(self.path)
        if self._held():
            self._hold_still()

    def _change(self) -> None:
        for change in requests.take_order(self.path, self.trainer.config, self.trainer.done):
            self.tell(Alert(change.step, "change", change.text))
            self.trainer.rates = requests.rates(self.path)

    def _held(self) -> bool:
        step = requests.hold_from(self.path)
        return step is not None and step <= self.trainer.done and not self.should_stop()

    def _hold_still(self) -> None:
        """Keep everything in memory and wait; another run that waits for the device may have it meanwhile."""
        began = looked = time.perf_counter()
        self.save()
        self.status.state, self.status.message = State.PAUSED, f"paused at step {self.trainer.done}"
        self.write_status()
        parked: parking.Parked | None = None
        while self._held():
            self._change()
            if time.perf_counter() - looked > 1.0:
                looked = time.perf_counter()
                if parked is None and self.place.wanted():
                    parked = parking.Parked(self.trainer)
                    self.place.give_up()
            time.sleep(LOOK)
        self.trainer.report_at = requests.hold_from(self.path)
        self.place.take()
        if parked:
            parked.bring_back()
        self.trainer.idle += time.perf_counter() - began
        self.status.state, self.status.message = State.RUNNING, state.TRAINING
        self.write_status()
