"""Removes consumers that crashed workers left in the store's consumer groups, once they hold nothing any more; and
looks now and then at every instance, whether what queries and the retention go by is true of it."""

from __future__ import annotations

from redurable.worker.common import Common, log
from redurable.worker.role import keep_polling

MENDED_AT_ONCE = 100
MEND_EVERY_MS = 1_000


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


class Mending:
    """Walks through the owned partitions, a few instances at a time: as a rule nothing is wrong, and nothing urgent."""

    name = "mending"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._partition = -1
        self._cursor = ""

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One step of the walk."""
        mine = self._common.ownership.mine
        if mine and (self._partition not in mine or not self._cursor):
            self._partition = min((number for number in mine if number > self._partition), default=mine[0])
            self._cursor = ""
        if mine:
            self._cursor, mended = await self._common.store.mend(self._partition, self._cursor, MENDED_AT_ONCE)
            if mended:
                log.warning("%d things were wrong with lists of instances or with bells, and were put right", mended)
        return MEND_EVERY_MS
