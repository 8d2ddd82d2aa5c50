"""Who draws a page now: of many visitors at the same moment, a few at a time.

A page is drawn by a thread of its own. Sixty of them at once get in each other's way, and the thread that answers the
browsers has to stand in line with them all; a few at a time are done sooner, and it answers at once.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets `places` drawings go on at a time.

    One that has taken longer than `patience` seconds, such as a model that writes a long text, no longer counts: it
    goes on, and the next one comes in beside it. So nobody waits for those who stay.
    """

    def __init__(self, places: int, patience: float) -> None:
        self.places, self.patience = places, patience
        self._since: dict[int, float] = {}  # by thread
        self._line: list[int] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place, first come, first served, and hold it inside the `with` block."""
        mine = threading.get_ident()
        with self._changed:
            self._line.append(mine)
            try:
                while self._line[0] != mine or (wait := self._until_free()) > 0:
                    self._changed.wait(self.patience if self._line[0] != mine else wait)
                self._since[mine] = time.monotonic()
            finally:
                self._line.remove(mine)
                self._changed.notify_all()
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Give up this thread's place: what comes now takes long, and there is something to see."""
        with self._changed:
            self._since.pop(threading.get_ident(), None)
            self._changed.notify_all()

    def _until_free(self) -> float:
        """Seconds until the next of those who hold a place has had it for long enough; 0 if a place is free."""
        now = time.monotonic()
        counting = sorted(since for since in self._since.values() if now - since < self.patience)
        return 0.0 if len(counting) < self.places else counting[len(counting) - self.places] + self.patience - now


DRAWING = Turns(places=2, patience=2.0)

WRITING = Turns(places=1, patience=2.0)
"""Whose text grows now: of many that are written at once one at a time, so that a core is left to draw pages."""
