"""Keeps what this worker holds, and takes over what others hold no more.

A lost entry is left to the fence; a lost task's function is cancelled and its result dropped. A task that is taken over
does not run at once: first the store is told that the attempt of its holder ended, and whoever receives it next makes
the next one. After an outage the worker also reads what it holds according to the store: the answer that handed it out
may have been lost, and then no attempt has begun.
"""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec.structs import replace

from redurable.facts import LeasesReclaimed
from redurable.store.port import Reclaimed
from redurable.worker.activities import Activities
from redurable.worker.common import Common, log
from redurable.worker.holdings import task_key
from redurable.worker.role import keep_polling
from redurable.worker.slots import NOTHING
from redurable.worker.turns import Pipeline
from redurable.worker.unwanted import call_of


class Renewal:
    """Renews all leases at once. Runs beside everything else, so a long turn or activity delays no renewal."""

    name = "renewal"

    def __init__(self, common: Common, activities: Activities | None) -> None:
        self._common = common
        self._activities = activities

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One round."""
        holdings = self._common.holdings
        entries, tasks = holdings.entries(), list(holdings.tasks.values())
        if self._activities is not None:
            tasks = self._activities.with_heartbeats(tasks)
        if entries or tasks:
            lost = await self._common.store.renew(entries, tasks)
            holdings.forget(lost.entries)
            if self._activities is not None:
                self._activities.abandon(lost.tasks)
                self._activities.cancel({call_of(lease.task) for lease in lost.canceled})
        return self._common.settings.renew_every_ms


class Reclaiming:
    """Takes over leases that ran out, as much as there is room for, and what this worker holds without knowing."""

    name = "reclaiming"

    def __init__(self, common: Common, pipeline: Pipeline | None, activities: Activities | None) -> None:
        self._common = common
        self._pipeline = pipeline
        self._activities = activities
        self._partitions = range(common.ownership.partitions)
        self._faults = 0

    async def run(self) -> None:
        await keep_polling(self)

    async def poll(self) -> int:
        """One round."""
        if self._common.reception.open:
            await self._recover()
            await self._reclaim_tasks()
            await self._reclaim_entries()
        return self._common.settings.reclaim_every_ms

    async def _recover(self) -> None:
        faults = self._common.store.faults
        if faults == self._faults:
            return
        held = await self._ask(self._common.store.recover())
        self._faults = faults
        log.info("after an outage this worker holds %d instances and %d tasks", len(held.entries), len(held.tasks))
        await self._adopt(held)

    async def _reclaim_tasks(self) -> None:
        if self._activities is None:
            return
        demand = self._activities.slots.demand()
        if demand.count == 0:
            return
        settings = self._common.settings
        reclaimed = await self._ask(
            self._common.store.reclaim(self._partitions, 0, settings.instance_lease_ms, demand, settings.task_lease_ms)
        )
        self._announce("task", len(reclaimed.tasks))
        worker = self._common.ownership.worker
        self._activities.bury(lease for lease in reclaimed.tasks if lease.holder != worker)
        await self._adopt(Reclaimed(tasks=tuple(lease for lease in reclaimed.tasks if lease.holder == worker)))

    async def _reclaim_entries(self) -> None:
        if self._pipeline is None or not self._pipeline.free or not self._common.ownership.mine:
            return
        settings, count = self._common.settings, 0
        while self._common.reception.open and self._common.ownership.mine:
            # One at a time, and its turn is over before the next: what kills this worker has only itself to blame.
            reclaimed = await self._common.store.reclaim(
                self._common.ownership.mine, 1, settings.instance_lease_ms, NOTHING, settings.task_lease_ms
            )
            if not reclaimed.entries:
                break
            count += 1
            await self._adopt(reclaimed)
        self._announce("instance", count)

    async def _ask(self, question: Awaitable[Reclaimed]) -> Reclaimed:
        """The store's answer without the tasks that ended here after it was given: they must not run again."""
        with self._common.holdings.noting() as ended:
            held = await question
        return replace(held, tasks=tuple(lease for lease in held.tasks if task_key(lease) not in ended))

    async def _adopt(self, held: Reclaimed) -> None:
        if not self._common.reception.open:
            return  # the drain, begun while the answer was on its way, hands it back
        if self._activities is not None:
            self._activities.begin(held.tasks)
        if self._pipeline is not None:
            await self._pipeline.run(held.entries)

    def _announce(self, kind: str, count: int) -> None:
        if count and self._common.facts.listening:
            self._common.facts.announce(LeasesReclaimed(kind, count))
