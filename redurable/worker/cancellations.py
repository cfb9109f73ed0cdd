"""Hears that calls of activities were cancelled, as soon as the turn that cancelled them is committed.

One blocking read over the news of all partitions, because a worker runs tasks of all of them. A new worker reads what
is kept before it takes its first task: what nobody waits for any more, it does not begin. News that is missed (only the
newest is kept, and a server may forget) is made up for by the next renewal of leases.
"""

from __future__ import annotations

from redurable.worker.activities import Activities
from redurable.worker.common import Common
from redurable.worker.unwanted import Call


class Cancellations:
    """Reads the news, and has `activities` stop these calls."""

    name = "cancellations"

    def __init__(self, common: Common, activities: Activities) -> None:
        self._common = common
        self._activities = activities
        self._after = dict.fromkeys(range(common.ownership.partitions), "")

    async def run(self) -> None:
        """Go on until the worker has stopped: what still runs in its last seconds may be cancelled, too."""
        while True:
            await self.read(self._common.settings.poll_block_ms)

    async def catch_up(self) -> None:
        """Read all that is kept."""
        while await self.read(0):
            pass

    async def read(self, block_ms: int) -> bool:
        """Read once; whether there was something."""
        news = await self._common.store.canceled(self._after, block_ms)
        calls: set[Call] = set()
        for partition, told in news:
            self._after[partition] = told.id
            calls.update((told.instance, told.execution, seq) for seq in told.seqs)
        if calls:
            self._activities.cancel(calls)
        return bool(news)
