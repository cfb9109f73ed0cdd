"""End attempts with what follows from them: outcomes in mailboxes, or in their place the turns that they lead to, where
those were decided ahead; retries; and, received in the same step, ready entries and tasks.

Parallel to the layout of ARGV in `complete.lua`: change both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redurable.core.codec import encode
from redurable.core.delivery import Delivery, Entry, Position, TurnCommit
from redurable.store.port import Completed, DueTimer, TaskDemand, TaskEnd
from redurable.store.redis.commits import Packer, places_of, receipts_of, written
from redurable.store.redis.deliveries import Row, deliveries_of, instance_keys
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.receiving import rotated, taken_of
from redurable.store.redis.tasks import leases_of
from redurable.store.redis.turns import entries_of
from redurable.store.redis.wire import beat_field, timer_member

_MOST_ENDS: Final = 500
_MOST_BYTES: Final = 1_000_000
_NOWHERE: Final[tuple[Argument, ...]] = ("", 0, "")
_NO_TASKS: Final = TaskDemand((), 0)


async def complete(
    lane: Lane,
    layout: Layout,
    consumer: str,
    ends: Sequence[TaskEnd],
    known: Sequence[Position | None],
    count: int = 0,
    partitions: Sequence[int] = (),
    demand: TaskDemand | None = None,
) -> Completed:
    """End attempts, then receive up to `count` ready entries of `partitions`, and tasks, in the same step."""
    done = Completed(())
    if demand is not None:
        layout.queues.update(demand.queues)
    batch = _Ends(layout)
    last = len(ends) - 1
    for at, (end, position) in enumerate(zip(ends, known or [None] * len(ends), strict=True)):
        batch.add(end, position)
        if at == last or batch.full:
            wanted = count - len(done.deliveries) - len(done.entries)
            tasks = TaskDemand(demand.queues, demand.count - len(done.tasks)) if demand else _NO_TASKS
            done = _joined(done, await batch.run(lane, consumer, wanted, rotated(partitions), tasks))
            batch = _Ends(layout)
    return done


def _joined(done: Completed, more: Completed) -> Completed:
    return Completed(
        done.accepted + more.accepted,
        done.deliveries + more.deliveries,
        done.entries + more.entries,
        done.timers + more.timers,
        done.receipts + more.receipts,
        done.tasks + more.tasks,
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
        self._packer = Packer(layout, self._ring)
        self._turns: list[TurnCommit] = []
        self._turn_args: list[Argument] = []

    @property
    def full(self) -> bool:
        return len(self._ends) >= _MOST_ENDS or self._size >= _MOST_BYTES or self._packer.full

    def add(self, end: TaskEnd, position: Position | None) -> None:
        self._ends.append(end)
        self._known.append(position)
        ring, lease = self._ring, end.lease
        task = lease.task
        keys = self._layout.partition(lease.partition)
        queue = ring.shared(keys.queue(lease.queue))
        ready = ring.block(keys, keys.ready, keys.timers, keys.retries, keys.outbox, keys.beats)
        own = ring.own(*instance_keys(keys, task.instance)) if end.turn is None else self._add_turn(end.turn)
        execution, body, member = "", b"", ""
        if end.message is not None:
            execution, body = end.message.execution, encode(end.message)
        elif end.retry is not None:
            execution, body, member = end.retry.execution, encode(end.retry), _retry_member(end)
        self._size += len(body)
        self._args += (queue, ready, own, lease.id, task.instance, execution, body, member, end.delay_ms)
        self._args += (position.execution, position.length, position.commit) if position else _NOWHERE
        self._args += (beat_field(lease), 0 if end.turn is None else 1)

    def _add_turn(self, turn: TurnCommit) -> int:
        """The index of the instance's first key."""
        packed = self._packer.pack(turn)
        self._turns.append(turn)
        self._turn_args.append(len(packed))
        self._turn_args += packed
        return packed[0]

    async def run(
        self, lane: Lane, consumer: str, count: int, partitions: Sequence[int], demand: TaskDemand
    ) -> Completed:
        """One script call."""
        streams = [self._ring.shared(self._layout.partition(number).ready) for number in partitions]
        places = places_of(self._turns, demand)
        queues = [self._ring.shared(self._layout.partition(number).queue(queue)) for number, queue in places]
        head = (len(self._ends), consumer, count, len(streams), demand.count)
        args: list[Argument] = [*head, *self._args, *self._turn_args, *streams, *queues]
        reply: list[Any] = await lane.script("complete", self._ring.keys, args)
        clock, late, checked, others, verdicts, taken = reply
        now = int(clock)
        accepted = [True] * len(self._ends)
        for position in late:
            accepted[position - 1] = False
        rows = [self._row(partitions, found) for found in checked]
        deliveries: list[Delivery] = await deliveries_of(lane, self._layout, now, rows)
        unread: list[tuple[int, Any]] = others
        return Completed(
            tuple(accepted),
            tuple(deliveries),
            tuple(await entries_of(lane, self._layout, [(partitions[at - 1], [raw]) for at, raw in unread])),
            self._timers(accepted, now) + written(self._turns, verdicts, now),
            receipts_of(verdicts),
            tuple(await leases_of(lane, self._layout, [(*places[at], raw) for at, raw in taken_of(taken)])),
        )

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
