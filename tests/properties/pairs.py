"""The same step on two stores, and what must be the same of their answers.

Ids and times differ between two stores, so answers come in pairs: what one store calls this, the other calls that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from redurable.core.delivery import Delivery, Entry, Position, TurnCommit
from redurable.core.messages import Malformed
from redurable.store.port import Committed, Completed, DueTimer, Hub, Reclaimed, TaskDemand, TaskEnd, TaskLease
from redurable.testing.conformance import scenes

T = TypeVar("T")
Pair = tuple[T, T]
FAR_MS = 10**13


class Pairs:
    """Two stores that are told the same, and all that they have handed out, held still or long gone."""

    def __init__(self, one: Hub, two: Hub) -> None:
        self.stores: Pair[Hub] = (one, two)
        self.entries: list[Pair[Entry]] = []
        self.deliveries: list[Pair[Delivery]] = []
        self.leases: list[Pair[TaskLease]] = []

    async def same(self, ask: Callable[[Hub], Awaitable[T]]) -> T:
        """Ask both; they must say exactly the same."""
        one, two = await self.ask(lambda store, _: ask(store))
        assert one == two
        return one

    async def ask(self, ask: Callable[[Hub, int], Awaitable[T]]) -> Pair[T]:
        """Ask both; the second argument says which of a pair to use."""
        return await ask(self.stores[0], 0), await ask(self.stores[1], 1)

    def add_entries(self, one: Sequence[Entry], two: Sequence[Entry]) -> None:
        """Ready entries that were received."""
        self.entries += matched(one, two, lambda entry: (entry.partition, entry.instance, _number(entry.id)), _entry)

    def add_leases(self, one: Sequence[TaskLease], two: Sequence[TaskLease]) -> None:
        """Tasks that were received."""
        self.leases += matched(one, two, lambda lease: (lease.partition, lease.queue, _number(lease.id)), _lease)

    def add_deliveries(self, one: Sequence[Delivery], two: Sequence[Delivery]) -> None:
        """Ready entries that were checked out."""
        self.deliveries += matched(
            one, two, lambda d: (d.entry.partition, d.entry.instance, _number(d.entry.id)), _delivery
        )

    def add_reclaimed(self, one: Reclaimed, two: Reclaimed) -> None:
        """What was taken over or recovered."""
        self.add_entries(one.entries, two.entries)
        self.add_leases(one.tasks, two.tasks)

    async def checkout(self, picked: Sequence[Pair[Entry]], known: Sequence[Position | None]) -> None:
        """Check entries out."""
        one, two = await self.ask(lambda store, side: store.checkout([pair[side] for pair in picked], known))
        self.add_deliveries(one, two)

    async def commit(self, turns: Sequence[Pair[TurnCommit]], demand: TaskDemand | None) -> Committed:
        """Commit turns."""
        one, two = await self.ask(lambda store, side: store.commit([pair[side] for pair in turns], demand))
        assert one.receipts == two.receipts
        self.add_leases(one.tasks, two.tasks)
        assert len(one.timers) == len(two.timers)
        return one

    async def complete(self, ends: Sequence[Pair[TaskEnd]], known: Sequence[Position | None], count: int) -> Completed:
        """End attempts and receive what follows."""
        everywhere = scenes.everywhere(self.stores[0])
        one, two = await self.ask(
            lambda store, side: store.complete([pair[side] for pair in ends], known, count, everywhere)
        )
        assert one.accepted == two.accepted
        self.add_entries(one.entries, two.entries)
        self.add_deliveries(one.deliveries, two.deliveries)
        self.add_entries([d.entry for d in one.deliveries], [d.entry for d in two.deliveries])
        return one

    async def fire(self) -> None:
        """Fire what is due: the timers that executions and retries wait for, then waits, and last those about tasks in
        their queues, into which retries have just come."""
        one, two = await self.ask(lambda store, _: store.upcoming(scenes.everywhere(store), FAR_MS, 1000))
        waits = matched(_of(one.timers, "u"), _of(two.timers, "u"), _wait, _wait)
        await self._fire(_of(one.timers, "trc"), _of(two.timers, "trc"))
        await self.ask(lambda store, side: store.fire([pair[side] for pair in waits]))
        one, two = await self.ask(lambda store, _: store.upcoming(scenes.everywhere(store), FAR_MS, 1000))
        await self._fire(_of(one.timers, "s"), _of(two.timers, "s"))

    async def _fire(self, one: Sequence[DueTimer], two: Sequence[DueTimer]) -> None:
        timers = matched(one, two, _timer, _timer)
        fired = await self.ask(lambda store, side: store.fire([pair[side] for pair in timers]))
        assert fired[0].fired == fired[1].fired
        matched(fired[0].early, fired[1].early, _timer, _timer)

    async def look(self, instances: Sequence[str]) -> None:
        """All that can be read of these instances is the same."""
        for instance in instances:
            await self.same(lambda store, instance=instance: _seen(store, instance))
        one, two = await self.ask(lambda store, _: store.upcoming(scenes.everywhere(store), FAR_MS, 1000))
        matched(_of(one.timers, "u"), _of(two.timers, "u"), _wait, _wait)
        matched(_of(one.timers, "trcs"), _of(two.timers, "trcs"), _timer, _timer)


def matched(one: Sequence[T], two: Sequence[T], order: Callable[[T], Any], seen: Callable[[T], Any]) -> list[Pair[T]]:
    """Pair two answers; the caller sees the same in both."""
    left, right = sorted(one, key=order), sorted(two, key=order)
    assert [seen(item) for item in left] == [seen(item) for item in right]
    return list(zip(left, right, strict=True))


def _number(entry_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split("-"))


def _entry(entry: Entry) -> object:
    return entry.partition, entry.instance, entry.deliveries


def _lease(lease: TaskLease) -> object:
    return lease.partition, lease.queue, lease.task, lease.again, lease.holder, lease.heartbeat


def _of(timers: Sequence[DueTimer], kinds: str) -> list[DueTimer]:
    """The timers of these kinds; of several waits of one instance the last, because the times may coincide."""
    found = {_wait(timer) if kinds == "u" else _timer(timer): timer for timer in timers if _parts(timer)[0] in kinds}
    return list(found.values())


def _parts(timer: DueTimer) -> tuple[str, str, int | str, str]:
    return msgspec.json.decode(timer.member, type=tuple[str, str, int | str, str])


def _timer(timer: DueTimer) -> tuple[object, ...]:
    return timer.partition, *_parts(timer)


def _wait(timer: DueTimer) -> tuple[object, ...]:
    return timer.partition, _parts(timer)[3]


def _delivery(delivery: Delivery) -> object:
    messages = [_message(message) for message in scenes.said(delivery)]
    rings = delivery.announced == delivery.entry.id
    state = (delivery.status, delivery.name, delivery.execution, delivery.head, delivery.parks, delivery.base)
    waits = (delivery.held, bool(delivery.parked_until), bool(delivery.heard), delivery.control, delivery.unread)
    return (
        *(_entry(delivery.entry), state, rings, bool(delivery.announced), waits),
        *(delivery.start, messages, delivery.events),
    )


def _message(message: Any) -> object:
    return message.fields if isinstance(message, Malformed) else message


async def _seen(store: Hub, instance: str) -> object:
    snapshot = await store.get(instance)
    if snapshot is None:
        return None
    executions = await store.executions(instance)
    histories = [await store.history(instance, execution) for execution in executions]
    state = (snapshot.status, snapshot.execution, snapshot.number, snapshot.start, snapshot.unread, snapshot.length)
    said = (snapshot.custom_status, snapshot.unread_events)
    return state, (bool(snapshot.quarantined), snapshot.parks, snapshot.held), said, executions, histories
