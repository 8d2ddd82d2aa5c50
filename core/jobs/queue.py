"""The runs that wait for a device, in the order in which they will get it."""

from core.errors import BardlabError
from core.jobs import control, turns
from core.runs import folder, owners, reading
from core.runs.folder import State
from core.runs.state import Run


def queue(kind: str | None = None) -> list[Run]:
    """List the runs that wait for a kind of device, or for any, in the order in which they will get it.

    Rankings wait in the same line and are not among them: they come when their turn is. Those that wait in a cluster's
    line come last.
    """
    here = [reading.read(path) for path in turns.queue(kind) if not folder.is_ranking(path)]
    there = [control.look_after(reading.read(path)) for path in turns.sent(kind) if not folder.is_ranking(path)]
    return here + [run for run in there if run.state is State.QUEUED]


def move(run: Run, places: int) -> list[Run]:
    """Move a waiting run forward by so many places, or back if negative, among those for the same kind of device.

    Returns the queue as it is now. Raises BardlabError if the run is not waiting, or one that it would pass is
    another's.
    """
    if folder.sent(run.path):
        raise BardlabError(
            f"run {run.slug} waits in the cluster's line, whose order is the cluster's; stop those ahead"
        )
    line = [each for each in queue(run.status.device) if not folder.sent(each.path)]
    at = next((i for i, other in enumerate(line) if other.path == run.path), None)
    if at is None:
        raise BardlabError(f"run {run.slug} is {run.state} and does not wait for a device; there is nothing to move")
    others = [turns.turn(r.path, r.status.queued) for r in line if r.path != run.path]
    to = max(0, min(len(others), at - places))
    for passed in [run, *(r for r in line[min(at, to) : max(at, to) + 1] if r.path != run.path)]:
        owners.check(passed.owner, passed.slug, "move")
    if others and to != at:
        before = others[to - 1] if to else others[0] - 2.0
        after = others[to] if to < len(others) else others[-1] + 2.0
        turns.set_turn(run.path, (before + after) / 2)
    return queue(run.status.device)
