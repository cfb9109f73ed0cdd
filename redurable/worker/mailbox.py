"""Receives ready entries and gives them to the pipeline: lanes for the partitions this worker prefers, one role for
what others hand over, and one that takes from the others' what has waited too long there.
"""

from __future__ import annotations

from redurable.core.delivery import Entry
from redurable.worker.common import Common
from redurable.worker.role import keep_polling
from redurable.worker.turns import Pipeline


class Lane:
    """One batch at a time: receive, then turn it. Several lanes keep the store and the turn thread both busy."""

    def __init__(self, common: Common, pipeline: Pipeline, number: int) -> None:
        self.name = f"mailbox-{number}"
        self._common = common
        self._pipeline = pipeline

    async def run(self) -> None:
        """Until the worker takes on nothing new."""
        while self._common.reception.open:
            await self._pipeline.run(await self._receive())

    async def _receive(self) -> list[Entry]:
        settings, ownership, polls = self._common.settings, self._common.ownership, self._common.polls
        polls.begin("turns")
        try:
            with self._common.reception.reading():
                if ownership.mine:
                    return await self._common.store.receive(ownership.mine, settings.batch, settings.poll_block_ms)
                await ownership.change()
        finally:
            polls.end("turns")
        return []


class Handed:
    """Turns what other workers handed over. It listens only while there are others."""

    name = "handed"

    def __init__(self, common: Common, pipeline: Pipeline) -> None:
        self._common = common
        self._pipeline = pipeline

    async def run(self) -> None:
        """Until the worker takes on nothing new."""
        while self._common.reception.open:
            await self._pipeline.run(await self._receive())

    async def _receive(self) -> list[Entry]:
        with self._common.reception.reading():
            if self._common.crew.others:
                return await self._common.store.receive_handed(self._common.settings.poll_block_ms)
            await self._common.crew.change()
        return []


class Stealing:
    """Affinity is soft: what others leave lying is taken, if there is time for it."""

    name = "stealing"

    def __init__(self, common: Common, pipeline: Pipeline) -> None:
        self._common = common
        self._pipeline = pipeline

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One round; at once another while there is something to take."""
        waited_ms = self._common.settings.steal_after_ms
        others, count = self._common.ownership.others, self._pipeline.free
        if not (others and count and self._common.reception.open):
            return waited_ms
        stolen = await self._common.store.steal(others, count, waited_ms)
        if not self._common.reception.open:
            return waited_ms  # the drain, begun while the answer was on its way, hands it back
        await self._pipeline.run(stolen)
        return 0 if stolen else waited_ms // 2
