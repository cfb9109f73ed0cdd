"""Activity work: receive tasks, and end attempts together with what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redurable.core.codec import Unreadable, decode_task, encode
from redurable.core.delivery import Delivery, Entry, Position
from redurable.core.foreign import malformed
from redurable.store.port import Completed, DueTimer, TaskDemand, TaskEnd, TaskLease
from redurable.store.redis.deliveries import Row, deliveries_of, instance_keys
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.receiving import rotated, take
from redurable.store.redis.turns import entries_of
from redurable.store.redis.wire import beat_field, fields_of, pack_fields, timer_member

_MOST_ENDS = 500
_MOST_BYTES = 1_000_000
_NOWHERE: tuple[Argument, ...] = ("", 0, "")


async def receive_tasks(
    lane: Lane, layout: Layout, consumer: str, demand: TaskDemand, block_ms: int
) -> list[TaskLease]:
    """Take tasks, waiting up to `block_ms` for the first (0: do not wait)."""
    layout.queues.update(demand.queues)
    places = rotated([(number, queue) for number in range(layout.partitions) for queue in demand.queues])
    streams = [layout.partition(number).queue(queue) for number, queue in places]
    taken = await take(lane, consumer, streams, demand.count, block_ms)
    return await leases_of(lane, layout, [(*places[at], raw) for at, raw in taken])


async def leases_of(
    lane: Lane, layout: Layout, taken: Sequence[tuple[int, str, list[Any]]], again: bool = False
) -> list[TaskLease]:
    """Raw tasks by partition and queue, read; those that cannot be read go to the dead letters."""
    leases: list[TaskLease] = []
    keys: list[str] = []
    args: list[Argument] = []
    for number, queue, raws in taken:
        for entry_id, flat, *_ in raws:
            fields = fields_of(flat or ())
            came = int(entry_id.partition(b"-")[0])
            try:
                leases.append(TaskLease(number, queue, entry_id.decode(), decode_task(fields[b"t"]), again, came))
            except (Unreadable, KeyError) as error:
                what = malformed(f"no task in queue {queue!r}: {error!r}", fields, layout.max_payload)
                keys += (layout.partition(number).queue(queue), layout.partition(number).outbox)
                args += (entry_id, what.reason, pack_fields(what.fields))
    if keys:
        await lane.script("bury_entries", keys, args)
    return leases


async def complete(
    lane: Lane,
    layout: Layout,
    consumer: str,
    ends: Sequence[TaskEnd],
    known: Sequence[Position | None],
    count: int = 0,
    partitions: Sequence[int] = (),
) -> Completed:
    """End attempts, then receive up to `count` ready entries of `partitions` in the same step."""
    done = Completed(())
    batch = _Ends(layout)
    last = len(ends) - 1
    for at, (end, position) in enumerate(zip(ends, known or [None] * len(ends), strict=True)):
        batch.add(end, position)
        if at == last or batch.full:
            wanted = count - len(done.deliveries) - len(done.entries)
            done = _joined(done, await batch.run(lane, consumer, wanted, rotated(partitions)))
            batch = _Ends(layout)
    return done


def _joined(done: Completed, more: Completed) -> Completed:
    return Completed(
        done.accepted + more.accepted,
        done.deliveries + more.deliveries,
        done.entries + more.entries,
        done.timers + more.timers,
    )


class _Ends:
    """The ends of one script call."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ends: list[TaskEnd] = []
        self._known: list[Position | None] = []
        self._size = 0
        self._ring = Keyring()
        self._args: list[Argument] = []

    @property
    def full(self) -> bool:
        return len(self._ends) >= _MOST_ENDS or self._size >= _MOST_BYTES

    def add(self, end: TaskEnd, position: Position | None) -> None:
        self._ends.append(end)
        self._known.append(position)
        ring, lease = self._ring, end.lease
        task = lease.task
        keys = self._layout.partition(lease.partition)
        queue = ring.shared(keys.queue(lease.queue))
        ready = ring.block(keys, keys.ready, keys.timers, keys.retries, keys.outbox, keys.beats)
        own = ring.own(*instance_keys(keys, task.instance))
        execution, body, member = "", b"", ""
        if end.message is not None:
            execution, body = end.message.execution, encode(end.message)
        elif end.retry is not None:
            execution, body, member = end.retry.execution, encode(end.retry), _retry_member(end)
        self._size += len(body)
        self._args += (queue, ready, own, lease.id, task.instance, execution, body, member, end.delay_ms)
        self._args += (position.execution, position.length, position.commit) if position else _NOWHERE
        self._args.append(beat_field(lease))

    async def run(self, lane: Lane, consumer: str, count: int, partitions: Sequence[int]) -> Completed:
        """One script call."""
        streams = [self._ring.shared(self._layout.partition(number).ready) for number in partitions]
        args: list[Argument] = [len(self._ends), consumer, count, *self._args, *streams]
        reply: list[Any] = await lane.script("complete", self._ring.keys, args)
        clock, late, checked, others = reply
        now = int(clock)
        accepted = [True] * len(self._ends)
        for position in late:
            accepted[position - 1] = False
        rows = [self._row(partitions, found) for found in checked]
        deliveries: list[Delivery] = await deliveries_of(lane, self._layout, now, rows)
        unread: list[tuple[int, Any]] = others
        entries = await entries_of(lane, self._layout, [(partitions[at - 1], [raw]) for at, raw in unread])
        return Completed(tuple(accepted), tuple(deliveries), tuple(entries), self._timers(accepted, now))

    def _row(self, partitions: Sequence[int], found: list[Any]) -> tuple[Entry, Row, Position | None]:
        stream: int = found[0] - 1
        end: int = found[2] - 1
        instance = self._ends[end].lease.task.instance
        return Entry(partitions[stream], found[1].decode(), instance), found[3], self._known[end]

    def _timers(self, accepted: Sequence[bool], now: int) -> tuple[DueTimer, ...]:
        return tuple(
            DueTimer(now + end.delay_ms, end.lease.partition, _retry_member(end))
            for end, done in zip(self._ends, accepted, strict=True)
            if done and end.retry is not None and end.delay_ms > 0
        )


def _retry_member(end: TaskEnd) -> str:
    task = end.retry or end.lease.task
    return timer_member("r", task.execution, task.seq, task.instance)
