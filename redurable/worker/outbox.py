"""Relays what commits left in the outboxes of their partitions: messages for other instances, and dead letters.

A partition is relayed at once when a commit of this worker wrote to its outbox; once a second the owned ones are, for
what other workers left behind. Relays may overlap anywhere: the receivers' watermarks drop what they have.
"""

from __future__ import annotations

import asyncio

import anyio

from redurable.facts import MessagesRelayed
from redurable.worker.common import Common
from redurable.worker.role import keep_polling
from redurable.worker.unclaimed import NOBODYS, tell_unclaimed

MOST = 500
"""Outbox entries relayed in one step."""

ORPHANS_EVERY_MS = 1_000


class Outbox:
    """Partitions to be relayed, and the lanes that do it. A partition is in one lane at a time, so order is kept."""

    name = "outbox"

    def __init__(self, common: Common) -> None:
        self._common = common
        self._touched: dict[int, None] = {}
        self._relaying: set[int] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(keep_polling, self)
            for _ in range(self._common.settings.lanes):
                group.start_soon(self._relay)

    def touch(self, partition: int) -> None:
        """There is something in this partition's outbox."""
        self._touched[partition] = None
        self._wake.set()
        self._wake.clear()

    async def poll(self) -> int:
        """Look for what others left behind."""
        for partition in self._common.ownership.mine:
            self.touch(partition)
        return ORPHANS_EVERY_MS

    async def flushed(self) -> None:
        """Wait until nothing is left to relay."""
        while self._touched or self._relaying:
            await self._wake.wait()

    async def _relay(self) -> None:
        while True:
            partition = await self._next()
            try:
                relayed = await self._common.store.relay(partition, MOST)
                if relayed.count >= MOST:
                    self._touched[partition] = None
            finally:
                self._relaying.discard(partition)
                self._wake.set()
                self._wake.clear()
            if relayed.unclaimed != NOBODYS:
                tell_unclaimed(self._common, relayed.unclaimed)
            if relayed.count and self._common.facts.listening:
                self._common.facts.announce(MessagesRelayed("outbox", relayed.count))

    async def _next(self) -> int:
        while True:
            for partition in self._touched:
                if partition not in self._relaying:
                    del self._touched[partition]
                    self._relaying.add(partition)
                    return partition
            await self._wake.wait()
