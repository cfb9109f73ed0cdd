"""`MemoryStore`: the port on a `MemoryHub`. Each verb is one step: first it lets others run, then it runs to its end.

A read that blocks waits in real time, whatever the hub's clock: it is the caller that waits, not the hub.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.lowlevel

from redurable.core.completion import Completion
from redurable.core.delivery import Delivery, Entry, Outgoing, Position, Receipt, TurnCommit
from redurable.core.events import Event
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.facts import StoreSampled
from redurable.settings import MAX_PAYLOAD_BYTES
from redurable.store.depths import Depths
from redurable.store.hearing import Answered, Heard
from redurable.store.inspect import Announcement, Change, Snapshot, Underway
from redurable.store.letters import Letter
from redurable.store.membership import Membership, Skills
from redurable.store.memory import admission, answers, depths, inspect, leases, letters, queries, relay, turns, upkeep
from redurable.store.memory.ends import end_attempt
from redurable.store.memory.state import FORMAT, MemoryHub
from redurable.store.memory.tasks import canceled, put_back, take_tasks
from redurable.store.memory.timers import fire, upcoming
from redurable.store.memory.tokens import settle, underway
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

T = TypeVar("T")


class MemoryStore:
    """A consumer's view of a hub; every verb does what `store.port` says of it.

    Stores of the same `MemoryHub` share its state; use them on one event loop.
    """

    def __init__(self, state: MemoryHub, consumer: str, max_payload: int = MAX_PAYLOAD_BYTES) -> None:
        self.state = state
        self.max_payload = max_payload
        self.hub = state.name
        self.partitions = len(state.partitions)
        self.consumer = consumer

    async def open(self, create: bool = True) -> bool:
        if self.state.format != FORMAT:
            raise StoreRefused(
                f"hub {self.hub!r} has format {self.state.format}, this release reads {FORMAT}: update redurable"
            )
        self.state.created |= create
        return self.state.created

    async def close(self) -> None:
        """There is nothing to let go of: the hub lives as long as somebody refers to it."""

    async def set_unknown(self, rule: UnknownInstance) -> None:
        async with self._step() as hub:
            hub.unknown = rule

    async def start(self, request: StartRequest) -> StartOutcome:
        async with self._step() as hub:
            return admission.start(hub, request)

    async def send(self, messages: Sequence[Outgoing]) -> list[SendOutcome]:
        async with self._step() as hub:
            outcomes, unusable = admission.send(hub, messages)
        if unusable:
            raise StoreRefused(
                f"the mailboxes of {unusable} take no more entries, because somebody used up their ids: delete them"
            )
        return outcomes

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        return await self._block(
            block_ms, lambda: turns.receive(self.state, self.consumer, partitions, count), anything=bool
        )

    async def recover(self) -> Reclaimed:
        async with self._step() as hub:
            return leases.recover(hub, self.consumer)

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        async with self._step() as hub:
            return [turns.checkout(hub, entry, at, self.max_payload) for entry, at in zip(entries, known, strict=True)]

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        receipts: list[Receipt] = []
        written: list[DueTimer] = []
        async with self._step() as hub:
            for turn in commits:
                receipt, due = turns.commit(hub, turn)
                receipts.append(receipt)
                written += due
            touched = dict.fromkeys(turn.entry.partition for turn in commits)
            taken = take_tasks(hub, self.consumer, demand, touched) if demand else []
        return Committed(tuple(receipts), tuple(taken), tuple(written))

    async def receive_tasks(self, demand: TaskDemand, block_ms: int) -> list[TaskLease]:
        everywhere = range(self.partitions)
        return await self._block(
            block_ms, lambda: take_tasks(self.state, self.consumer, demand, everywhere), anything=bool
        )

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        positions = {(end.lease.partition, end.lease.task.instance): at for end, at in zip(ends, known, strict=True)}
        async with self._step() as hub:
            ended = [end_attempt(hub, end) for end in ends]
            received = turns.receive(hub, self.consumer, partitions, count)
            ours = [entry for entry in received if (entry.partition, entry.instance) in positions]
            deliveries = tuple(
                turns.checkout(hub, entry, positions[entry.partition, entry.instance], self.max_payload)
                for entry in ours
            )
            touched = dict.fromkeys(end.turn.entry.partition for end in ends if end.turn is not None)
            taken = take_tasks(hub, self.consumer, demand, touched) if demand else []
        return Completed(
            tuple(one.accepted for one in ended),
            deliveries,
            tuple(entry for entry in received if (entry.partition, entry.instance) not in positions),
            tuple(timer for one in ended for timer in one.timers),
            tuple(one.receipt for one in ended if one.receipt is not None),
            tuple(taken),
        )

    async def settle(self, said: Completion) -> bool:
        async with self._step() as hub:
            return settle(hub, said)

    async def hand_back(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> None:
        async with self._step() as hub:
            for entry in entries:
                turns.hand_back(hub, self.consumer, entry)
            for lease in tasks:
                put_back(hub, self.consumer, lease)

    async def hand_over(self, entries: Sequence[Entry], consumer: str) -> None:
        async with self._step() as hub:
            leases.hand_over(hub, self.consumer, entries, consumer)

    async def receive_handed(self, block_ms: int) -> list[Entry]:
        return await self._block(block_ms, lambda: leases.receive_handed(self.state, self.consumer), anything=bool)

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        async with self._step() as hub:
            return leases.renew(hub, self.consumer, entries, tasks)

    async def canceled(self, after: dict[int, str], block_ms: int) -> list[tuple[int, CanceledCalls]]:
        return await self._block(block_ms, lambda: canceled(self.state, after), anything=bool)

    async def reclaim(
        self, partitions: Sequence[int], entries: int, entry_lease_ms: int, demand: TaskDemand, task_lease_ms: int
    ) -> Reclaimed:
        async with self._step() as hub:
            return Reclaimed(
                leases.reclaim_entries(hub, self.consumer, partitions, entries, entry_lease_ms),
                leases.reclaim_tasks(hub, self.consumer, partitions, demand, task_lease_ms),
            )

    async def steal(self, partitions: Sequence[int], count: int, waited_ms: int) -> list[Entry]:
        async with self._step() as hub:
            return leases.steal(hub, self.consumer, partitions, count, waited_ms)

    async def upcoming(self, partitions: Sequence[int], horizon_ms: int, count: int) -> Upcoming:
        async with self._step() as hub:
            return upcoming(hub, partitions, horizon_ms, count)

    async def fire(self, timers: Sequence[DueTimer]) -> Fired:
        async with self._step() as hub:
            return fire(hub, timers)

    async def relay(self, partition: int, count: int) -> Relayed:
        async with self._step() as hub:
            return relay.relay(hub, partition, count)

    async def route(self, count: int, block_ms: int) -> Routed:
        return await self._block(
            block_ms,
            lambda: relay.route(self.state, count, self.max_payload),
            anything=lambda routed: routed != Routed(),
        )

    async def hear(self, partitions: Sequence[int], count: int, block_ms: int) -> Heard:
        return await self._block(
            block_ms,
            lambda: answers.hear(self.state, partitions, count, self.max_payload),
            anything=lambda heard: heard != Heard(),
        )

    async def forget(self, heard: Sequence[Answered]) -> None:
        async with self._step() as hub:
            for item in heard:
                hub.partitions[item.partition].answers.delete(item.id)

    async def served(self) -> tuple[str, ...]:
        async with self._step() as hub:
            return tuple(sorted(hub.served))

    async def sweep(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        async with self._step() as hub:
            return upkeep.sweep(hub, partition, cursor, count)

    async def heartbeat(self, ttl_ms: int, skills: Skills) -> Membership:
        async with self._step() as hub:
            return upkeep.heartbeat(hub, self.consumer, ttl_ms, skills)

    async def leave(self) -> None:
        async with self._step() as hub:
            upkeep.leave(hub, self.consumer)

    async def reap(self, idle_ms: int) -> int:
        async with self._step() as hub:
            return upkeep.reap(hub, idle_ms)

    async def purge(self, instance: str, execution: str = "") -> Purged:
        async with self._step() as hub:
            return upkeep.purge(hub, instance, execution)

    async def expired(
        self, partition: int, ages: Mapping[RuntimeStatus, int], count: int, skip: int = 0
    ) -> list[Standing]:
        async with self._step() as hub:
            return upkeep.expired(hub, partition, ages, count, skip)

    async def disown(self, instance: str, parent: str) -> None:
        async with self._step() as hub:
            upkeep.disown(hub, instance, parent)

    async def mend(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        async with self._step() as hub:
            return "", upkeep.mend(hub, partition)

    async def prune(self, instance: str, keep: int) -> int:
        async with self._step() as hub:
            return upkeep.prune(hub, instance, keep)

    async def redrive(self, instance: str, head: str) -> Redriven:
        async with self._step() as hub:
            return upkeep.redrive(hub, instance, head)

    async def get(self, instance: str) -> Snapshot | None:
        async with self._step() as hub:
            return inspect.get(hub, instance)

    async def query(self, query: Query, limit: int, after: Place | None = None) -> Found:
        async with self._step() as hub:
            return queries.query(hub, query, limit, after)

    async def counts(self) -> Counts:
        async with self._step() as hub:
            return queries.counts(hub)

    async def children(self, instance: str) -> list[Standing]:
        async with self._step() as hub:
            return queries.children(hub, instance)

    async def awaited(self, instances: Sequence[str]) -> list[str]:
        async with self._step() as hub:
            return queries.awaited(hub, instances)

    async def history(self, instance: str, execution: str = "", start: int = 0, count: int = 1000) -> list[Event]:
        async with self._step() as hub:
            return inspect.history(hub, instance, execution, slice(start, start + count))

    async def underway(self, instance: str, execution: str, calls: Sequence[tuple[int, str]]) -> list[Underway | None]:
        async with self._step() as hub:
            return underway(hub, instance, execution, calls)

    async def executions(self, instance: str) -> list[str]:
        async with self._step() as hub:
            return inspect.executions(hub, instance)

    async def feed_position(self, partition: int) -> str:
        async with self._step() as hub:
            return inspect.feed_position(hub, partition)

    async def feed(self, after: dict[int, str], block_ms: int) -> list[tuple[int, Change]]:
        return await self._block(block_ms, lambda: inspect.feed(self.state, after), anything=bool)

    async def depths(self, queues: Sequence[str] = ()) -> Depths:
        async with self._step() as hub:
            return depths.depths(hub, queues)

    async def announcement(self, instance: str) -> Announcement | None:
        async with self._step() as hub:
            return inspect.announcement(hub, instance)

    async def members(self, ttl_ms: int) -> Membership:
        async with self._step() as hub:
            return upkeep.members(hub, ttl_ms)

    async def letters(self, after: str, count: int) -> list[Letter]:
        async with self._step() as hub:
            return letters.letters(hub, after, count)

    async def drop_letters(self, ids: Sequence[str]) -> int:
        async with self._step() as hub:
            return letters.drop_letters(hub, ids)

    async def redrive_letters(self, ids: Sequence[str]) -> list[str]:
        async with self._step() as hub:
            return letters.redrive_letters(hub, ids)

    def sample(self) -> StoreSampled:
        """There are no connections."""
        return StoreSampled()

    def mailbox_key(self, instance: str) -> str:
        """The name that the mailbox would have on a server."""
        return f"rd:{{{self.hub}:p{self.state.of(instance).number}}}:m:{instance}"

    async def xadd_intake(self, fields: Mapping[bytes, bytes]) -> str:
        """What any Redis client may do: XADD to the hub's intake. Returns the entry's id."""
        async with self._step() as hub:
            return hub.intake.append(hub.clock(), fields)

    async def xadd_mailbox(self, instance: str, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        """What any Redis client may do: XADD straight into a mailbox, telling nobody. Returns the entry's id."""
        async with self._step() as hub:
            return hub.of(instance).append(instance, dict(fields), entry_id)

    @asynccontextmanager
    async def _step(self) -> AsyncGenerator[MemoryHub]:
        await anyio.lowlevel.checkpoint()
        yield self.state
        self.state.wake()

    async def _block(self, block_ms: int, look: Callable[[], T], anything: Callable[[T], bool]) -> T:
        """Look, and while nothing is there, look again after each change, for up to `block_ms`."""
        await anyio.lowlevel.checkpoint()
        found = look()
        if block_ms > 0:
            with anyio.move_on_after(block_ms / 1000):
                while not anything(found):
                    await self.state.changed()
                    found = look()
        self.state.wake()
        return found
