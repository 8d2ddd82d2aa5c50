"""A real Ray cluster on 127.0.0.1: nodes of one core each, started and ended by whoever tests."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

import psutil

SCRIPT = Path(__file__).with_name("loopback.py")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """A head and any number of further nodes; entering it starts the head."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
        self.head = self._start(
            [
                "--head",
                "--port",
                str(self.port),
                "--dashboard-host",
                "127.0.0.1",
                "--dashboard-port",
                str(self.job_port),
            ]
        )
        self._await(1)

    def add(self) -> subprocess.Popen[bytes]:
        """Start a further node, and wait until the head knows it."""
        there = self.count()
        node = self._start(["--address", f"127.0.0.1:{self.port}"])
        self.others.append(node)
        self._await(there + 1)
        return node

    def count(self) -> int:
        """Return how many nodes are there."""
        with urllib.request.urlopen(f"{self.address}/api/v0/nodes?detail=1", timeout=5) as answer:
            return sum(node["state"] == "ALIVE" for node in json.load(answer)["data"]["result"]["result"])

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        common = ["--node-ip-address", "127.0.0.1", "--num-cpus", "1", "--object-store-memory", "80000000"]
        common += ["--disable-usage-stats", "--include-log-monitor", "false", "--block"]
        common += ["--dashboard-agent-listen-port", str(free_port())]
        if "--head" in arguments:
            common += ["--temp-dir", str(self.folder), "--ray-client-server-port", str(free_port())]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("BARDLAB_", "OMP_"))}
        with (self.folder / "start.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(SCRIPT), "start", *arguments, *common],
                stdout=log,
                stderr=log,
                env=environment | {"RAY_USAGE_STATS_ENABLED": "0"},
            )

    def _await(self, nodes: int) -> None:
        until = time.monotonic() + 240
        while True:
            try:
                if self.count() >= nodes:
                    return
            except (OSError, ValueError, LookupError, TypeError):
                pass
            assert time.monotonic() < until, (self.folder / "start.log").read_text()[-2000:]
            time.sleep(0.2)


def kill(node: subprocess.Popen[bytes]) -> None:
    """SIGKILL a node's processes, all of them: those of jobs too."""
    try:
        whole = psutil.Process(node.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        whole = []
    node.kill()
    for process in whole:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    node.wait()
