"""Files made to hurt whoever imports them: each must be refused in one line, or taken and be harmless.

`python -m tests.hostile_imports --count 100` feeds them to `python -m core import`, each in a process whose memory is
bounded, and prints how they ended and what memory that took.
"""

import argparse
import io
import json
import os
import pickle
import random
import stat
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors

from core import paths
from core.jobs import work
from core.runs import editing, reading
from core.runs import state as runs_state
from core.runs.folder import State
from core.runs.metrics import MetricsWriter

MB = 1024**2
Files = dict[str, bytes]
"""A run's files by their name in its folder."""


class Asks:
    """An object that calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle what to call."""
        return self.function, self.arguments


def torch_bytes(state: object, *, old: bool = False) -> bytes:
    """What `torch.save` writes."""
    out = io.BytesIO()
    torch.save(state, out, _use_new_zipfile_serialization=not old)
    return out.getvalue()


def rezipped(content: bytes, change: Callable[[str, bytes], bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    """A torch archive with its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", packing) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out.getvalue()


def deflated(state: dict[str, Any], size: int) -> bytes:
    """A torch archive with one more tensor, of zeros, packed to a thousandth."""
    whole = torch_bytes({**state, "zeros": torch.zeros(3, dtype=torch.uint8)})
    numel, small = struct.pack("<BI", 0x4A, size), b"K\x03"  # BININT for BININT1

    def change(name: str, part: bytes) -> bytes:
        if name.endswith("data.pkl"):
            at = part.rindex(b"ByteStorage")
            return part[:at] + part[at:].replace(small, numel)
        return bytes(size) if part == b"\0\0\0" else part

    return rezipped(whole, change, zipfile.ZIP_DEFLATED)


def grown(state: dict[str, Any], size: int) -> bytes:
    """A torch archive whose last tensor is said to have more numbers than its storage, for which torch makes room."""
    whole = torch_bytes({**state, "zeros": torch.zeros(3)})

    def change(name: str, part: bytes) -> bytes:
        at = part.rfind(b"K\x03\x85")
        if name.endswith("data.pkl") and at > 0:
            return part[:at] + struct.pack("<BI", 0x4A, size) + part[at + 2 :]
        return part

    return rezipped(whole, change)


def laughs(depth: int) -> bytes:
    """A pickle in a torch archive: a tuple of two tuples of two tuples ..., as a dictionary's key, to be hashed."""
    inner = b")" + b"".join(b"q" + bytes([i % 250]) + b"h" + bytes([i % 250]) + b"\x86" for i in range(depth))
    return rezipped(
        torch_bytes({}), lambda name, part: b"\x80\x02}" + inner + b"K\x01s." if "data.pkl" in name else part
    )


def nested(depth: int) -> object:
    """A dictionary in a dictionary in a dictionary ..."""
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"model": inner}
    return inner


def safetensors_with(header: bytes, length: int | None = None) -> bytes:
    """A safetensors file with any header, of any announced length."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header


def events(*points: tuple[int, dict[str, float]], again: int = 1) -> bytes:
    """An event file with these points."""
    with tempfile.TemporaryDirectory() as folder:
        writer = MetricsWriter(Path(folder))
        for _ in range(again):
            for step, values in points:
                writer.add(step, values)
        writer.close()
        (file,) = Path(folder).iterdir()
        return file.read_bytes()


def changed(content: bytes, **values: object) -> bytes:
    """A JSON file with values replaced; its checksum is taken out, as whoever edits it by hand does."""
    about = {**json.loads(content), **values}
    about.pop("crc32", None)
    return json.dumps(about).encode()


def trainer(files: Files, **changes: object) -> Files:
    """Another state to resume from."""
    state = torch.load(io.BytesIO(files["trainer.pt"]), weights_only=True)
    return {**files, "trainer.pt": torch_bytes({**state, **changes})}


def packed(files: Files, *, raw: Files | None = None, link: str = "") -> bytes:
    """A zip file of a run; `raw` gives further files by their whole path."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in {**{f"run/{name}": content for name, content in files.items()}, **(raw or {})}.items():
            zipped.writestr(name, content)
        if link:
            entry = zipfile.ZipInfo(f"run/{link}")
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            zipped.writestr(entry, "/etc/passwd")
    return out.getvalue()


def overlapping(files: Files) -> bytes:
    """A zip file in which one packed file is listed many times."""
    content = bytearray(packed({**files, "snapshots/step-1.safetensors": bytes(50 * MB)}))
    start = content.index(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    last = content.rindex(b"PK\x01\x02")
    entry = bytes(content[last:end])
    copies = b"".join(entry.replace(b"step-1.", f"step-{n}.".encode()) for n in range(2, 10))
    directory = bytes(content[start:end]) + copies
    count = struct.unpack("<H", content[end + 10 : end + 12])[0] + 8
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), start, 0)
    return bytes(content[:start]) + directory + tail


def recipes(files: Files, size: int, chance: random.Random) -> dict[str, Callable[[], bytes]]:
    """Every kind of hostile file. `files` is a run that has stopped; `size` is how many bytes a bomb asks for."""
    weights = {"token_embedding_table.weight": torch.zeros(65, 65)}
    row = b'{"step": %d, "val_loss": 1.0, "prompt": "a", "text": "b"}\n'
    config, status = files["config.json"], files["status.json"]
    prompt = json.loads(config)["train"] | {"prompt": "a" * (size // 500)}
    sizes = {"n_layer": 12, "n_head": 16, "d_model": 768, "context": 1024, "dropout": 0.0}
    huge = {"w": {"dtype": "F32", "shape": [size, size], "data_offsets": [0, 4]}}
    spoiled = bytearray(packed(files))
    for _ in range(20):
        spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
    step = chance.randrange(1, 1000)
    return {
        "bytearray, old format": lambda: torch_bytes([Asks(bytearray, size), Asks(bytearray, size)], old=True),
        "bytearray, archive": lambda: torch_bytes({"model": Asks(bytearray, size)}),
        "bytearray, trainer.pt": lambda: packed({**files, "trainer.pt": torch_bytes({"model": Asks(bytearray, size)})}),
        "bytearray, old trainer.pt": lambda: packed(
            {**files, "trainer.pt": torch_bytes(Asks(bytearray, size), old=True)}
        ),
        "set and Counter": lambda: torch_bytes({"model": weights, "a": {1, 2}, "b": Counter("abc")}),
        "code": lambda: torch_bytes(OrderedDict(a=Asks(os.mkdir, "/tmp/hostile-canary"))),
        "code, plain pickle": lambda: pickle.dumps(Asks(os.mkdir, "/tmp/hostile-canary"), 4),
        "deflated weights": lambda: deflated(weights, min(size, 2**31 - 1)),
        "deflated trainer.pt": lambda: packed(
            {**files, "trainer.pt": deflated(torch.load(io.BytesIO(files["trainer.pt"])), min(size, 2**31 - 1))}
        ),
        "a tensor larger than its numbers": lambda: grown(weights, min(size // 4, 2**31 - 1)),
        "the same in trainer.pt": lambda: packed(
            {**files, "trainer.pt": grown(torch.load(io.BytesIO(files["trainer.pt"])), 2**30)}
        ),
        "one number repeated": lambda: torch_bytes(
            {"token_embedding_table.weight": torch.zeros(1).expand(size // 4, 65)}
        ),
        "a key that takes for ever to hash": lambda: laughs(chance.randrange(30, 200)),
        "nested a hundredfold": lambda: torch_bytes(nested(100)),
        "nested a hundred thousandfold": lambda: rezipped(
            torch_bytes({}),
            lambda name, part: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"." if "data.pkl" in name else part,
        ),
        "a header of a gigabyte": lambda: packed(
            {**files, "model.safetensors": safetensors_with(b"{" + bytes(size // 2))}
        ),
        "a header of terabytes": lambda: packed(
            {**files, "model.safetensors": safetensors_with(b"{}" + bytes(99), 9 * 10**12)}
        ),
        "weights with a long header": lambda: safetensors_with(b'{"a":"' + b"a" * 20 * MB + b'"}'),
        "weights that announce more": lambda: safetensors_with(json.dumps(huge).encode()) + bytes(4),
        "300,000 tensors": lambda: save_tensors(
            {f"t{i}.weight": torch.zeros(1) for i in range(min(300_000, size // 5000))}
        ),
        "another snapshot": lambda: packed({**files, "snapshots/step-000001.safetensors": bytes(size // 4)}),
        "a long log": lambda: packed({**files, "log.txt": b"a line of the log\n" * (size // 60)}),
        "many samples": lambda: packed({**files, "samples.jsonl": b"".join(row % i for i in range(size // 5000))}),
        "a long sample": lambda: packed(
            {**files, "samples.jsonl": row.replace(b'"b"', b'"' + b"b" * (size // 10) + b'"') % 1}
        ),
        "many alerts": lambda: packed(
            {**files, "alerts.jsonl": b'{"step": 1, "kind": "a", "text": "b"}\n' * (size // 5000)}
        ),
        "many points": lambda: packed(
            {**files, "events.out.tfevents.9999999999.x": events((1, {"train/loss": 1.0}), again=size // 20_000)}
        ),
        "curves with other names": lambda: packed(
            {**files, "events.out.tfevents.9999999999.x": events((1, {'=HYPERLINK("http://x")': 1.0}))}
        ),
        "infinite time": lambda: packed(
            {**files, "events.out.tfevents.9999999999.x": events((1, {"time/seconds": float("inf")}))}
        ),
        "steps to come": lambda: packed(
            {**files, "events.out.tfevents.9999999999.x": events((10**9 + step, {"train/loss": 1.0}))}
        ),
        "a long prompt": lambda: packed({**files, "config.json": changed(config, train=prompt)}),
        "deep settings": lambda: packed({**files, "config.json": b'{"a":' * 100_000 + b"1" + b"}" * 100_000}),
        "the largest sizes": lambda: packed({**files, "config.json": changed(config, model=sizes)}),
        "a state of its own": lambda: packed(
            trainer(files, extra={"status": {"state": "finished", "pid": 1}, "watch": {}})
        ),
        "an extra that is a list": lambda: packed(trainer(files, extra=[1, 2])),
        "steps taken that were not": lambda: packed(trainer(files, done=10**9 + step)),
        "a clock that is text": lambda: packed(trainer(files, seconds="soon")),
        "a status with a process": lambda: packed({**files, "status.json": changed(status, pid=1, state="running")}),
        "a status with numbers": lambda: packed({**files, "status.json": changed(status, step=10**400)}),
        "markup": lambda: packed(
            {**files, "label.json": json.dumps({"name": "<b>" * 30, "note": "![x](http://x)"}).encode()}
        ),
        "upwards": lambda: packed(
            files, raw={chance.choice(["../evil", "run/../../evil", "/etc/evil", "C:/evil"]): b"x"}
        ),
        "a link": lambda: packed(files, link="snapshots/step-1.safetensors"),
        "too many files": lambda: packed(files, raw={f"run/snapshots/step-{i}.safetensors": b"" for i in range(2001)}),
        "two gigabytes": lambda: (
            packed({**files, **{f"snapshots/step-{i}.safetensors": bytes(64 * MB) for i in range(33)}})
            if size > 10**9
            else packed(files, raw={f"run/{i}": b"" for i in range(3000)})
        ),
        "listed many times": lambda: overlapping(files),
        "a zip in a zip": lambda: packed({"inner.zip": packed(files)}),
        "control files": lambda: packed({**files, "lock": b"", "stop": b"", "order.json": b"{}"}),
        "flipped bits": lambda: bytes(spoiled),
        "cut": lambda: packed(files)[: chance.randrange(100, 5000)],
    }


def a_stopped_run() -> Files:
    """The files of a tiny run that can be resumed."""
    from tests.conftest import make_run

    run = work.work(make_run("transformer").path)
    runs_state.write_status(run.path, run.status.model_copy(update={"state": State.STOPPED}))
    found = {
        str(file.relative_to(run.path).as_posix()): file.read_bytes()
        for file in run.path.rglob("*")
        if file.is_file() and file.name not in ("lock", ".reserve") and "export" not in file.parts
    }
    editing.delete(reading.read(run.path))
    return found


def imported(
    content: bytes, home: Path, root: Path = paths.ROOT, most: int = 3_000_000_000
) -> tuple[str, float, float]:
    """Import a file from the command line in `home`. Returns how it ended, its peak memory in MB, and the seconds.

    `most`: bytes of address space that the command's processes may have each, so that this machine is safe from it.
    """
    file = home / "hostile.pth"
    file.write_bytes(content)

    def bound() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    began = time.monotonic()
    with (home / "out").open("w+b") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "core", "import", str(file)],
            cwd=root,
            env={**os.environ, "BARDLAB_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
            stdout=out,
            stderr=out,
            preexec_fn=bound,
        )
        _, code, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(code)
        out.seek(0)
        said = out.read().decode(errors="replace").strip()
    if child.returncode == 0:
        ended = "taken"
    elif child.returncode == 2 and said.startswith("error: ") and "\n" not in said:
        ended = f"refused: {said.removeprefix('error: ')}"
    else:
        ended = f"BROKEN {child.returncode}: {said[-200:]}"
    return ended, usage.ru_maxrss / 1024, time.monotonic() - began


def main() -> None:
    """Feed files and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--bytes", type=float, default=2e9, help="What each bomb asks for.")
    parser.add_argument("--root", type=Path, default=paths.ROOT, help="The product to feed them to.")
    parser.add_argument("--only", default="", help="Only kinds with this in their name.")
    chosen = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARDLAB_HOME", folder)
        files = a_stopped_run()
        for number in range(chosen.count):
            kinds = recipes(files, int(chosen.bytes), random.Random(number))
            names = [name for name in kinds if chosen.only in name]
            if number >= len(names) and chosen.only:
                break
            name = names[number % len(names)]
            ended, memory, seconds = imported(kinds[name](), Path(folder), chosen.root)
            counts[ended.partition(":")[0].partition(" ")[0]] += 1
            left = [p.name for p in paths.runs().iterdir() if p.name.startswith(".importing")]
            print(
                f"{name} | {ended} | {memory:.0f} MB | {seconds:.1f} s{' | LEFT ' + str(left) if left else ''}",
                flush=True,
            )
            for run in reading.list_runs():
                editing.delete(run)
    print(dict(counts), "canary" if Path("/tmp/hostile-canary").exists() else "nothing ran")


if __name__ == "__main__":
    main()
