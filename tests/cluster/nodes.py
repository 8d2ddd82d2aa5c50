"""A real Ray cluster on 127.0.0.1: nodes of one core each, started and ended by whoever tests."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil

SCRIPT = Path(__file__).with_name("loopback.py")
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """A head that takes so many runs at a time, and further nodes of one core each; entering it starts the head."""

    def __init__(self, folder: Path, cpus: int = 1) -> None:
        self.folder, self.cpus = folder, cpus
        self.port, self.job_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.job_port}"
        self.head: subprocess.Popen[bytes] | None = None
        self.others: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *about: object) -> None:
        for node in [*self.others, *([self.head] if self.head else [])]:
            kill(node)

    def begin(self) -> None:
        """Start a head, and wait until its job address answers."""

        def start() -> subprocess.Popen[bytes]:
            self.head = self._start(
                "head",
                self.cpus,
                "--head",
                *("--port", str(self.port), "--dashboard-host", "127.0.0.1", "--dashboard-port", str(self.job_port)),
                *("--temp-dir", str(self.folder)),
            )
            return self.head

        self._await(start, set())

    def add(self, name: str = "second") -> subprocess.Popen[bytes]:
        """Start a further node, and wait until the head knows it."""

        def start() -> subprocess.Popen[bytes]:
            self.others.append(self._start(name, 1, "--address", f"127.0.0.1:{self.port}"))
            return self.others[-1]

        return self._await(start, self.known())

    def known(self) -> set[str]:
        """Return the ids of the nodes that the head takes for alive, some seconds longer than they are."""
        found = self.ask("/api/v0/nodes?detail=1")["data"]["result"]["result"]
        return {node["node_id"] for node in found if node["state"] == "ALIVE"}

    def ask(self, what: str) -> Any:
        """Return what the job address answers."""
        with urllib.request.urlopen(self.address + what, timeout=5) as answer:
            return json.load(answer)

    def listening(self) -> set[str]:
        """Return the addresses on which any process of the cluster listens."""
        found = set()
        for node in [*self.others, *([self.head] if self.head else [])]:
            for process in family(node):
                try:
                    found |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
                except psutil.Error:
                    continue
        return found

    def processes(self, named: str) -> list[psutil.Process]:
        """Return those of its processes whose command line names something."""
        there = [process for node in (*self.others, *([self.head] if self.head else [])) for process in family(node)]
        found = []
        for process in there:
            with contextlib.suppress(psutil.Error):
                found += [process] if named in " ".join(process.cmdline()) else []
        return found

    def memory(self) -> int:
        """Return the bytes of memory that all its processes hold, what they share counted once."""
        total = 0
        for node in [*self.others, *([self.head] if self.head else [])]:
            for process in family(node):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
        return total

    def _start(self, name: str, cpus: int, *arguments: str) -> subprocess.Popen[bytes]:
        common = ["--node-ip-address", "127.0.0.1", "--object-store-memory", "80000000"]
        common += ["--disable-usage-stats", "--include-log-monitor", "false", "--block"]
        common += ["--num-cpus", str(cpus), "--min-worker-port", "0", "--max-worker-port", "0"]
        common += ["--dashboard-agent-listen-port", str(free_port())]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("BARDLAB_", "OMP_"))}
        own = {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_JOB_START_TIMEOUT_SECONDS": "604800",
            "RAY_worker_niceness": "0",  # the machine is busy with other tests
            "BARDLAB_NODE": name,
        }
        own |= {"RAY_agent_register_timeout_ms": "240000", "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "240"}  # if it is busy
        own["RAY_gcs_rpc_server_reconnect_timeout_s"] = "10"  # a node without a head ends after so long
        with (self.folder / "start.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(SCRIPT), "start", *arguments, *common], stdout=log, stderr=log, env=kept | own
            )

    def _await(self, start: Callable[[], subprocess.Popen[bytes]], before: set[str]) -> subprocess.Popen[bytes]:
        """Start a node until there is one more than before: on a busy machine Ray gives up after half a minute."""
        until = time.monotonic() + 600
        node = start()
        while True:
            try:
                if self.known() - before:
                    break
            except (OSError, ValueError, LookupError, TypeError):
                pass
            assert time.monotonic() < until, (self.folder / "start.log").read_text()[-2000:]
            if node.poll() is not None:
                node = start()
            time.sleep(0.1)
        assert {"127.0.0.1"} <= (spoken := self.listening()) <= LOOPBACK, spoken
        return node


def family(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a node's processes, those of its jobs too."""
    try:
        first = psutil.Process(node.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(node: subprocess.Popen[bytes]) -> None:
    """SIGKILL a node's processes, all of them: those of jobs too."""
    for process in family(node):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    node.wait()
