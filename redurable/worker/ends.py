"""Attempts that have ended and whose outcome is not in the store yet: from `activities` to `completions`."""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import Struct

from redurable.core.traces import OpenSpan
from redurable.store.port import TaskEnd


class Ended(Struct, frozen=True):
    """An attempt that ended; `outcome` as in `ActivityAttempted`, `seconds` that the function ran, its span if it is
    traced and ran here."""

    end: TaskEnd
    outcome: str
    seconds: float
    span: OpenSpan | None = None


class Ends:
    """Attempts that ended and are not completed yet."""

    def __init__(self) -> None:
        self._queue: deque[Ended] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._sending = 0
        self._emptied = asyncio.Event()

    def add(self, ended: Ended) -> None:
        """Complete this attempt as soon as possible."""
        self._queue.append(ended)
        self._wake_one()

    async def take(self, most: int) -> list[Ended]:
        """Wait for the first, and take whatever there is. `done` must follow."""
        while not self._queue:
            taker = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            await taker
        self._sending += 1
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        if self._queue:
            self._wake_one()
        return taken

    def done(self) -> None:
        """What was taken is completed."""
        self._sending -= 1
        self._emptied.set()
        self._emptied.clear()

    def _wake_one(self) -> None:
        # One is enough: whatever else ends before it runs goes into the same batch.
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return

    async def flushed(self) -> None:
        """Wait until every attempt that ended is completed."""
        while self._queue or self._sending:
            await self._emptied.wait()
