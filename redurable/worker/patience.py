"""The store as roles see it: the port's verbs, each repeated until the server answers.

Every verb is idempotent by its arguments, so repeating it is harmless. `StoreRefused` passes: it takes a person. But
where another program wrote over a key, what does not need that key goes on: verbs that look for work find none there.
`faults` counts what went unanswered; the leases role reads it to know when replies may have been lost.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import anyio

from redurable.core.delivery import Delivery, Entry, Position, TurnCommit
from redurable.core.events import Event
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreDamaged, StoreUnavailable
from redurable.facts import ANSWERS, HANDED, OUTBOX, READY, Facts, LeasesHandled, StoreFaulted, StoreSampled
from redurable.settings import WorkerSettings
from redurable.store.depths import Depths
from redurable.store.hearing import Answered, Heard
from redurable.store.membership import Membership, Skills
from redurable.store.port import (
    CanceledCalls,
    Committed,
    Completed,
    DueTimer,
    Fired,
    Hub,
    Lost,
    Reclaimed,
    Store,
    TaskDemand,
    TaskEnd,
    TaskLease,
    Upcoming,
)
from redurable.store.purging import Purged
from redurable.store.queries import Counts, Standing
from redurable.store.routing import Relayed, Routed
from redurable.store.snapshots import Snapshot
from redurable.store.unknown import UnknownInstance
from redurable.worker import meter

log = logging.getLogger("redurable.worker")

T = TypeVar("T")


_MOST_DAMAGES = 1_000
"""So many different ones are told of."""


class PatientStore:
    """The hot verbs of a hub, each repeated with a growing, jittered wait while it is unavailable. `seen_at` says when
    it last answered a heartbeat (seconds of the monotonic clock), at first when this was made."""

    def __init__(self, store: Hub, settings: WorkerSettings, facts: Facts) -> None:
        self.faults = 0
        self.seen_at = time.monotonic()
        self._store = store
        self._facts = facts
        self._least = settings.retry_min_ms
        self._most = settings.retry_max_ms
        self._failing = 0
        self._damages: set[str] = set()

    @property
    def is_down(self) -> bool:
        """True while there is a verb that it does not answer."""
        return self._failing > 0

    @property
    def hub(self) -> str:
        """The name of the hub."""
        return self._store.hub

    async def set_unknown(self, rule: UnknownInstance) -> None:
        await self._look("set_unknown", lambda: self._store.set_unknown(rule), None)

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        entries = await self._look("receive", lambda: self._store.receive(partitions, count, block_ms), [], block_ms)
        if self._facts.listening:
            meter.polled(self._facts, READY, len(entries))
        return entries

    async def recover(self) -> Reclaimed:
        held = await self._repeat("recover", lambda: self._store.recover())
        if self._facts.listening:
            meter.reclaimed(self._facts, "recover", held)
        return held

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        return await self._repeat("checkout", lambda: self._store.checkout(entries, known))

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None) -> Committed:
        committed = await self._repeat("commit", lambda: self._store.commit(commits, demand))
        if self._facts.listening:
            meter.tasks_polled(self._facts, demand, committed.tasks)
        return committed

    async def receive_tasks(self, demand: TaskDemand, block_ms: int) -> list[TaskLease]:
        tasks = await self._look("receive_tasks", lambda: self._store.receive_tasks(demand, block_ms), [], block_ms)
        if self._facts.listening:
            meter.tasks_polled(self._facts, demand, tasks)
        return tasks

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int,
        partitions: Sequence[int],
        demand: TaskDemand | None = None,
    ) -> Completed:
        completed = await self._repeat("complete", lambda: self._store.complete(ends, known, count, partitions, demand))
        if self._facts.listening:
            if count:
                meter.polled(self._facts, READY, len(completed.deliveries) + len(completed.entries))
            meter.tasks_polled(self._facts, demand, completed.tasks)
        return completed

    async def hand_back(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> None:
        await self._repeat("hand_back", lambda: self._store.hand_back(entries, tasks))

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        lost = await self._repeat("renew", lambda: self._store.renew(entries, tasks))
        if self._facts.listening:
            meter.renewed(self._facts, entries, tasks, lost)
        return lost

    async def canceled(self, after: dict[int, str], block_ms: int) -> list[tuple[int, CanceledCalls]]:
        return await self._look("canceled", lambda: self._store.canceled(after, block_ms), [], block_ms)

    async def reclaim(
        self, partitions: Sequence[int], entries: int, entry_lease_ms: int, demand: TaskDemand, task_lease_ms: int
    ) -> Reclaimed:
        found = await self._look(
            "reclaim",
            lambda: self._store.reclaim(partitions, entries, entry_lease_ms, demand, task_lease_ms),
            Reclaimed(),
        )
        if self._facts.listening:
            meter.reclaimed(self._facts, "reclaim", found)
        return found

    async def steal(self, partitions: Sequence[int], count: int, waited_ms: int) -> list[Entry]:
        stolen = await self._look("steal", lambda: self._store.steal(partitions, count, waited_ms), [])
        if self._facts.listening:
            meter.polled(self._facts, READY, len(stolen))
        return stolen

    async def upcoming(self, partitions: Sequence[int], horizon_ms: int, count: int) -> Upcoming:
        return await self._repeat("upcoming", lambda: self._store.upcoming(partitions, horizon_ms, count))

    async def fire(self, timers: Sequence[DueTimer]) -> Fired:
        return await self._repeat("fire", lambda: self._store.fire(timers))

    async def relay(self, partition: int, count: int) -> Relayed:
        relayed = await self._look("relay", lambda: self._store.relay(partition, count), Relayed())
        if relayed.count and self._facts.listening:
            meter.delivered(self._facts, OUTBOX, relayed.count)
        return relayed

    async def route(self, count: int, block_ms: int) -> Routed:
        routed = await self._look("route", lambda: self._store.route(count, block_ms), Routed(), block_ms)
        if self._facts.listening:
            meter.routed(self._facts, routed)
        return routed

    async def hear(self, partitions: Sequence[int], count: int, block_ms: int) -> Heard:
        heard = await self._look("hear", lambda: self._store.hear(partitions, count, block_ms), Heard(), block_ms)
        if self._facts.listening:
            meter.heard(self._facts, heard)
        return heard

    async def forget(self, heard: Sequence[Answered]) -> None:
        await self._look("forget", lambda: self._store.forget(heard), None)
        if self._facts.listening:
            meter.delivered(self._facts, ANSWERS, len(heard))

    async def served(self) -> tuple[str, ...]:
        return await self._look("served", lambda: self._store.served(), ())

    async def sweep(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        return await self._look("sweep", lambda: self._store.sweep(partition, cursor, count), ("", 0))

    async def heartbeat(self, ttl_ms: int, skills: Skills) -> Membership:
        membership = await self._repeat("heartbeat", lambda: self._store.heartbeat(ttl_ms, skills))
        self.seen_at = time.monotonic()
        return membership

    async def depths(self, queues: Sequence[str]) -> Depths:
        return await self._repeat("depths", lambda: self._store.depths(queues))

    async def counts(self) -> Counts:
        return await self._repeat("counts", lambda: self._store.counts())

    def sample(self) -> StoreSampled:
        return self._store.sample()

    async def hand_over(self, entries: Sequence[Entry], consumer: str) -> None:
        await self._look("hand_over", lambda: self._store.hand_over(entries, consumer), None)
        if self._facts.listening:
            self._facts.announce(LeasesHandled("hand_over", len(entries)))

    async def receive_handed(self, block_ms: int) -> list[Entry]:
        entries = await self._look("receive_handed", lambda: self._store.receive_handed(block_ms), [], block_ms)
        if self._facts.listening:
            meter.polled(self._facts, HANDED, len(entries))
        return entries

    async def leave(self) -> None:
        await self._look("leave", lambda: self._store.leave(), None)

    async def reap(self, idle_ms: int) -> int:
        return await self._look("reap", lambda: self._store.reap(idle_ms), 0)

    async def prune(self, instance: str, keep: int) -> int:
        return await self._look("prune", lambda: self._store.prune(instance, keep), 0)

    async def expired(
        self, partition: int, ages: Mapping[RuntimeStatus, int], count: int, skip: int = 0
    ) -> list[Standing]:
        return await self._look("expired", lambda: self._store.expired(partition, ages, count, skip), [])

    async def children(self, instance: str) -> list[Standing]:
        return await self._repeat("children", lambda: self._store.children(instance))

    async def awaited(self, instances: Sequence[str]) -> list[str]:
        return await self._repeat("awaited", lambda: self._store.awaited(instances))

    async def disown(self, instance: str, parent: str) -> None:
        await self._look("disown", lambda: self._store.disown(instance, parent), None)

    async def purge(self, instance: str, execution: str = "") -> Purged:
        return await self._look("purge", lambda: self._store.purge(instance, execution), "missing")

    async def mend(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        return await self._look("mend", lambda: self._store.mend(partition, cursor, count), ("", 0))

    async def get(self, instance: str) -> Snapshot | None:
        return await self._repeat("get", lambda: self._store.get(instance))

    async def executions(self, instance: str) -> list[str]:
        return await self._repeat("executions", lambda: self._store.executions(instance))

    async def history(self, instance: str, execution: str, start: int, count: int) -> list[Event]:
        return await self._repeat("history", lambda: self._store.history(instance, execution, start, count))

    async def _look(self, verb: str, call: Callable[[], Awaitable[T]], nothing: T, rest_ms: int = 0) -> T:
        """The answer; or where the store's data is damaged `nothing`, after a rest. Each damage is told of once."""
        try:
            return await self._repeat(verb, call)
        except StoreDamaged as error:
            text = str(error)
            if text not in self._damages and len(self._damages) < _MOST_DAMAGES:
                self._damages.add(text)
                log.error("%s: %s. What depends on it stands still, all else goes on", verb, text)
        await anyio.sleep(rest_ms / 1000)
        return nothing

    async def _repeat(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except StoreUnavailable as error:
            self._failing += 1
            if self._failing == 1:
                log.warning("the store does not answer (%s: %s); repeating until it does", verb, error)
            self._note_fault(verb, error)
        try:
            answer = await self._repeat_failed(verb, call)
        finally:
            self._failing -= 1
        if not self._failing:
            log.warning("the store answers again (%s)", verb)
        return answer

    async def _repeat_failed(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        longest = self._least
        while True:
            longest = await _rest(longest, self._most)
            try:
                return await call()
            except StoreUnavailable as error:
                self._note_fault(verb, error)

    def _note_fault(self, verb: str, error: StoreUnavailable) -> None:
        self.faults += 1
        if self._facts.listening:
            self._facts.announce(StoreFaulted(verb, str(error)))


async def open_patiently(store: Store, settings: WorkerSettings, where: str) -> None:
    """Open the store as soon as it answers."""
    longest = settings.retry_min_ms
    while True:
        try:
            await store.open()
        except StoreUnavailable as error:
            if longest == settings.retry_min_ms:
                log.warning("the store at %s does not answer (%s); this worker waits until it does", where, error)
        else:
            return
        longest = await _rest(longest, settings.retry_max_ms)


async def _rest(longest: int, most: int) -> int:
    """Rest for up to `longest` ms; return how long to rest next time at most."""
    # Full jitter: many workers that lost the same server must not come back in waves.
    await anyio.sleep(random.uniform(0, longest) / 1000)
    return min(longest * 2, most)
