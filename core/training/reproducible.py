"""Which kernels a GPU may choose, so that the same run on the same card gives the same numbers."""

import os

import torch

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when a process first multiplies
LACK = "does not have a deterministic implementation"


def switch_on(device: torch.device) -> None:
    """Ask for kernels that add up in a fixed order. A CPU has no others.

    Backward passes of embeddings and attention otherwise add atomically on an NVIDIA GPU, in the order in which its
    parts happen to finish.
    """
    if device.type != "cuda":
        return
    torch.use_deterministic_algorithms(True)
    # a safeguard that costs time, against reading what was never written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    from torch._inductor import config as inductor  # takes a second to load

    inductor.deterministic = True


def is_lacking(error: Exception) -> bool:
    """True if an operation was refused only because it has no such kernel."""
    return LACK in str(error)


def switch_off() -> None:
    """Take any kernel."""
    torch.use_deterministic_algorithms(False)
