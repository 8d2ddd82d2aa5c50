"""The faults suite (`make faults`) in a short form: the same functions with smaller numbers."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults import reading, training


def held(found: dict[str, Any]) -> None:
    """Fail with the figures if the row did not hold."""
    assert found["ok"], found


def test_workers_killed_at_random_end_as_if_never_killed():
    held(training.random_kills(3, seed=4, rungs=["bigram", "mlp", "transformer"]))


def test_a_worker_killed_while_it_writes_a_checkpoint():
    held(training.write_boundaries(every=23))


def test_a_damaged_trainer_state_is_told_and_passed_over():
    held(training.damaged_trainer_state(10))


def test_a_worker_that_ignores_a_stop_is_ended_and_the_device_is_free():
    held(training.ignored_stop(0.5, 0.5))


def test_a_full_disk(home: Path):
    found = training.full_disk(1)
    if "skipped" in found:
        pytest.skip(found["skipped"])
    held(found)


def test_damaged_files_are_told_and_harm_no_other_run():
    held(reading.damaged_files(pages=False))


def test_many_runs_with_long_curves():
    held(reading.many_runs(20, 5000, updates=3))
