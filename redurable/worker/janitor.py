"""Removes consumers that crashed workers left in the store's consumer groups, once they hold nothing any more."""

from __future__ import annotations

from redurable.worker.common import Common
from redurable.worker.role import keep_polling


class Janitor:
    """Every worker does it now and then; doing it twice does nothing."""

    name = "janitor"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._first = True

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One round; none at the very start, when this worker has not been seen everywhere yet."""
        idle_ms = self._common.settings.reap_after_ms
        if not self._first:
            await self._common.store.reap(idle_ms)
        self._first = False
        return idle_ms
