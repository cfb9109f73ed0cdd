"""Forgets past executions of instances that continue as new, or are rewound, again and again: the first and the newest
ones are kept.

Looked at once in a while only, so that a step of an eternal orchestration costs no more than any other; a look that is
missed, because a worker died, is made up for by the next one. What goes is what the store lists at that time, so a
number that belongs to an instance which is gone does no harm.
"""

from __future__ import annotations

import asyncio

from redurable.worker.common import Common

MOST_ABOVE = 100


class Retention:
    """Instances with more past executions than are kept."""

    name = "retention"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._keep = common.settings.kept_executions
        self._every = min(self._keep // 10 + 1, MOST_ABOVE)
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        while True:
            while self._due:
                instance = next(iter(self._due))
                del self._due[instance]
                await self._common.store.prune(instance, self._keep)
            self._wake.clear()
            await self._wake.wait()

    def note(self, instance: str, number: int) -> None:
        """An instance has begun this execution."""
        if number % self._every == 0 and number > self._keep + 2:
            self.look(instance)

    def look(self, instance: str) -> None:
        """An instance was rewound or reset: that is rare, and its number stays the same."""
        self._due[instance] = None
        self._wake.set()
