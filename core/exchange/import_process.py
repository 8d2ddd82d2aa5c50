"""Imports run in a process of their own, with a bound on its memory: whatever a file does, the lab goes on.

`python -m core.exchange.import_process` reads one request from standard input and answers with one line of JSON.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import psutil

from core import files, paths, system
from core.errors import BardlabError
from core.exchange.weight_files import safe_label
from core.runs import editing, owners, reading
from core.runs.state import Run

MEMORY = 3 * 1024**3
"""Bytes an import may take beyond what Python and torch have taken by then; the largest Transformer needs 2.4 GB."""
PATIENCE = 3600.0
"""Seconds an import may take; the largest Transformer is measured on Tiny Shakespeare in some ten minutes."""
THREADS = 8


def bring_in(
    source: Path | str | IO[bytes],
    name: str | None = None,
    *,
    file_name: str = "",
    text: str | None = None,
    device: str = "cpu",
) -> Run:
    """Do what `core.exchange.archive.bring_in` does with a file or a stream, in a process of its own.

    Raises BardlabError, in one line and leaving nothing behind, also if that process dies.
    """
    with contextlib.ExitStack() as stack:
        if not isinstance(source, Path | str):
            try:
                upload = stack.enter_context(editing.staging()) / "upload"
                source.seek(0)
                with upload.open("wb") as file:
                    shutil.copyfileobj(source, file)
            except OSError as error:
                raise BardlabError(f"cannot keep the file while it is read: {files.explain(error)}") from None
            source = upload
        path = str(Path(source).expanduser().absolute())
        label = file_name or Path(source).name
        wanted = {"source": path, "name": name, "file_name": label, "text": text, "device": device}
        return _ask(wanted | {"owner": owners.acting().name})


def _ask(request: dict[str, str | None]) -> Run:
    no_gpu = {"CUDA_VISIBLE_DEVICES": ""} if request["device"] == "cpu" else {}
    child = subprocess.Popen(
        [sys.executable, "-m", "core.exchange.import_process"],
        cwd=paths.ROOT,
        env={**os.environ, **no_gpu, "MALLOC_ARENA_MAX": "2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    reason = "it took too long"
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            written, _ = child.communicate(json.dumps(request).encode(), PATIENCE)
            with contextlib.suppress(ValueError, IndexError, TypeError):
                answer = json.loads(written.splitlines()[-1])
                if "error" in answer:
                    raise BardlabError(str(answer["error"]))
                return reading.read(paths.runs() / str(answer["run"]))
            reason = f"reading it took too much memory, or ended in a crash (exit status {child.returncode})"
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
        editing.clear_staging(child.pid)
    raise BardlabError(f"{safe_label(request['file_name'] or '')} was not imported: {reason}")


def main() -> None:
    """Answer one request."""
    import torch

    from core.exchange.archive import bring_in as bring_in_here
    from core.training import devices

    request = json.loads(sys.stdin.buffer.readline())
    torch.set_num_threads(min(THREADS, devices.limit_threads()))
    system.be_first_to_go(900)
    system.limit_memory(psutil.Process().memory_info().vms + MEMORY)
    try:
        wanted = {name: request[name] for name in ("file_name", "text", "device")}
        with owners.acting_as(owners.Who(request["owner"])):
            run = bring_in_here(request["source"], request["name"], **wanted)
        answer = {"run": run.path.name}
    except BardlabError as error:
        answer = {"error": str(error)}
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate" not in str(error):
            raise
        answer = {"error": f"{safe_label(request['file_name'])} asks for more memory than an import may take"}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
