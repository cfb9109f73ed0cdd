"""The worker of a test environment: the real one on another clock, and without what it does periodically."""

from __future__ import annotations

from collections.abc import Sequence

from redurable.testing.clock import VirtualClock
from redurable.worker.cache import ReplayCache
from redurable.worker.common import Common
from redurable.worker.drain import Parts
from redurable.worker.janitor import Janitor
from redurable.worker.leases import Reclaiming, Renewal
from redurable.worker.mailbox import Stealing
from redurable.worker.membership import Membership
from redurable.worker.role import Role
from redurable.worker.sweeper import Sweeper
from redurable.worker.timers import Timers
from redurable.worker.turn_thread import TurnThread
from redurable.worker.worker import Worker

_LEFT_OUT = (Membership, Janitor, Timers, Renewal, Reclaiming, Stealing, Sweeper)
"""What these do would happen at a time of its own, or not at all. Timers are fired by the environment."""


class QuietWorker(Worker):
    """See the module. In a hub that nobody else uses there is nothing to take over, to steal or to sweep."""

    _renewal: Renewal | None = None

    @property
    def queues(self) -> Sequence[str]:
        """The task queues that it serves."""
        return tuple(self._queues)

    def live_by(self, clock: VirtualClock) -> None:
        """Take this clock for its own."""
        self._clock = clock

    async def renew(self) -> None:
        """Do what the renewal of leases does: it stores heartbeats, and learns what became of tasks meanwhile."""
        if self._renewal is not None:
            await self._renewal.poll()

    def _compose(self, common: Common, thread: TurnThread, cache: ReplayCache) -> tuple[Parts, list[Role]]:
        parts, roles = super()._compose(common, thread, cache)
        self._renewal = next(role for role in roles if isinstance(role, Renewal))
        return parts, [role for role in roles if not isinstance(role, _LEFT_OUT)]
