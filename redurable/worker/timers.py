"""Delivers durable timers when they are due by the store's clock, a few milliseconds late at most.

Timers due within the horizon lie in a local heap: those that this worker's commits wrote, and those that a poll of the
owned partitions finds (orphans of other workers). Whoever fires a timer first wins; firing it again does nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable

import anyio

from redurable.facts import TimersFired
from redurable.store.port import DueTimer
from redurable.worker.common import Common
from redurable.worker.role import keep_polling

MOST_FIRED = 500
"""Timers delivered in one step of the store."""

MOST_READ = 2_000
"""Timers read in one poll."""


class Timers:
    """The heap, the poll that feeds it, and the loop that empties it."""

    name = "timers"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._heap: list[DueTimer] = []
        self._known: set[DueTimer] = set()
        self._earlier = asyncio.Event()
        self._horizon = common.settings.timer_horizon_ms

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(keep_polling, self)
            group.start_soon(self._fire_when_due)

    def add(self, timers: Iterable[DueTimer]) -> None:
        """Take on those that are due within the horizon; the poll finds the others in time."""
        limit = self._common.clock.now() + self._horizon
        first = self._heap[0] if self._heap else None
        for timer in timers:
            if timer.due <= limit and timer not in self._known:
                self._known.add(timer)
                heapq.heappush(self._heap, timer)
        if self._heap and self._heap[0] is not first:
            self._earlier.set()

    async def poll(self) -> int:
        """Read what comes due in the owned partitions; twice within the horizon, so that nothing is read late."""
        mine = self._common.ownership.mine
        if mine:
            upcoming = await self._common.store.upcoming(mine, self._horizon, MOST_READ)
            self._common.clock.sync(upcoming.now)
            self.add(upcoming.timers)
            if len(upcoming.timers) == MOST_READ:
                return self._rest_of_backlog()
        return self._horizon // 2

    def _rest_of_backlog(self) -> int:
        """More timers are due than one poll reads: read on when these are fired."""
        last = max((timer.due for timer in self._heap), default=0)
        return round(min(max(last - self._common.clock.now(), 1), self._horizon // 2))

    async def _fire_when_due(self) -> None:
        while True:
            now = self._common.clock.now()
            if self._heap and self._heap[0].due <= now:
                await self._fire(self._pop_due(now))
                continue
            self._earlier.clear()
            rest = (self._heap[0].due - now) / 1000 if self._heap else None
            with anyio.move_on_after(rest):
                await self._earlier.wait()

    def _pop_due(self, now: float) -> list[DueTimer]:
        due: list[DueTimer] = []
        while self._heap and self._heap[0].due <= now and len(due) < MOST_FIRED:
            due.append(heapq.heappop(self._heap))
        return due

    async def _fire(self, due: list[DueTimer]) -> None:
        fired = await self._common.store.fire(due)
        self._common.clock.sync(fired.now)
        self._known.difference_update(due)
        self.add(fired.early)
        if self._common.facts.listening and fired.fired:
            early = set(fired.early)
            late = tuple(max(0, fired.now - timer.due) / 1000 for timer in due if timer not in early)
            self._common.facts.announce(TimersFired(late[: fired.fired]))
