"""Attempts that have ended and whose outcome is not in the store yet: from `activities` to `completions`."""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import Struct

from redurable.store.port import TaskEnd


class Ended(Struct, frozen=True):
    """An attempt that ended; `outcome` as in `ActivityAttempted`, `seconds` that the function ran."""

    end: TaskEnd
    outcome: str
    seconds: float


class Ends:
    """Attempts that ended and are not completed yet."""

    def __init__(self) -> None:
        self._queue: deque[Ended] = deque()
        self._added = asyncio.Event()
        self._sending = 0
        self._emptied = asyncio.Event()

    def add(self, ended: Ended) -> None:
        """Complete this attempt as soon as possible."""
        self._queue.append(ended)
        self._added.set()

    async def take(self, most: int) -> list[Ended]:
        """Wait for the first, and take whatever there is. `done` must follow."""
        while not self._queue:
            self._added.clear()
            await self._added.wait()
        self._sending += 1
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def done(self) -> None:
        """What was taken is completed."""
        self._sending -= 1
        self._emptied.set()
        self._emptied.clear()

    async def flushed(self) -> None:
        """Wait until every attempt that ended is completed."""
        while self._queue or self._sending:
            await self._emptied.wait()
