"""Routes the hub's intake, the public stream that any Redis client may write to, to the mailboxes that are meant.

One worker prefers it (`Ownership.intake`); if two do for a moment, watermarks keep every entry delivered once.
"""

from __future__ import annotations

from collections import Counter

import anyio

from redurable.facts import DeadLettered, MessagesRelayed
from redurable.store.routing import Routed
from redurable.worker.common import Common, log
from redurable.worker.unclaimed import NOBODYS, tell_unclaimed

MOST = 200
"""Intake entries routed in one step: whoever floods the intake must not hold up turns and activities for long."""

NOTHING = Routed()
REST_SECONDS = 0.002
"""After each step that found something, so that a flood leaves most of this worker and of the server to others."""


class Intake:
    """Reads on, blocking, while this worker owns the intake."""

    name = "intake"

    def __init__(self, common: Common) -> None:
        self._common = common

    async def run(self) -> None:
        """Route until the worker takes on nothing new."""
        reception, ownership = self._common.reception, self._common.ownership
        while reception.open:
            with reception.reading():
                if ownership.intake:
                    await self._route()
                else:
                    await ownership.change()

    async def _route(self) -> None:
        routed = await self._common.store.route(MOST, self._common.settings.poll_block_ms)
        for text in routed.told:
            log.warning("%s", text)
        if routed.unclaimed != NOBODYS:
            tell_unclaimed(self._common, routed.unclaimed)
        if self._common.facts.listening:
            if routed.delivered:
                self._common.facts.announce(MessagesRelayed("intake", routed.delivered))
            for reason, count in Counter(routed.dead).items():
                self._common.facts.announce(DeadLettered(reason, count))
            if routed.told:
                self._common.facts.announce(DeadLettered("intake", len(routed.told)))
        if routed != NOTHING:
            await anyio.sleep(REST_SECONDS)
