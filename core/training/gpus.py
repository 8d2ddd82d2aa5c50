"""Which GPUs this process may use and what they are called, told without loading torch.

A GPU is called by its UUID, which is the same in every process, whatever CUDA_VISIBLE_DEVICES makes of its number.
"""

import functools
import os
import re
import subprocess

os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # CUDA is to count as the driver's tool does


@functools.cache
def names() -> tuple[str, ...]:
    """Name the CUDA devices in torch's order: `cuda:0` is the first. Empty if there are none."""
    there = _by_number()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return _chosen(visible, there)
    if there:
        return tuple(there)
    import torch  # no driver tool that could be asked: it takes a second and 200 MB to count them

    return tuple(str(number) for number in range(torch.cuda.device_count()))


def _chosen(visible: str, there: list[str]) -> tuple[str, ...]:
    """Name what CUDA_VISIBLE_DEVICES lists; as CUDA does, stop at the first entry that names no device."""
    found = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdecimal() and not (there and int(entry) >= len(there)):
            found.append(there[int(entry)] if there else entry)
        elif re.match(r"GPU-|MIG-", entry):
            found.append(next((uuid for uuid in there if uuid.startswith(entry)), entry))
        else:
            break
    return tuple(found)


def _by_number() -> list[str]:
    """List the UUIDs of all GPUs in the driver's order."""
    try:
        told = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.stdout.splitlines() if line.startswith("GPU-")] if not told.returncode else []
