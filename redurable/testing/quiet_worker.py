"""The worker of a test environment: the real one on another clock, and without what it does periodically."""

from __future__ import annotations

from collections.abc import Sequence

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

    @property
    def queues(self) -> Sequence[str]:
        """The task queues that it serves."""
        return tuple(self._queues)

    def live_by(self, clock: VirtualClock) -> None:
        """Take this clock for its own."""
        self._clock = clock

    def _compose(self, common: Common, thread: TurnThread, cache: ReplayCache) -> tuple[Parts, list[Role]]:
        parts, roles = super()._compose(common, thread, cache)
        return parts, [role for role in roles if role.name.startswith(_ROLES)]
