"""What a worker remembers of cancelled calls."""

from __future__ import annotations

from redurable.core.values import Arguments, Task
from redurable.worker.unwanted import Unwanted, call_of


def task(seq: int) -> Task:
    return Task("one", "x1", seq, "Work", Arguments())


def test_the_newest_calls_are_remembered() -> None:
    unwanted = Unwanted(most=2)
    assert task(1) not in unwanted
    unwanted.add([call_of(task(1)), call_of(task(2)), call_of(task(1))])
    assert task(1) in unwanted
    unwanted.add([call_of(task(3))])
    assert [seq for seq in (1, 2, 3) if task(seq) in unwanted] == [2, 3]
