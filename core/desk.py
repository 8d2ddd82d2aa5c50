"""Where a worker hears what is asked of it while it trains: hold still, take a step, change a setting, stop."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from filelock import FileLock

from core import controls, devices, runs
from core.alerts import Alert
from core.runs import State, Status
from core.training import Trainer

LOOK = 0.05  # seconds between two looks while the run holds still


class StopNow(BaseException):
    """A stop that cannot wait for the end of what the worker is doing; what was not saved is taken again on resume."""


class Interrupt:
    """Turns the first SIGTERM or Ctrl-C into a request to stop after the step.

    If a stop was asked for already, it has been waited for long enough: the worker ends where it is, its folder in
    order. A third one ends it without a word.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked = self.ending = False
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def end(self) -> None:
        """From here on the worker is busy writing how it ended, and not to be disturbed."""
        self.ending = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.ending:
            return
        if self.asked or runs.stop_requested(self.path):
            self.ending = True
            raise StopNow
        self.asked = True


class Place:
    """A run's place on its device: a lock that may be given up for a while."""

    def __init__(self, kind: str, wait: Callable[[], FileLock | None]) -> None:
        self.kind, self._wait = kind, wait
        self._lock: FileLock | None = None

    def take(self) -> bool:
        """Wait for the place, if it is not held. False if the run was stopped meanwhile."""
        if self._lock is None:
            self._lock = self._wait()
        return self._lock is not None

    def give_up(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            self._lock.release(force=True)
            self._lock = None

    def wanted(self) -> bool:
        """True if another run waits for this device."""
        return bool(devices.queue(self.kind))


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
        self.trainer.report_at = controls.hold_from(self.path)
        if self._held():
            self._hold_still()

    def _change(self) -> None:
        for change in controls.take_order(self.path, self.trainer.config, self.trainer.done):
            self.tell(Alert(change.step, "change", change.text))
            self.trainer.rates = controls.rates(self.path)

    def _held(self) -> bool:
        step = controls.hold_from(self.path)
        return step is not None and step <= self.trainer.done and not self.should_stop()

    def _hold_still(self) -> None:
        """Keep everything in memory and wait; another run that waits for the device may have it meanwhile."""
        began = looked = time.perf_counter()
        if self.status.checkpoint_step != self.trainer.done:
            self.save()
        self.status.state, self.status.message = State.PAUSED, f"paused at step {self.trainer.done}"
        self.write_status()
        while self._held():
            self._change()
            if time.perf_counter() - looked > 1.0:
                looked = time.perf_counter()
                if self.place.wanted():
                    self.place.give_up()
            time.sleep(LOOK)
        self.trainer.report_at = controls.hold_from(self.path)
        self.place.take()
        self.trainer.idle += time.perf_counter() - began
        self.status.state, self.status.message = State.RUNNING, runs.TRAINING
        self.write_status()
