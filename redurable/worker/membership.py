"""Says that this worker lives, learns who else does, and works out which partitions it therefore owns."""

from __future__ import annotations

import anyio

from redurable.errors import StoreError
from redurable.store.membership import Skills
from redurable.worker.common import Common, log
from redurable.worker.crew import takers_of_turns
from redurable.worker.role import keep_polling

ABANDON_SECONDS = 2.0
"""How long a worker that was cancelled tries to take its leave."""


class Membership:
    """The heartbeat."""

    name = "membership"

    def __init__(self, common: Common, skills: Skills) -> None:
        self._common = common
        self._skills = skills
        self._left = False

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One heartbeat. The worker makes the first before any other role begins."""
        settings, ownership = self._common.settings, self._common.ownership
        if self._common.reception.open:
            membership = await self._common.store.heartbeat(settings.worker_ttl_ms, self._skills)
            self._common.clock.sync(membership.now)
            self._common.crew.update(membership.workers)
            if ownership.assign(takers_of_turns(membership.workers)):
                log.info("%d workers; this one prefers partitions %s", len(membership.workers), ownership.mine)
        return settings.heartbeat_every_ms

    async def abandon(self) -> None:
        """The worker ends without a drain: the others need not wait until its heartbeat has run out. What it holds is
        taken over when its leases run out."""
        if self._left:
            return
        with anyio.move_on_after(ABANDON_SECONDS, shield=True):
            try:
                await self.leave()
            except StoreError as error:
                log.info("this worker could not take its leave: %s", error)

    async def leave(self) -> None:
        """Let the others take over what this worker owned, at once."""
        self._common.ownership.give_up()
        await self._common.store.leave()
        self._left = True
