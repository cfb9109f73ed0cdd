"""`SqliteStore`: the port's verbs. Each runs in a thread, one at a time, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from redurable.core.completion import Completion
from redurable.core.delivery import Delivery, Entry, Outgoing, Position, TurnCommit
from redurable.core.events import Event
from redurable.core.ids import check_hub_name
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.facts import StoreSampled
from redurable.store.depths import Depths
from redurable.store.hearing import Answered, Heard
from redurable.store.inspect import Announcement, Change, Snapshot, Underway
from redurable.store.letters import Letter
from redurable.store.membership import Membership, Skills
from redurable.store.port import (
    CanceledCalls,
    Committed,
    Completed,
    DueTimer,
    Fired,
    Lost,
    Reclaimed,
    SendOutcome,
    StartOutcome,
    StartRequest,
    TaskDemand,
    TaskEnd,
    TaskLease,
    Upcoming,
)
from redurable.store.purging import Purged
from redurable.store.queries import Counts, Found, Place, Query, Standing
from redurable.store.redriving import Redriven
from redurable.store.routing import Relayed, Routed
from redurable.store.unknown import UnknownInstance

from . import (
    admission,
    answers,
    cancels,
    commits,
    depths,
    inspect,
    leases,
    letters,
    queries,
    relay,
    tokens,
    turns,
    upkeep,
)
from .database import Clock, Database, connect, real_time
from .ends import end_attempt
from .tasks import take_tasks
from .timers import fire, upcoming
from .watch import Watch

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """A consumer's view of the hub in a file. Any number of stores and processes of one machine may share the file."""

    def __init__(
        self, path: str | Path, hub: str, consumer: str, partitions: int = 16, clock: Clock = real_time
    ) -> None:
        self.hub = check_hub_name(hub)
        self.consumer = consumer
        self.partitions = partitions
        self._path = Path(path)
        self._db = Database(self._path, clock)
        self._watch: Watch | None = None
        self._one = anyio.CapacityLimiter(1)

    async def open(self, create: bool = True) -> bool:
        if not create and not await self._thread(self._path.exists):
            return False
        await self._thread(partial(self._db.open, self.hub, self.partitions))
        self.partitions = self._db.partitions
        self._watch = Watch(self._path, await self._thread(partial(connect, self._path)))
        return True

    async def close(self) -> None:
        await self._thread(self._db.close)
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def set_unknown(self, rule: UnknownInstance) -> None:
        await self._write(admission.set_unknown, rule)

    async def start(self, request: StartRequest) -> StartOutcome:
        return await self._write(admission.start, request)

    async def send(self, messages: Sequence[Outgoing]) -> list[SendOutcome]:
        outcomes, unusable = await self._write(admission.send, messages)
        if unusable:
            raise StoreRefused(f"the mailboxes of {unusable} take no more entries, because somebody used up their ids")
        return outcomes

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        return await self._wait(block_ms, lambda: self._write(turns.receive, self.consumer, partitions, count))

    async def recover(self) -> Reclaimed:
        return await self._write(leases.recover, self.consumer)

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        return await self._read(_checkout, entries, known)

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        return await self._write(_commit, self.consumer, commits, demand)

    async def receive_tasks(self, demand: TaskDemand, block_ms: int) -> list[TaskLease]:
        everywhere = range(self.partitions)
        return await self._wait(block_ms, lambda: self._write(take_tasks, self.consumer, demand, everywhere))

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        positions = {end.lease.task.instance: at for end, at in zip(ends, known, strict=True)}
        return await self._write(_complete, self.consumer, ends, positions, (count, partitions), demand)

    async def settle(self, said: Completion) -> bool:
        return await self._write(tokens.settle, self.hub, said)

    async def hand_back(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> None:
        await self._write(leases.give_back, self.consumer, entries, tasks)

    async def hand_over(self, entries: Sequence[Entry], consumer: str) -> None:
        await self._write(leases.hand_over, self.consumer, entries, consumer)

    async def receive_handed(self, block_ms: int) -> list[Entry]:
        return await self._wait(block_ms, lambda: self._write(leases.receive_handed, self.consumer))

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        return await self._write(leases.renew, self.consumer, entries, tasks)

    async def canceled(self, after: dict[int, str], block_ms: int) -> list[tuple[int, CanceledCalls]]:
        return await self._wait(block_ms, lambda: self._read(cancels.canceled, after))

    async def reclaim(
        self, partitions: Sequence[int], entries: int, entry_lease_ms: int, demand: TaskDemand, task_lease_ms: int
    ) -> Reclaimed:
        return Reclaimed(
            await self._write(leases.reclaim_entries, self.consumer, partitions, entries, entry_lease_ms),
            await self._write(leases.reclaim_tasks, self.consumer, partitions, demand, task_lease_ms),
        )

    async def steal(self, partitions: Sequence[int], count: int, waited_ms: int) -> list[Entry]:
        return await self._write(leases.steal, self.consumer, partitions, count, waited_ms)

    async def upcoming(self, partitions: Sequence[int], horizon_ms: int, count: int) -> Upcoming:
        return await self._read(upcoming, partitions, horizon_ms, count)

    async def fire(self, timers: Sequence[DueTimer]) -> Fired:
        return await self._write(fire, timers)

    async def relay(self, partition: int, count: int) -> Relayed:
        return await self._write(relay.relay, partition, count)

    async def route(self, count: int, block_ms: int) -> Routed:
        return await self._wait(block_ms, lambda: self._write(relay.route, self.hub, count)) or Routed()

    async def hear(self, partitions: Sequence[int], count: int, block_ms: int) -> Heard:
        async def look() -> Heard | None:
            # Most often there is nothing, and a look that writes would wake everybody who waits.
            waiting = await self._read(answers.waiting, partitions)
            return await self._write(answers.hear, partitions, count) if waiting else None

        return await self._wait(block_ms, look) or Heard()

    async def forget(self, heard: Sequence[Answered]) -> None:
        await self._write(answers.forget, heard)

    async def served(self) -> tuple[str, ...]:
        return await self._read(answers.served)

    async def sweep(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        return await self._write(upkeep.sweep, partition, cursor, count)

    async def heartbeat(self, ttl_ms: int, skills: Skills) -> Membership:
        return await self._write(upkeep.heartbeat, self.consumer, ttl_ms, skills)

    async def leave(self) -> None:
        await self._write(upkeep.leave, self.consumer)

    async def reap(self, idle_ms: int) -> int:
        return await self._write(upkeep.reap, idle_ms)

    async def purge(self, instance: str, execution: str = "") -> Purged:
        return await self._write(upkeep.purge, instance, execution)

    async def expired(
        self, partition: int, ages: Mapping[RuntimeStatus, int], count: int, skip: int = 0
    ) -> list[Standing]:
        return await self._read(upkeep.expired, partition, ages, count, skip)

    async def disown(self, instance: str, parent: str) -> None:
        await self._write(upkeep.disown, instance, parent)

    async def mend(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        return "", await self._write(upkeep.mend, partition)

    async def prune(self, instance: str, keep: int) -> int:
        return await self._write(upkeep.prune, instance, keep)

    async def redrive(self, instance: str, head: str) -> Redriven:
        return await self._write(upkeep.redrive, instance, head)

    async def get(self, instance: str) -> Snapshot | None:
        return await self._read(inspect.get, instance)

    async def query(self, query: Query, limit: int, after: Place | None = None) -> Found:
        return await self._read(queries.query, query, limit, after)

    async def counts(self) -> Counts:
        return await self._read(queries.counts)

    async def children(self, instance: str) -> list[Standing]:
        return await self._read(queries.children, instance)

    async def awaited(self, instances: Sequence[str]) -> list[str]:
        return await self._read(queries.awaited, instances)

    async def history(self, instance: str, execution: str = "", start: int = 0, count: int = 1000) -> list[Event]:
        return await self._read(inspect.history, instance, execution, start, count)

    async def underway(self, instance: str, execution: str, calls: Sequence[tuple[int, str]]) -> list[Underway | None]:
        return await self._read(tokens.underway, instance, execution, calls)

    async def executions(self, instance: str) -> list[str]:
        return await self._read(inspect.executions, instance)

    async def feed_position(self, partition: int) -> str:
        return await self._read(inspect.feed_position, partition)

    async def feed(self, after: dict[int, str], block_ms: int) -> list[tuple[int, Change]]:
        return await self._wait(block_ms, lambda: self._read(inspect.feed, after))

    async def depths(self, queues: Sequence[str] = ()) -> Depths:
        return await self._read(depths.depths, queues)

    async def announcement(self, instance: str) -> Announcement | None:
        return await self._read(inspect.announcement, instance)

    async def members(self, ttl_ms: int) -> Membership:
        return await self._read(upkeep.members, ttl_ms)

    async def letters(self, after: str, count: int) -> list[Letter]:
        return await self._read(letters.letters, after, count)

    async def drop_letters(self, ids: Sequence[str]) -> int:
        return await self._write(letters.drop_letters, ids)

    async def redrive_letters(self, ids: Sequence[str]) -> list[str]:
        return await self._write(letters.redrive_letters, ids)

    def sample(self) -> StoreSampled:
        """There are no connections."""
        return StoreSampled()

    def mailbox_key(self, instance: str) -> str:
        """What other programs insert into: the rows of this instance in the table `mailbox`."""
        return f"mailbox/{instance}"

    async def _write(self, verb: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb in a transaction. A caller that is cancelled meanwhile leaves it to end by itself."""
        answer = await self._thread(partial(self._transact, "IMMEDIATE", partial(verb, self._db, *args, **kwargs)))
        self._watcher.ring()
        return answer

    async def _read(self, verb: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb that writes nothing; it waits for no writer."""
        return await self._thread(partial(self._transact, "DEFERRED", partial(verb, self._db, *args, **kwargs)))

    def _transact(self, mode: Literal["IMMEDIATE", "DEFERRED"], work: Callable[[], T]) -> T:
        with self._db.transaction(mode):
            return work()

    async def _thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._one)

    async def _wait(self, block_ms: int, look: Callable[[], Awaitable[T]]) -> T:
        """Look, and while nothing is there, look again after each change of the file, for up to `block_ms`."""
        version = self._watcher.version()
        found = await look()
        with anyio.move_on_after(block_ms / 1000):
            while not found:
                await self._watcher.changed(version)
                version = self._watcher.version()
                found = await look()
        return found

    @property
    def _watcher(self) -> Watch:
        if self._watch is None:
            raise StoreRefused(f"the store of {self._path} is not open: await its `open()` first")
        return self._watch


@asynccontextmanager
async def open_store(path: str | Path, hub: str, consumer: str) -> AsyncGenerator[SqliteStore]:
    """An open store of the hub in this file. The first to open it creates it."""
    store = SqliteStore(path, hub, consumer)
    try:
        await store.open()
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


def _commit(db: Database, consumer: str, batch: Sequence[TurnCommit], demand: TaskDemand | None) -> Committed:
    """Commit a batch, then take tasks of the partitions that it touched."""
    done = [commits.commit(db, turn) for turn in batch]
    touched = {turn.entry.partition for turn in batch}
    return Committed(
        tuple(receipt for receipt, _ in done),
        tuple(take_tasks(db, consumer, demand, touched)) if demand else (),
        tuple(timer for _, written in done for timer in written),
    )


def _complete(
    db: Database,
    consumer: str,
    ends: Sequence[TaskEnd],
    positions: Mapping[str, Position | None],
    receiving: tuple[int, Sequence[int]],
    demand: TaskDemand | None,
) -> Completed:
    """End attempts, then receive ready entries, checked out where they belong to an instance of the ends, and tasks."""
    ended = [end_attempt(db, end) for end in ends]
    count, partitions = receiving
    received = turns.receive(db, consumer, partitions, count)
    touched = {end.turn.entry.partition for end in ends if end.turn is not None}
    ours = [entry for entry in received if entry.instance in positions]
    return Completed(
        tuple(one.accepted for one in ended),
        tuple(turns.checkout(db, entry, positions[entry.instance]) for entry in ours),
        tuple(entry for entry in received if entry.instance not in positions),
        tuple(timer for one in ended for timer in one.timers),
        tuple(one.receipt for one in ended if one.receipt is not None),
        tuple(take_tasks(db, consumer, demand, touched)) if demand else (),
    )


def _checkout(db: Database, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
    return [turns.checkout(db, entry, at) for entry, at in zip(entries, known, strict=True)]
