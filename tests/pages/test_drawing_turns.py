"""Turns: a few at a time, first come first served, and nobody waits for those who stay."""

import threading
import time

from pages.turns import Turns


def test_never_more_than_the_places_and_all_come_through():
    turns, inside, most, done = Turns(2, 60.0), 0, 0, []
    lock = threading.Lock()

    def draw(number: int) -> None:
        nonlocal inside, most
        with turns.turn():
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.002)
            with lock:
                inside -= 1
                done.append(number)

    threads = [threading.Thread(target=draw, args=(i,)) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2 and sorted(done) == list(range(40))
    assert not turns._since and not turns._line


def test_first_come_first_served():
    turns, order = Turns(1, 60.0), list[int]()
    threads = []

    def draw(number: int) -> None:
        with turns.turn():
            order.append(number)

    with turns.turn():
        for number in range(8):
            threads.append(threading.Thread(target=draw, args=(number,)))
            threads[-1].start()
            while len(turns._line) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_nobody_waits_for_those_who_stay():
    """Whoever holds a place for long no longer counts."""
    turns, over, through = Turns(1, 0.05), threading.Event(), threading.Event()

    def stay() -> None:
        with turns.turn():
            over.wait()

    def come() -> None:
        with turns.turn():
            through.set()

    threads = [threading.Thread(target=stay), threading.Thread(target=stay), threading.Thread(target=come)]
    for thread in threads:
        thread.start()
    assert through.wait(60)
    over.set()
    for thread in threads:
        thread.join()


def test_who_leaves_makes_room_at_once():
    turns, order = Turns(1, 60.0), list[str]()

    def come() -> None:
        with turns.turn():
            order.append("next")

    with turns.turn():
        turns.leave()
        thread = threading.Thread(target=come)
        thread.start()
        thread.join(60)
        order.append("first")
    assert order == ["next", "first"] and not turns._since


def test_a_drawing_that_ends_in_an_exception_gives_its_place_back():
    """Streamlit ends a drawing by one when the page is left."""
    turns = Turns(1, 60.0)
    for _ in range(3):
        try:
            with turns.turn():
                raise SystemExit
        except SystemExit:
            pass
    assert not turns._since
