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
from urllib.parse import urlsplit

from core import files, paths
from core.errors import BardlabError
from core.jobs.launchers.launcher import CLUSTER, Node
from core.jobs.launchers.node import fingerprint
from core.runs import folder
from core.runs.folder import State

CPUS, PLACE = "BARDLAB_CLUSTER_CPUS", "BARDLAB_CLUSTER_ROOT"
"""The environment variables that say how many processors a run takes (1), and where the product lies on every node."""
PATIENCE = 4.0  # seconds that the cluster may take to answer
FRESH = 2.0  # seconds for which an answer is taken to hold
OVER = ("SUCCEEDED", "FAILED", "STOPPED")


class Ray:
    """A cluster at its job address."""

    here = False

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    # --- what a launcher does ----------------------------------------------------------------------------------------

    def device(self, wanted: str) -> str:
        """Return `cuda` if a GPU is wanted, or anything and the cluster has one; else `cpu`."""
        self.check()
        gpus = sum(node.has.get("GPU", 0.0) for node in self.nodes())
        kind = wanted.partition(":")[0]
        if kind == "auto":
            return "cuda" if gpus else "cpu"
        if kind == "cuda" and gpus:
            return "cuda"
        if kind == "cpu":
            return "cpu"
        raise BardlabError(f"no {wanted} device in the cluster at {self.address}; use the device auto or cpu")

    def check(self) -> None:
        """Raise BardlabError in one line if no job can be sent: no Ray here, no cluster there, or another version."""
        address = urlsplit(self.address)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise BardlabError(f"{CLUSTER} is {self.address!r}; give it as http://HOST:8265, or unset it")
        try:
            here = metadata.version("ray")
        except metadata.PackageNotFoundError:
            raise BardlabError(f"{CLUSTER} is set, but Ray is not installed here: pip install '.[cluster]'") from None
        there = self._ask("/api/version").get("ray_version")
        if there != here:
            raise BardlabError(
                f"the cluster at {self.address} runs Ray {there}, this machine has {here}; install the same on both"
            )

    def start(self, path: Path, device: str, name: str) -> None:
        """Send the job to the cluster, in whose line it then waits."""
        self.check()
        job = f"bardlab-{path.name}-{secrets.token_hex(4)}"
        cpus = _cpus()
        try:
            folder.put_job(path, self.address, job)
            from ray.job_submission import JobSubmissionClient

            JobSubmissionClient(self.address).submit_job(
                entrypoint=command(path, device, job),
                submission_id=job,
                entrypoint_num_cpus=cpus,
                entrypoint_num_gpus=1 if device == "cuda" else None,
                runtime_env={"env_vars": {**_environment(), "OMP_NUM_THREADS": str(cpus)}},
                metadata={"run": path.name},
            )
        except OSError as error:
            _withdraw(path)
            raise BardlabError(f"cannot start {name}: {files.explain(error)}") from None
        except (RuntimeError, ValueError, ImportError) as error:
            _withdraw(path)
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise BardlabError(f"the cluster at {self.address} did not take {name}: {reason}") from None
        _answers.clear()

    def kill(self, path: Path, *, force: bool) -> bool:
        """Have Ray end the job: it sends SIGTERM, and SIGKILL to what is left after three seconds."""
        job = folder.sent(path)
        if not job:
            return False
        with contextlib.suppress(BardlabError):
            self._ask(f"/api/jobs/{job['job']}/stop", post=True)
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
            about = self.jobs().get(job["job"])
            asked = folder.stop_requested(path)
            if about and about["status"] not in OVER:
                if begun:
                    return False
                if asked:
                    self.kill(path, force=False)
                line = self.waits_for(str(status["device"]))
                if asked or about["status"] != "PENDING" or line == status.get("message"):
                    return False
                folder.write_status(path, status | {"message": line})
                return True
            if State(folder.read_status(path)["state"]).active and folder.sent(path) == job:
                _close(path, status, about, asked)
                return True
        return False

    def where(self, path: Path) -> str:
        """Return the name of the node that a job is, or was, on."""
        with contextlib.suppress(BardlabError):
            if (job := folder.sent(path)) and (about := self.jobs().get(job["job"])):
                key = about.get("driver_node_id")
                return next((node.name for node in self.nodes() if node.key == key), str(key or "")[:8])
        return ""

    def waiting(self) -> list[Path]:
        """List the jobs that the cluster has taken and not begun, in the order in which they came."""
        found = []
        for path in folder.jobs():
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                if folder.sent(path) and (status := folder.read_status(path))["state"] == State.QUEUED:
                    found.append((float(status.get("queued") or 0.0), path))
        return [path for _, path in sorted(found)]

    # --- what the cluster says ---------------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """List the machines that are there. Raises BardlabError if the cluster cannot be reached."""
        alive = [
            node for node in self._ask("/api/v0/nodes?detail=1")["data"]["result"]["result"] if node["state"] == "ALIVE"
        ]
        report = (self._ask("/api/cluster_status")["data"].get("clusterStatus") or {}).get("loadMetricsReport") or {}
        by_node = report.get("usageByNode") or {}
        return [
            Node(
                node["node_id"],
                f"{node['node_name']} ({node['node_id'][:6]})",
                {kind: float(n) for kind, n in node["resources_total"].items() if kind in ("CPU", "GPU")},
                {k: float(use[0]) for k, use in by_node.get(node["node_id"], {}).items() if k in ("CPU", "GPU")},
            )
            for node in alive
        ]

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Return what Ray knows of each job that was sent. Raises BardlabError if the cluster cannot be reached."""
        return {str(job["submission_id"]): job for job in self._ask("/api/jobs/") if job.get("submission_id")}

    def waits_for(self, device: str) -> str:
        """Say why a job for a kind of device has not begun."""
        needs = {"CPU": float(_cpus()), **({"GPU": 1.0} if device == "cuda" else {})}
        words = " and ".join(f"{count:g} {kind}" for kind, count in needs.items())
        nodes = self.nodes()
        if not any(all(node.has.get(kind, 0.0) >= count for kind, count in needs.items()) for node in nodes):
            return f"waiting for the cluster: no node has {words}"
        for node in nodes:
            if all(node.has.get(kind, 0.0) - node.used.get(kind, 0.0) >= count for kind, count in needs.items()):
                return "waiting for the cluster, which makes a place ready"
        return f"waiting for the cluster: no node has {words} free"

    def _ask(self, what: str, *, post: bool = False) -> Any:
        key = (self.address, what)
        known = _answers.get(key)
        if known and not post and time.monotonic() - known[0] < FRESH:
            if isinstance(known[1], BardlabError):
                raise known[1]
            return known[1]
        answer: Any
        try:
            request = urllib.request.Request(self.address + what, data=b"" if post else None)
            with _direct.open(request, timeout=PATIENCE) as response:
                answer = json.load(response)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            answer = BardlabError(
                f"the cluster at {self.address} cannot be reached ({said}); what runs there goes on, and runs on disk "
                "stay readable"
            )
        _answers[key] = (time.monotonic(), answer)
        if isinstance(answer, BardlabError):
            raise answer
        return answer


_answers: dict[tuple[str, str], tuple[float, Any]] = {}
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def command(path: Path, device: str, job: str) -> str:
    """Return the shell command that a node runs: the ordinary worker, in the product's folder there."""
    root = os.environ.get(PLACE) or str(paths.ROOT)
    arguments = shlex.join(["-m", "core.worker", "--sent", job, fingerprint(), str(path.absolute()), device])
    python = "python=.venv/bin/python; [ -x $python ] || python=python3"
    lacks = shlex.quote(f"has no Bardlab in {root}")
    return f'cd {shlex.quote(root)} || {{ echo "$(hostname)" {lacks}; exit 3; }}; {python}; exec $python {arguments}'


def _environment() -> dict[str, str]:
    """Return the product's own environment variables as a node is to have them; home is the same folder for all."""
    own = {name: value for name, value in os.environ.items() if name.startswith("BARDLAB_") and name != CLUSTER}
    return {**own, "BARDLAB_HOME": str(paths.home().absolute())}


def _cpus() -> int:
    try:
        return max(1, int(os.environ.get(CPUS, "1")))
    except ValueError:
        return 1


def _withdraw(path: Path) -> None:
    with contextlib.suppress(OSError):
        files.remove(path / folder.JOB)


def _close(path: Path, status: dict[str, Any], about: dict[str, Any] | None, asked: bool) -> None:
    """Say of a job that the cluster has given up how it ended, in the run's own folder."""
    where = folder.resumes_from(status)
    if asked:
        state = State.STOPPED
        message = f"stopped; Resume goes on from {where}"
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
    if about.get("driver_exit_code") in (None, -9, 137) or "SUPERVISOR" in kind:
        return State.LOST, "its worker or its node died"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    mine = [line for line in lines[1:] if "Running entrypoint" not in line and "job_manager.py" not in line]
    return State.FAILED, (mine or lines or ["the worker died"])[-1][:300]
