"""A job until its turn comes: it takes its run folder's lock, hears requests, and waits for a place on the device.

A run that waits is a process, and there may be many, so nothing is loaded here that takes memory: torch and the
training come with `core.jobs.work`, when the place is taken.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from core import files, system
from core.errors import BardlabError
from core.jobs import overdue, turns
from core.jobs.launchers import launcher, node
from core.runs import folder
from core.runs.folder import State


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
        self.pass_on = False
        """Whether the request is to be left in the folder too, for other processes that do the work."""
        self._before = {number: signal.signal(number, self._ask) for number in system.ENDING}
        self._impatience = system.Impatience(lambda: (folder.stop_age(path) or 0.0) >= overdue.STOP_GRACE)

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        self._impatience.end()
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def end(self) -> None:
        """From here on the worker is busy writing how it ended, and not to be disturbed."""
        self.ending = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.ending:
            return
        if self.asked or folder.stop_requested(self.path):
            self.ending = True
            raise StopNow
        self.asked = True
        if self.pass_on:
            with contextlib.suppress(OSError):
                folder.request_stop(self.path)


class Place:
    """A run's place on a device, or its places on `count` GPUs: locks that may be given up for a while."""

    def __init__(
        self,
        device: str,
        path: Path,
        should_stop: Callable[[], bool],
        tell: Callable[[dict[str, Any]], None],
        count: int = 1,
    ) -> None:
        self.device, self.path, self.should_stop, self.tell = device, path, should_stop, tell
        self.count = count
        self.devices: tuple[str, ...] = ()
        """Those that were got, as torch calls them."""
        self._locks: list[system.Lock] = []

    @property
    def kind(self) -> str:
        """The kind of device: cpu, cuda or mps."""
        return turns.kind_of(self.device)

    def take(self) -> bool:
        """Wait for the place, if it is not held. False if the run was stopped meanwhile.

        A run that was sent to a cluster has had its wait: what the cluster gave it is its place as long as it lives.
        """
        if folder.sent(self.path):
            self.tell({"device": self.kind})
            return not self.should_stop()
        if not self._locks:
            wanted = self.devices or (self.device,)  # once it has been there, no others will do
            names = [] if self.kind in wanted else dict.fromkeys(slot.name for slot in turns.slots(*wanted))
            self.tell({"state": State.QUEUED, "device": self.kind, "only": " ".join(names)})
            found = turns.wait_for(
                wanted,
                self.path,
                self.should_stop,
                lambda line: self.tell({"message": line}),
                overdue.look_after,
                self.count if self.kind == "cuda" else 1,
            )
            if found:
                self._locks = [lock for lock, _ in found]
                self.devices = tuple(slot.device for _, slot in found)
                self.device = self.devices[0]
        return bool(self._locks)

    def give_up(self) -> None:
        """Let others have it."""
        for lock in self._locks:
            lock.release()
        self._locks = []

    def change(self, device: str) -> bool:
        """Leave the place for one on another device, and wait for that. False if the run was stopped meanwhile."""
        self.give_up()
        self.device, self.devices = device, ()
        return self.take()

    def wanted(self) -> bool:
        """True if another run waits for this device, which is not one that a cluster gave away."""
        return not folder.sent(self.path) and bool(turns.queue(self.kind))


class Job:
    """One job at work, from its folder's lock to the state that it ends in."""

    def __init__(self, path: Path, device: str, interrupt: Interrupt | None, say: Callable[[str], None]) -> None:
        self.path, self.say, self.interrupt = path, say, interrupt
        self.sent = folder.sent(path)
        self.status = folder.read_status(path) | {"pid": os.getpid(), "born": system.born(os.getpid())}
        count = int(self.status.get("devices") or 1)
        where = node.name() if self.sent and count == 1 else ""  # where several are, they tell themselves
        self.status |= {"state": State.QUEUED, "message": "starting", "node": where}
        self.place = Place(device, path, self.should_stop, self.tell, count)
        self.newest: Callable[[], dict[str, Any]] = lambda: self.status
        """What the status is by now; the training knows more than was written last."""

    def should_stop(self) -> bool:
        """True if somebody asked the job to stop, or its folder is gone."""
        asked = self.interrupt is not None and self.interrupt.asked
        return asked or folder.stop_requested(self.path) or not os.path.isdir(self.path)

    def tell(self, news: dict[str, Any]) -> None:
        """Write into the run's status what has changed."""
        self.status |= news
        folder.write_status(self.path, self.status)

    def end(self, state: State, message: str) -> None:
        """Write how the run ended. Raises Taken if that is no longer this worker's to say."""
        if self.interrupt is not None:
            self.interrupt.end()
        if self.sent:
            node.await_folder(self.path, self.sent["job"])
        self.say(f"{state}{': ' + message if message else ''}")
        folder.clear_requests(self.path)
        update = {"state": state, "message": message, "ended": time.time(), "eta_seconds": None, "meters": None}
        folder.write_status(self.path, self.newest() | update)


def work(path: Path, device: str = "", say: Callable[[str], None] | None = None) -> None:
    """Run one job to its end. Never raises for what goes wrong in training.

    `device` is what the run's own setting comes to on this machine; without it, torch is asked. A run that was sent
    here belongs to this worker by its job's name, not by a lock that other machines may not see.
    """
    say = say or (lambda line: folder.note(path, line))
    try:
        with contextlib.nullcontext() if folder.sent(path) else folder.hold(path):
            _attend(path, device, say)
    except system.Taken:
        say("another worker holds this run; nothing done")
    except FileNotFoundError:
        say("the run was deleted; nothing done")
    except ValueError as error:
        say(f"{folder.STATUS} cannot be read: {error}; nothing done")


def _attend(path: Path, device: str, say: Callable[[str], None]) -> None:
    state = State(folder.read_status(path)["state"])
    if not state.active:
        say(f"the run is {state}; nothing done")
        return
    interrupt = Interrupt(path)
    job = Job(path, device, interrupt, say)
    try:
        try:
            _wait_and_work(job)
        except StopNow:
            job.end(State.STOPPED, f"stopped at once; Resume goes on from {folder.resumes_from(job.newest())}")
        except Exception as error:
            why = explain(error, say)
            if isinstance(error, OSError) and not os.path.isdir(path):
                where = folder.resumes_from(job.newest())
                why = f"could not write: its folder was gone for a while; Resume goes on from {where}"
            job.end(State.FAILED, why)
    finally:
        interrupt.restore()


def explain(error: Exception, say: Callable[[str], None]) -> str:
    """Say in one line why a job failed; what nobody foresaw stands in the log in full."""
    if isinstance(error, BardlabError):
        return str(error)
    if isinstance(error, OSError):
        return f"could not write: {files.explain(error)}"
    say("".join(traceback.format_exception(error)))
    reason = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {reason}; see the log"


def _task(job: Job) -> ModuleType:
    """Load what does a job's work, which is large: its `device_of` a folder, and `run`, once the job has its place."""
    if job.status.get("task") == folder.RANK:
        from core.jobs import rankings

        return rankings
    from core.jobs import work as jobs_work

    return jobs_work


def _await_room(job: Job) -> None:
    """Wait until a cluster has places for all devices of a run, as long as nothing is loaded for it."""
    job.tell({"message": "waiting for the cluster", "device": job.place.kind})
    there = launcher.of(job.path)
    while not (job.should_stop() or there.has_room(job.place.kind, job.place.count)):
        time.sleep(turns.LOOK)


def _wait_and_work(job: Job) -> None:
    if not job.place.device:
        job.place.device = _task(job).device_of(job.path)
    try:
        if job.sent and job.place.count > 1:
            _await_room(job)
        if job.place.take():
            _task(job).run(job)
        else:
            job.end(State.STOPPED, "stopped while it waited")
    finally:
        job.place.give_up()


def main(arguments: list[str]) -> None:
    """Run the job of the folder named on the command line (and on the device named after it), or stand by for one."""
    system.be_first_to_go()
    if arguments[:1] == ["--sent"]:
        return _sent(*arguments[1:])
    name, device = [*arguments, ""][:2]
    if name.startswith("--"):
        from core.jobs import work as jobs_work

        if name == "--probe":
            return jobs_work.time_rungs(aside=bool(device))
        if name == "--compile":
            return jobs_work.compile_aside()
        if not (name := jobs_work.stand_by()):
            return
    path = Path(name)
    try:
        system.redirect_output(path / folder.LOG)
    except OSError:
        sys.exit(f"{path} is gone; nothing done")
    work(path, device)
    system.redirect_output(Path(os.devnull))  # on Windows nobody could delete the run before this process is gone


def _sent(job: str, version: str, name: str, device: str) -> None:
    """Run a job that was sent here from another machine."""
    path = Path(name)
    node.begin(job, version, path)
    try:
        system.redirect_output(path / folder.LOG)
        work(path, device)
    finally:
        node.end(path, job)
