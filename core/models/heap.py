"""How much room blocks of memory take in a processor's heap, which is more than their bytes.

PyTorch asks glibc for blocks at multiples of 64 bytes. glibc cuts such a block out of one that is larger by the
alignment and a chunk's head, so a block that was given back is too small for the next one of its own size: only two
neighbours that are both free, or a larger one, will do. A model whose layers are all as wide as each other (the
residual network) takes twice what it holds for that, one with many sizes a quarter more.
"""

from bisect import bisect_left, insort

SLACK = 64 + 48
"""Bytes by which a free block must be larger than the one that is cut out of it: the alignment, the smallest chunk and
two heads."""
MAPPED = 2**25
"""Blocks from this size on are pages of their own, given back at once (glibc's largest M_MMAP_THRESHOLD)."""
HOLES, REST = 1.5, 1.05
"""Small blocks keep free neighbours apart, so that there are more holes than reckoned here, by the first; the second is
for all that is no tensor. Both were measured: the first came out between 1.3 and 2 in the settings of the tests."""


def taken(held: int, reckoned: int) -> int:
    """Return what blocks of `held` bytes will take, for which `reckoned` would do were there no small ones."""
    return int(REST * (held + HOLES * (reckoned - held)))


class Heap:
    """Blocks handed out by best fit, from the holes between others or else at the top, and given back."""

    def __init__(self) -> None:
        self.peak = 0
        """The most bytes taken up at once, holes included."""
        self._top = self._mapped = 0
        self._blocks: dict[int, tuple[int, int]] = {}
        """(start, size) of each block in the heap by its key; the start of one outside is -1."""
        self._holes: dict[int, int] = {}  # start -> size
        self._ends: dict[int, int] = {}  # end -> start
        self._by_size: list[tuple[int, int]] = []  # (size, start), the smallest first

    def take(self, key: int, size: int) -> None:
        """Hand out a block."""
        start = -1
        if size >= MAPPED:
            self._mapped += size
        elif (at := bisect_left(self._by_size, (size + SLACK, -1))) < len(self._by_size):
            whole, start = self._by_size[at]
            self._close(start)
            self._open(start + size, whole - size)
        else:
            start, self._top = self._top, self._top + size
        self._blocks[key] = start, size
        self.peak = max(self.peak, self._top + self._mapped)

    def give_back(self, key: int) -> None:
        """Take a block back; free neighbours become one hole."""
        start, size = self._blocks.pop(key)
        if start < 0:
            self._mapped -= size
            return
        end = start + size
        if start in self._ends:
            start -= self._close(self._ends[start])
        if end in self._holes:
            end += self._close(end)
        if end == self._top:
            self._top = start
        else:
            self._open(start, end - start)

    def _open(self, start: int, size: int) -> None:
        self._holes[start], self._ends[start + size] = size, start
        insort(self._by_size, (size, start))

    def _close(self, start: int) -> int:
        size = self._holes.pop(start)
        del self._ends[start + size]
        del self._by_size[bisect_left(self._by_size, (size, start))]
        return size
