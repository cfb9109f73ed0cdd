"""Deletes instances that finished long enough ago, with their sub-orchestrations, and archives them before, if told to.

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
from msgspec import Struct

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


class Relative(Struct, frozen=True):
    """Who is to go, and the eldest of the family that it goes with."""

    member: Standing
    eldest: str


class Deleted:
    """What has come of a partition in a round: how many went, which eldest did, and which have to stay after all.
    `unwritten`: the archive could not be written."""

    def __init__(self) -> None:
        self.count = 0
        self.eldest: set[str] = set()
        self.held: set[str] = set()
        self.unwritten = False


class Expiry:
    """What is kept for how long; and which instances cannot be archived, so that they stay, and are told of once."""

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
        for at in range(len(mine)):
            if room <= 0:
                break
            room -= await self._expire(mine[(self._turn + at) % len(mine)], room)
        if room > 0:
            return settings.retention_every_ms
        return max(int((anyio.current_time() - begun) * 1000), 10)

    async def _expire(self, partition: int, room: int) -> int:
        """Delete up to `room` instances, a few more or less where a family ends; return how many."""
        passed, seen = self._passed.get(partition, 0), 0
        found = await self._common.store.expired(partition, self._ages, room, passed)
        done, batch = Deleted(), list[Relative]()
        for eldest in found:
            seen += 1
            batch += await self._relatives(eldest)
            while len(batch) >= ARCHIVED_AT_ONCE:
                await self._purge(batch[:ARCHIVED_AT_ONCE], done)
                del batch[:ARCHIVED_AT_ONCE]
            if done.count + len(batch) >= room:
                break
        await self._purge(batch, done)
        if not done.unwritten:
            stay = sum(eldest.instance not in done.eldest for eldest in found[:seen])
            self._passed[partition] = 0 if seen == len(found) < room else passed + stay
        return done.count

    async def _relatives(self, eldest: Standing) -> list[Relative]:
        """All that go with an instance; none if they have to stay."""
        if eldest.instance in self._stuck:
            return []
        members, awaited = await family(self._common.store, eldest)
        return [] if awaited else [Relative(member, eldest.instance) for member in members]

    async def _purge(self, batch: Sequence[Relative], done: Deleted) -> None:
        """Archive these, and delete what was archived."""
        kept: set[str] | None = set()
        if self._archive is not None:
            kept = await self._keep(self._archive, [relative.member for relative in batch])
        if kept is None:
            done.unwritten = True
            return
        gone: Counter[str] = Counter()
        for member, eldest in ((relative.member, relative.eldest) for relative in batch):
            if member.instance in kept or eldest in done.held:
                continue
            answer = await self._common.store.purge(member.instance, member.execution)
            if answer == "awaited":  # A parent asked in between: those above are left to the next time.
                done.held.add(eldest)
            elif answer == "purged":
                gone[member.status.value] += 1
                if member.instance == eldest:
                    done.eldest.add(eldest)
        done.count += gone.total()
        if gone and self._common.facts.listening:
            self._common.facts.announce(InstancesPurged(tuple(sorted(gone.items()))))

    async def _keep(self, archive: Archive, batch: Sequence[Standing]) -> set[str] | None:
        """Archive; return those that must not be deleted, None: all of them."""
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
            return None
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
