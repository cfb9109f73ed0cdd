"""Calls of activities that nobody waits for any more: the newest ones, so that their tasks are not begun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from redurable.core.values import Task

Call: TypeAlias = tuple[str, str, int]
"""Instance, execution, seq."""

MOST: Final = 50_000
"""So many are remembered: about 10 MB. What is forgotten is begun, and stopped by the first renewal of its lease."""


def call_of(task: Task) -> Call:
    """The call that a task belongs to."""
    return task.instance, task.execution, task.seq


class Unwanted:
    """The newest cancelled calls."""

    def __init__(self, most: int = MOST) -> None:
        self._calls: dict[Call, None] = {}
        self._most = most

    def __contains__(self, task: Task) -> bool:
        return bool(self._calls) and call_of(task) in self._calls

    def add(self, calls: Iterable[Call]) -> None:
        """Remember these; the oldest go."""
        self._calls.update(dict.fromkeys(calls))
        while len(self._calls) > self._most:
            del self._calls[next(iter(self._calls))]
