"""How many activities this worker can still take on, counted apart for async functions and for threads.

What a demand asks for is set aside until its answer is here, so that the lanes together never ask for more than there
is room for. A queue is asked only while there is room for every kind of function registered for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from redurable.settings import WorkerSettings
from redurable.store.port import TaskDemand

NOTHING = TaskDemand((), 0)


class Slots:
    """Free slots by kind; True: async functions, False: functions in threads."""

    def __init__(self, queues: Mapping[str, frozenset[bool]], settings: WorkerSettings) -> None:
        self._queues = queues
        self._names = tuple(queues)
        self._kinds = self._kinds_of(self._names)
        self._most_of = {True: settings.concurrency, False: settings.thread_concurrency}
        self._free = dict(self._most_of)
        self._aside = {True: 0, False: 0}
        self._most = settings.batch
        self._freed = asyncio.Event()

    def demand(self) -> TaskDemand:
        """What there is room for at this moment, whatever is being asked for already."""
        return self._demand(self._free)

    @contextmanager
    def reserve(self, share: int = 1) -> Generator[TaskDemand]:
        """What to ask the store for: the room for it, divided by `share`, is set aside meanwhile."""
        free, aside = self._free, self._aside
        demand = self._demand({True: free[True] - aside[True], False: free[False] - aside[False]})
        count = -(-demand.count // share)
        kinds = self._kinds if demand.queues is self._names else self._kinds_of(demand.queues)
        for kind in kinds:
            self._aside[kind] += count
        try:
            yield TaskDemand(demand.queues, count)
        finally:
            for kind in kinds:
                self._aside[kind] -= count
            if kinds:
                self._announce()

    def take(self, is_async: bool) -> bool:
        """Occupy a slot of this kind, if one is free."""
        if self._free[is_async] <= 0:
            return False
        self._free[is_async] -= 1
        return True

    def give(self, is_async: bool) -> None:
        """A function of this kind has ended."""
        self._free[is_async] += 1
        self._announce()

    def used(self, *, is_async: bool) -> int:
        """How many slots of this kind are occupied."""
        return self._most_of[is_async] - self._free[is_async]

    async def freed(self) -> None:
        """Wait until there may be more room than now."""
        await self._freed.wait()

    def _demand(self, room: Mapping[bool, int]) -> TaskDemand:
        queues, kinds = self._names, self._kinds
        if min([room[kind] for kind in kinds], default=1) <= 0:
            queues = tuple(name for name, kinds in self._queues.items() if all(room[kind] > 0 for kind in kinds))
            kinds = self._kinds_of(queues)
        if not queues:
            return NOTHING
        return TaskDemand(queues, min(self._most, *[room[kind] for kind in kinds]))

    def _kinds_of(self, queues: Sequence[str]) -> frozenset[bool]:
        return frozenset(kind for name in queues for kind in self._queues[name])

    def _announce(self) -> None:
        self._freed.set()
        self._freed.clear()
