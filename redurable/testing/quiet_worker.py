"""The worker of a test environment: the real one on another clock, and without what it does periodically."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from redurable.store.memory import MemoryHub
from redurable.testing.clock import VirtualClock
from redurable.worker.cache import ReplayCache
from redurable.worker.common import Common
from redurable.worker.drain import Parts
from redurable.worker.role import Role
from redurable.worker.turn_thread import TurnThread
from redurable.worker.worker import Worker

_ROLES = ("mailbox-", "outbox", "intake", "activities", "completions")


class QuietWorker(Worker):
    """See the module. In a hub that nobody else uses there is nothing to renew, to take over, to steal or to sweep."""

    _task: asyncio.Task[None]

    @property
    def queues(self) -> Sequence[str]:
        """The task queues that it serves."""
        return tuple(self._queues)

    @asynccontextmanager
    async def working(self, clock: VirtualClock, hub: MemoryHub) -> AsyncGenerator[None]:
        """It lives by this clock, and works during the block; what it dies of comes out."""
        self._clock = clock
        async with self:
            self._task = asyncio.get_running_loop().create_task(self.run())
            self._task.add_done_callback(lambda _: hub.wake())
            try:
                yield
            except BaseException:
                self._task.cancel()
                await asyncio.wait([self._task])
                raise
            self.stop()
            await self._task

    def check(self) -> None:
        """Raise what it died of."""
        if self._task.done():
            self._task.result()

    def _compose(self, common: Common, thread: TurnThread, cache: ReplayCache) -> tuple[Parts, list[Role]]:
        parts, roles = super()._compose(common, thread, cache)
        return parts, [role for role in roles if role.name.startswith(_ROLES)]
