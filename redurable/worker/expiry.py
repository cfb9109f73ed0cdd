"""Deletes instances that finished long enough ago, with their sub-orchestrations, and archives them before, if told to.

A round deletes a batch of the owned partitions. While there is more it rests as long as it took, so that the rest of
the worker and of the server has half of the time at least. Whoever dies half-way is followed by whoever owns the
partition next: children go before their parents, and a parent stays in the list until it is deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import anyio

from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.facts import InstancesPurged
from redurable.settings import RetentionSettings
from redurable.store.families import family
from redurable.store.queries import Standing
from redurable.worker.archive import Archive
from redurable.worker.common import Common, log
from redurable.worker.role import keep_polling

ARCHIVED_AT_ONCE = 50
"""Instances between two syncs of the archive's file."""
MOST_STUCK = 1_000


class Expiry:
    """What is kept for how long; and which instances cannot be archived, so that they stay, and are told of once."""

    name = "expiry"

    def __init__(self, common: Common) -> None:
        settings = common.settings
        self._common = common
        self._ages = ages_of(settings)
        self._archive = Archive(common, settings.archive_dir) if settings.archive_dir else None
        self._stuck: dict[str, None] = {}
        self._turn = 0

    async def run(self) -> None:
        if self._ages:
            await keep_polling(self)

    async def poll(self) -> int:
        """One round; return how many milliseconds to rest."""
        settings, begun = self._common.settings, anyio.current_time()
        room = settings.retention_batch
        mine = self._common.ownership.mine
        # Whose turn it is first changes, so that no partition lives on the rests of another.
        self._turn += 1
        for at in range(len(mine)):
            if room <= 0:
                break
            room -= await self._expire(mine[(self._turn + at) % len(mine)], room)
        if room > 0:
            return settings.retention_every_ms
        return max(int((anyio.current_time() - begun) * 1000), 10)

    async def _expire(self, partition: int, room: int) -> int:
        """Delete up to `room` instances, a few more or less where a family ends; return how many."""
        found = await self._common.store.expired(partition, self._ages, room + len(self._stuck))
        done, batch = 0, list[Standing]()
        for eldest in found:
            if eldest.instance in self._stuck:
                continue
            async for member in family(self._common.store, eldest):
                batch.append(member)
                if len(batch) >= ARCHIVED_AT_ONCE:
                    done += await self._purge(batch)
                    batch = []
            if done + len(batch) >= room:
                break
        return done + await self._purge(batch)

    async def _purge(self, batch: Sequence[Standing]) -> int:
        """Archive these, and delete what was archived."""
        kept = set[str]()
        if self._archive is not None:
            kept = await self._keep(self._archive, batch)
        gone: Counter[str] = Counter()
        for member in batch:
            if member.instance in kept:
                continue
            if await self._common.store.purge(member.instance, member.execution) == "purged":
                gone[member.status.value] += 1
        if gone and self._common.facts.listening:
            self._common.facts.announce(InstancesPurged(tuple(sorted(gone.items()))))
        return gone.total()

    async def _keep(self, archive: Archive, batch: Sequence[Standing]) -> set[str]:
        """Archive; return those that must not be deleted."""
        refused = set[str]()
        for member in batch:
            try:
                await archive.add(member)
            except StoreRefused as error:
                refused.add(member.instance)
                self._note_stuck(member, str(error))
        try:
            await archive.sync()
        except OSError as error:
            log.error("the archive %s cannot be written: %s; what it should hold is not deleted", archive.path, error)
            return {member.instance for member in batch}
        return refused

    def _note_stuck(self, member: Standing, why: str) -> None:
        if member.instance not in self._stuck and len(self._stuck) < MOST_STUCK:
            self._stuck[member.instance] = None
            log.error("instance %r cannot be archived, and is kept: %s", member.instance, why)


def ages_of(settings: RetentionSettings) -> Mapping[RuntimeStatus, int]:
    """How long instances of a status are kept, in milliseconds; for ever those of no age."""
    ages = {
        RuntimeStatus.COMPLETED: settings.retention_completed_ms,
        RuntimeStatus.FAILED: settings.retention_failed_ms,
        RuntimeStatus.CANCELED: settings.retention_canceled_ms,
        RuntimeStatus.TERMINATED: settings.retention_terminated_ms,
    }
    return {status: age for status, age in ages.items() if age}
