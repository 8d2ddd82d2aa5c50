"""Out of memory: how each device says so, and how many characters it can be given at once."""

import contextlib

import torch

SIGNS = ("out of memory", "ALLOC_FAILED", "DefaultCPUAllocator")
"""What the messages of CUDA, cuBLAS, Triton, Apple's devices and torch's allocator for the CPU have in them."""
SMALL_CARD = 12e9  # bytes


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error says, in whichever way, that there was not enough memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in SIGNS)


def at_once(device: torch.device) -> int:
    """Return how many characters to run through a model at once without keeping anything for a backward pass.

    On a CPU as many as its caches hold (twice as fast as 16,384); on a GPU more, if its memory is large.
    """
    if device.type == "cpu":
        return 2048
    if device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory >= SMALL_CARD:
        return 65_536
    return 16_384


def release(device: torch.device) -> None:
    """Give back what the allocator of a GPU keeps for later."""
    with contextlib.suppress(RuntimeError):  # where the memory is short, even this may fail
        if device.type == "cuda":
            torch.cuda.empty_cache()
        elif device.type == "mps":
            torch.mps.empty_cache()
