"""Reads what is sent to a component, as pages/ui/components/shared/wire.js does in the browser."""

import json
from typing import Any

import numpy as np


def unpack(message: bytes) -> dict[str, Any]:
    """Return the header of a message with every array in its place."""
    size = int.from_bytes(message[:4], "little")
    assert size % 4 == 0

    def revive(value: dict[str, Any]) -> Any:
        if "$array" not in value:
            return value
        kind, offset, length = value["$array"]
        return np.frombuffer(message, f"<{kind}", length, 4 + size + offset)

    found: dict[str, Any] = json.loads(message[4 : 4 + size], object_hook=revive)
    return found
