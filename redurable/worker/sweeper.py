"""Announces waiting instances whose mail nobody was told of: wake-ups that were lost, and what foreign clients wrote
straight into a mailbox.

A round walks through the owned partitions, from where the last one stopped, and makes a bounded number of calls: a hub
with few waiting instances is walked every round, and one with millions costs no more per second.
"""

from __future__ import annotations

from redurable.facts import InstancesSwept
from redurable.worker.common import Common
from redurable.worker.role import keep_polling

CALLS = 64
"""Calls to the store in one round at most; each checks `sweep_chunk` instances."""


class Sweeper:
    """Remembers the partition and the cursor in it."""

    name = "sweeper"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._partition = 0
        self._cursor = ""

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One round."""
        mine = self._common.ownership.mine
        swept = ended = 0
        for _ in range(CALLS):
            if ended >= len(mine):
                break
            if self._partition not in mine:
                self._go_on(mine)
            swept += await self._sweep()
            if not self._cursor:
                ended += 1
                self._go_on(mine)
        if swept and self._common.facts.listening:
            self._common.facts.announce(InstancesSwept(swept))
        return self._common.settings.sweep_every_ms

    def _go_on(self, mine: tuple[int, ...]) -> None:
        """To the next owned partition, round and round."""
        self._partition = min((number for number in mine if number > self._partition), default=mine[0])
        self._cursor = ""

    async def _sweep(self) -> int:
        chunk = self._common.settings.sweep_chunk
        self._cursor, announced = await self._common.store.sweep(self._partition, self._cursor, chunk)
        return announced
