"""Workers on a Ray cluster: each an ordinary worker command that is sent through Ray Jobs and waits in Ray's line.

What Ray is asked for goes over its job address alone, and none of it is kept here: a run's folder, which all nodes see,
stays the only truth about it. Ray is imported where a job is sent and nowhere else.
"""

import contextlib
import json
import os
import secrets
import shlex
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from core import files, paths
from core.errors import BardlabError
from core.jobs.launchers import node
from core.jobs.launchers.launcher import Node
from core.runs import folder
from core.runs.folder import State

CPUS, PLACE = "BARDLAB_CLUSTER_CPUS", "BARDLAB_CLUSTER_ROOT"
"""The environment variables that say how many processors a run takes (1), and where the product lies on every node."""
PATIENCE = 4.0
"""Seconds that the cluster may take to answer."""
FRESH, SULK = 2.0, 10.0
"""Seconds for which an answer is taken to hold, and for which a cluster that gave none is not asked again."""
ON_ITS_WAY = 30.0
"""Seconds that sending a job may take: for so long Ray need not know it."""
OVER = ("SUCCEEDED", "FAILED", "STOPPED")


class Ray:
    """A cluster at its job address."""

    here = False

    def __init__(self, address: str) -> None:
        self.address = address

    # --- what a launcher does ----------------------------------------------------------------------------------------

    def device(self, wanted: str, count: int = 1) -> str:
        """Return `cuda` if a GPU is wanted, or anything and the cluster has one; else `cpu`."""
        self.check()
        kind = self._kind(wanted)
        if count > 1 and count > (there := self._places(kind)):
            places = f"{there} place{'s' * (there != 1)} of {_words(kind)}"
            raise BardlabError(
                f"train.devices is {count}, and the cluster at {self.address} has {places}; "
                + (f"give at most {there}" if there else "add a node")
            )
        return kind

    def most(self, wanted: str) -> int:
        """Return how many places the cluster has in all."""
        try:
            return max(1, self._places(self._kind(wanted)))
        except BardlabError:
            return 1

    def has_room(self, device: str, count: int) -> bool:
        """True if so many places are free, or the cluster cannot be asked from here."""
        try:
            return self._places(device, free=True) >= count
        except BardlabError:
            return True

    def _kind(self, wanted: str) -> str:
        kind = wanted.partition(":")[0]
        if kind in ("auto", "cuda") and any(each.has.get("GPU") for each in self.nodes()):
            return "cuda"
        if kind in ("auto", "cpu"):
            return "cpu"
        raise BardlabError(f"no {wanted} device in the cluster at {self.address}; use the device auto or cpu")

    def _places(self, kind: str, *, free: bool = False) -> int:
        """Return how many devices the nodes have for runs, or have free, each with the processors that go with it."""
        return sum(
            int(min((node.free(of) if free else node.has.get(of, 0.0)) // count for of, count in needs(kind).items()))
            for node in self.nodes()
        )

    def check(self) -> None:
        """Raise BardlabError in one line if no job can be sent: no Ray here, no cluster there, or another version."""
        try:
            here = metadata.version("ray")
        except metadata.PackageNotFoundError:
            raise BardlabError(
                f"{paths.CLUSTER} is set, but Ray is not installed here: pip install '.[cluster]', or unset it"
            ) from None
        there = self._ask("/api/version").get("ray_version")
        if there != here:
            raise BardlabError(
                f"the cluster at {self.address} runs Ray {there}, this machine has {here}; install the same on both"
            )

    def start(self, path: Path, device: str, name: str) -> None:
        """Send the job to the cluster, in whose line it then waits."""
        job = f"bardlab-{path.name}-{secrets.token_hex(4)}"
        try:
            self.check()
            folder.put_job(path, self.address, job)
            from ray.job_submission import JobSubmissionClient

            own = needs(device) if _count(folder.read_status(path)) == 1 else {}  # several are Ray Train's to place
            JobSubmissionClient(self.address).submit_job(
                entrypoint=command(path, device, job),
                submission_id=job,
                entrypoint_num_cpus=own.get("CPU"),
                entrypoint_num_gpus=own.get("GPU"),
                runtime_env={"env_vars": _environment()},
                metadata={"run": path.name},
            )
        except BardlabError:
            _withdraw(path)
            raise
        except OSError as error:
            _withdraw(path)
            raise BardlabError(f"cannot start {name}: {files.explain(error, naming=True)}") from None
        except (RuntimeError, ValueError, ImportError) as error:
            _withdraw(path)
            reason = (str(error).strip(" .\n").splitlines() or [type(error).__name__])[-1][:200]
            raise BardlabError(f"the cluster at {self.address} did not take {name}: {reason}") from None
        _answers.clear()

    def kill(self, path: Path, *, force: bool) -> bool:
        """Have Ray end the job: it sends SIGTERM, and SIGKILL to what is left after three seconds."""
        if job := folder.sent(path):
            with contextlib.suppress(BardlabError):
                self._ask(f"/api/jobs/{quote(job['job'], safe='')}/stop", post=True)
                _answers.clear()
                return True
        return False

    def look_after(self, path: Path) -> bool:
        """Write down of a job without a worker that Ray has given it up; take one that was stopped out of the line."""
        job = folder.sent(path)
        with contextlib.suppress(OSError, ValueError, LookupError, BardlabError):
            status = folder.read_status(path)
            begun = status.get("pid") is not None
            if not job or not State(status["state"]).active or (begun and folder.is_alive(path)):
                return False
            asked = folder.stop_requested(path)
            about = self.jobs(fresh=asked).get(job["job"])
            if about is None and time.time() - (path / folder.JOB).stat().st_mtime < ON_ITS_WAY:
                return False
            if about and about["status"] not in OVER:
                if begun or not asked:
                    return False  # it waits or begins, or Ray has not noticed yet
                self.kill(path, force=False)  # Ray may begin it all the same, which then finds nothing to do
            if State(folder.read_status(path)["state"]).active and folder.sent(path) == job:
                _close(path, status, about, asked)
                return True
        return False

    def waits(self, path: Path) -> str:
        """Say why a job that was sent has not begun, or that nobody knows."""
        try:
            job, status = folder.sent(path), folder.read_status(path)
            count = _count(status)
            if status.get("pid") is not None:  # its worker has come, which alone may have to wait for others
                return self.waits_for(str(status["device"]), count) if count > 1 else ""
            about = self.jobs().get(job["job"]) if job else None
            if about is None or about["status"] != "PENDING":
                return "starting on the cluster"
            return self.waits_for(str(status["device"]), count)
        except (OSError, ValueError, LookupError) as error:
            return f"waiting for the cluster: {error}"
        except BardlabError as error:
            return str(error)

    def where(self, path: Path) -> str:
        """Return the name of the node that a job is, or was, on; of several, as their processes told them."""
        with contextlib.suppress(BardlabError, OSError, ValueError):
            if _count(status := folder.read_status(path)) > 1:
                return str(status.get("node") or "")
            if (job := folder.sent(path)) and (about := self.jobs().get(job["job"])):
                key = about.get("driver_node_id")
                return next((each.name for each in self.nodes() if each.key == key), str(key or "")[:6])
        return ""

    # --- what the cluster says ---------------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """List the machines that are there, the head first. Raises BardlabError if the cluster cannot be reached."""
        found = self._ask("/api/v0/nodes?detail=1")
        report = (self._ask("/api/cluster_status")["data"].get("clusterStatus") or {}).get("loadMetricsReport") or {}
        by_node = report.get("usageByNode") or {}
        alive = [each for each in found["data"]["result"]["result"] if each["state"] == "ALIVE"]
        return [
            Node(
                each["node_id"],
                f"{each['node_name']} ({each['node_id'][:6]})",
                {kind: float(n) for kind, n in each["resources_total"].items() if kind in ("CPU", "GPU")},
                {k: float(use[0]) for k, use in by_node.get(each["node_id"], {}).items() if k in ("CPU", "GPU")},
            )
            for each in sorted(alive, key=lambda each: (not each["is_head_node"], each["start_time_ms"]))
        ]

    def jobs(self, *, fresh: bool = False) -> dict[str, dict[str, Any]]:
        """Return what Ray knows of each job that was sent. Raises BardlabError if the cluster cannot be reached."""
        if fresh:
            _answers.pop((self.address, "/api/jobs/"), None)
        return {str(job["submission_id"]): job for job in self._ask("/api/jobs/") if job.get("submission_id")}

    def waits_for(self, device: str, count: int = 1) -> str:
        """Say why a job for a kind of device, or for several, has not begun."""
        there, free = self._places(device), self._places(device, free=True)
        if free >= count:
            return "waiting for the cluster, which makes a place ready"
        if count > 1:
            how = f"{free} of {count}" if there >= count else f"it has {there} of {count}"
            return f"waiting for the cluster: {how} places of {_words(device)}" + (" are free" * (there >= count))
        return f"waiting for the cluster: no node has {_words(device)}" + (" free" if there else "")

    def _ask(self, what: str, *, post: bool = False) -> Any:
        key = (self.address, what)
        since, known = _answers.get(key, (0.0, None))
        failed = isinstance(known, BardlabError)
        if known is not None and not post and time.monotonic() - since < (SULK if failed else FRESH):
            answer = known
        else:
            answer = self._answer(what, post=post)
            if not post:
                _answers[key] = (time.monotonic(), answer)
        if isinstance(answer, BardlabError):
            raise answer
        return answer

    def _answer(self, what: str, *, post: bool) -> Any:
        """Return what the cluster says, or the BardlabError that tells why it says nothing."""
        address = urlsplit(self.address)
        if address.scheme not in ("http", "https") or not address.hostname:
            return BardlabError(f"{paths.CLUSTER} is {self.address!r}; give it as http://HOST:8265, or unset it")
        try:
            request = urllib.request.Request(self.address + what, data=b"" if post else None)
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return json.load(response)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            return BardlabError(f"the cluster at {self.address} cannot be reached ({said}); runs on disk stay readable")


_answers: dict[tuple[str, str], tuple[float, Any]] = {}


def command(path: Path, device: str, job: str) -> str:
    """Return the shell command that a node runs: the ordinary worker, in the product's folder there.

    Of the node's GPUs it sees the one that Ray gave it, as the first.
    """
    root = os.environ.get(PLACE) or str(paths.ROOT)
    place = "cuda:0" if device == "cuda" else device
    arguments = shlex.join(["-m", "core.jobs.worker", "--sent", job, node.fingerprint(), str(path.absolute()), place])
    python = "python=.venv/bin/python; [ -x $python ] || python=python3"
    lacks = shlex.quote(f"has no Bardlab in {root}: install it there, or say where in {PLACE}")
    return (
        f"cd {shlex.quote(root)} 2>/dev/null && [ -f core/jobs/worker.py ] "
        f'|| {{ echo "$(hostname)" {lacks}; exit 3; }}; '
        f"{python}; exec $python {arguments}"
    )


def _environment() -> dict[str, str]:
    """Return the product's own environment variables as a node is to have them; home is the same folder for all."""
    own = {name: value for name, value in os.environ.items() if name.startswith("BARDLAB_")}
    for name in (paths.CLUSTER, node.NAME):
        own.pop(name, None)
    return {**own, "BARDLAB_HOME": str(paths.home().absolute()), "OMP_NUM_THREADS": str(_cpus())}


def needs(device: str) -> dict[str, float]:
    """Return what a run takes of a node for each of its devices, as Ray calls it."""
    return {"CPU": float(_cpus()), **({"GPU": 1.0} if device == "cuda" else {})}


def _words(device: str) -> str:
    return " and ".join(f"{count:g} {kind}" for kind, count in needs(device).items())


def _count(status: dict[str, Any]) -> int:
    """Return how many devices are to compute a run."""
    return int(status.get("devices") or 1)


def _cpus() -> int:
    try:
        return max(1, int(os.environ.get(CPUS, "1")))
    except ValueError:
        return 1


def _withdraw(path: Path) -> None:
    with contextlib.suppress(OSError):
        folder.forget_worker(path)


def _close(path: Path, status: dict[str, Any], about: dict[str, Any] | None, asked: bool) -> None:
    """Say of a job that the cluster has given up how it ended, in the run's own folder."""
    where = folder.resumes_from(status)
    if asked:
        state, message = State.STOPPED, f"stopped; Resume goes on from {where}"
    elif about is None:
        state = State.LOST
        message = f"the cluster no longer knows this job: its head was restarted; Resume goes on from {where}"
    else:
        state, reason = _verdict(about)
        message = f"{reason}; Resume goes on from {where}"
    update = {"state": state, "message": message, "ended": time.time()}
    folder.clear_requests(path)
    folder.write_status(path, status | update | {"eta_seconds": None, "meters": None})


def _verdict(about: dict[str, Any]) -> tuple[State, str]:
    """Return how a job ended of which Ray alone can tell, and the line that matters of what Ray says."""
    told = str(about.get("message") or "")
    kind = str(about.get("error_type") or "")
    if "START_TIMEOUT" in kind:
        return State.LOST, "the cluster gave up waiting for a free place (see RAY_JOB_START_TIMEOUT_SECONDS)"
    if about.get("driver_exit_code") in (None, 0, -9, 137) or "SUPERVISOR" in kind:
        return State.LOST, "its worker or its node died"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    mine = [line for line in lines[1:] if "Running entrypoint" not in line and "job_manager.py" not in line]
    return State.FAILED, (mine or lines or ["the worker died"])[-1][:300]
