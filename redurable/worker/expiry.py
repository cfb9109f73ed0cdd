"""Deletes instances that finished long enough ago, with their sub-orchestrations, and archives them before, if told to.

A family is archived as a whole before the first of it is deleted, and stays as a whole when that cannot be: its eldest
may be rewound, and then asks for the results of all the others.

A round deletes a batch of the owned partitions. While there is more it rests as long as it took, so that the rest of
the worker and of the server has half of the time at least. Whoever dies half-way is followed by whoever owns the
partition next: children go before their parents, and a parent stays in the list until it is deleted. What has to stay
although it is old enough (it cannot be archived, or a parent waits for it) is passed over by the next rounds, until the
end of the list, so that it is in nobody's way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import anyio

from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.facts import InstancesPurged
from redurable.settings import RetentionSettings
from redurable.store.families import Family, delete, family
from redurable.store.queries import Standing
from redurable.worker.archive import Archive
from redurable.worker.common import Common, log
from redurable.worker.role import keep_polling

ARCHIVED_AT_ONCE = 50
"""Instances between two syncs of the archive's file, or more: a family is never divided."""
MOST_STUCK = 1_000


class Deleted:
    """What has come of a partition in a round: how many went, and which eldest. `unwritten`: the archive cannot be."""

    def __init__(self) -> None:
        self.count = 0
        self.eldest: set[str] = set()
        self.unwritten = False


class Expiry:
    """What is kept for how long; and the eldest of families that cannot be archived: they stay, told of once."""

    name = "expiry"

    def __init__(self, common: Common) -> None:
        settings = common.settings
        self._common = common
        self._ages = ages_of(settings)
        self._archive = Archive(common, settings.archive_dir) if settings.archive_dir else None
        self._stuck: dict[str, None] = {}
        self._passed: dict[int, int] = {}
        """By partition: so many at the head of its list have to stay."""
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
        done = Deleted()
        for at in range(len(mine)):
            done = await self._expire(mine[(self._turn + at) % len(mine)], room)
            room -= done.count
            # Other partitions have the same disk: they would read their histories for nothing, and say so each.
            if room <= 0 or done.unwritten:
                break
        if room > 0 or done.unwritten:
            return settings.retention_every_ms
        return max(int((anyio.current_time() - begun) * 1000), 10)

    async def _expire(self, partition: int, room: int) -> Deleted:
        """Delete up to `room` instances, a few more or less where a family ends."""
        passed, seen, size = self._passed.get(partition, 0), 0, 0
        found = await self._common.store.expired(partition, self._ages, room, passed)
        done, batch = Deleted(), list[Family]()
        for eldest in found:
            seen += 1
            if (these := await self._goes(eldest)) is not None:
                batch.append(these)
                size += len(these.members)
            if size >= ARCHIVED_AT_ONCE:
                await self._purge(batch, done)
                batch, size = [], 0
            if done.unwritten or done.count + size >= room:
                break
        if not done.unwritten:
            await self._purge(batch, done)
        if not done.unwritten:
            stay = sum(eldest.instance not in done.eldest for eldest in found[:seen])
            self._passed[partition] = 0 if seen == len(found) < room else passed + stay
        return done

    async def _goes(self, eldest: Standing) -> Family | None:
        """An instance with all that go with it; none if they have to stay."""
        if eldest.instance in self._stuck:
            return None
        these = await family(self._common.store, eldest)
        return None if these.awaited else these

    async def _purge(self, batch: Sequence[Family], done: Deleted) -> None:
        """Archive these, and delete the families that could be archived as a whole."""
        refused = await self._keep(self._archive, batch) if self._archive is not None else set[str]()
        if refused is None:
            done.unwritten = True
            return
        statuses = Counter[str]()
        for these in batch:
            if these.eldest not in refused:
                gone = await delete(self._common.store, these)
                statuses.update(member.status.value for member in gone.members)
                if gone.eldest == "purged":
                    done.eldest.add(these.eldest)
        done.count += statuses.total()
        if statuses and self._common.facts.listening:
            self._common.facts.announce(InstancesPurged(tuple(sorted(statuses.items()))))

    async def _keep(self, archive: Archive, batch: Sequence[Family]) -> set[str] | None:
        """Archive; return the eldest of families that must not be deleted, None: none may be."""
        refused = set[str]()
        for these in batch:
            for member in these.members:
                try:
                    await archive.add(member)
                except StoreRefused as error:
                    refused.add(these.eldest)
                    self._note_stuck(member.instance, these.eldest, str(error))
                    break
        try:
            await archive.sync()
        except OSError as error:
            log.error("the archive %s cannot be written: %s; what it should hold is not deleted", archive.path, error)
            return None
        return refused

    def _note_stuck(self, instance: str, eldest: str, why: str) -> None:
        if eldest not in self._stuck and len(self._stuck) < MOST_STUCK:
            self._stuck[eldest] = None
            log.error(
                "instance %r cannot be archived, and is kept with all of the family of %r: %s", instance, eldest, why
            )


def ages_of(settings: RetentionSettings) -> Mapping[RuntimeStatus, int]:
    """How long instances of a status are kept, in milliseconds; for ever those of no age."""
    ages = {
        RuntimeStatus.COMPLETED: settings.retention_completed_ms,
        RuntimeStatus.FAILED: settings.retention_failed_ms,
        RuntimeStatus.CANCELED: settings.retention_canceled_ms,
        RuntimeStatus.TERMINATED: settings.retention_terminated_ms,
    }
    return {status: age for status, age in ages.items() if age}
