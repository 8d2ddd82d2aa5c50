"""The heap's holes: what fits into one that was left, and what does not."""

from core.models.heap import MAPPED, Heap


def test_a_block_does_not_fit_where_one_of_its_own_size_was():
    heap = Heap()
    for key in range(3):
        heap.take(key, 1000)
    heap.give_back(1)
    heap.take(3, 1000)
    assert heap.peak == 4000
    heap.take(4, 500)
    assert heap.peak == 4000


def test_two_neighbours_that_are_free_become_one_hole_and_the_top_sinks():
    heap = Heap()
    for key in range(4):
        heap.take(key, 1000)
    heap.give_back(1)
    heap.give_back(2)
    heap.take(4, 1000)
    assert heap.peak == 4000
    heap.give_back(3)
    heap.take(5, 1500)
    assert heap.peak == 4000
    for key in (0, 4, 5):
        heap.give_back(key)
    heap.take(6, 4000)
    assert heap.peak == 4000


def test_large_blocks_are_pages_of_their_own_and_leave_no_hole():
    heap = Heap()
    for key in range(3):
        heap.take(key, MAPPED)
        heap.give_back(key)
    assert heap.peak == MAPPED
