"""Says that this worker lives, learns who else does, and works out which partitions it therefore owns."""

from __future__ import annotations

from redurable.worker.common import Common, log
from redurable.worker.role import keep_polling


class Membership:
    """The heartbeat."""

    name = "membership"

    def __init__(self, common: Common) -> None:
        self._common = common

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One heartbeat. The worker makes the first before any other role begins."""
        settings, ownership = self._common.settings, self._common.ownership
        if self._common.reception.open:
            membership = await self._common.store.heartbeat(settings.worker_ttl_ms)
            self._common.clock.sync(membership.now)
            if ownership.assign(membership.workers):
                log.info("%d workers; this one prefers partitions %s", len(membership.workers), ownership.mine)
        return settings.heartbeat_every_ms

    async def leave(self) -> None:
        """Let the others take over what this worker owned, at once."""
        self._common.ownership.give_up()
        await self._common.store.leave()
