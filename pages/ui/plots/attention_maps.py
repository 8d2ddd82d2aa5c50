"""Attention maps as the browser takes them: packed once, drawn by any component."""

import zlib
from dataclasses import dataclass

import numpy as np

from core.inspect.attention import AttentionMaps


@dataclass(frozen=True)
class Packed:
    """The patterns of one prompt, as the browser takes them."""

    id: str
    """Changes with the content."""
    shape: tuple[int, int, int]
    """Layers, heads, positions."""
    pattern: bytes
    value_norm: bytes


def pack_maps(maps: AttentionMaps) -> Packed:
    """Encode patterns (L, H, T, S) as lower triangles in steps of 1/65535. Worth caching: it reads every weight."""
    L, H, T = maps.shape
    triangles = maps.pattern[:, :, *np.tril_indices(T)]  # (L, H, T (T + 1) / 2)
    pattern = np.rint(triangles * np.float64(65_535)).astype("<u2").tobytes()
    norm = maps.value_norm.astype("<f4").tobytes()
    return Packed(f"{zlib.crc32(norm, zlib.crc32(pattern)):08x}", (L, H, T), pattern, norm)
