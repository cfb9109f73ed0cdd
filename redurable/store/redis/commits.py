"""Make turns true: pack `TurnCommit`s for `commit.lua`, cut into calls that the server does not notice.

Parallel to the layout of ARGV in `commit.lua` and to nothing else: change both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from redurable.core.codec import encode
from redurable.core.delivery import Outcome, Park, Quarantine, Receipt, TurnCommit
from redurable.core.limits import GRACE_MS, MOST_MARKS, MOST_NEWS
from redurable.core.values import RuntimeStatus
from redurable.store.port import Committed, DueTimer, TaskDemand, TaskLease
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.receiving import rotated, taken_of
from redurable.store.redis.tasks import leases_of
from redurable.store.redis.wire import (
    TimerKind,
    after,
    call_member,
    canceled_fields,
    json_text,
    named_call,
    outbox_fields,
    timer_member,
    wait_of,
)

_MOST_WRITES: Final = 1_000
_MOST_BYTES: Final = 1_000_000
_MOST_COMMITS: Final = 500
_MOST_ARGUMENTS: Final = 1_000
"""Lua unpacks so many at once."""
_FEED_LENGTH: Final = 1_000
_OF_CALLS: Final[tuple[TimerKind, ...]] = ("c", "s", "r")

_GONE: Final = 3
_OUTCOMES: Final = {
    0: Receipt(Outcome.FENCED),
    1: Receipt(Outcome.ACCEPTED),
    2: Receipt(Outcome.ALREADY_APPLIED),
    _GONE: Receipt(Outcome.ACCEPTED),
}
_json = msgspec.json.Encoder()


async def commit(
    lane: Lane, layout: Layout, consumer: str, commits: Sequence[TurnCommit], demand: TaskDemand | None = None
) -> Committed:
    """Make turns true, each all or nothing; then receive up to `demand` tasks in the same step."""
    receipts: list[Receipt] = []
    tasks: list[TaskLease] = []
    timers: list[DueTimer] = []
    if demand is not None:
        layout.queues.update(demand.queues)
    for batch in _batches(layout, commits):
        wanted = TaskDemand(demand.queues, demand.count - len(tasks)) if demand else TaskDemand((), 0)
        done = await batch.run(lane, consumer, wanted)
        receipts += done.receipts
        tasks += done.tasks
        timers += done.timers
    return Committed(tuple(receipts), tuple(tasks), tuple(timers))


def _batches(layout: Layout, commits: Sequence[TurnCommit]) -> Iterator[_Batch]:
    """An instance comes once in a batch: the script judges all items before it writes the first."""
    batch = _Batch(layout)
    for item in commits:
        if batch.full or item.entry.instance in batch.instances:
            yield batch
            batch = _Batch(layout)
        batch.add(item)
    if batch.commits:
        yield batch


class _Batch:
    """The commits of one script call."""

    def __init__(self, layout: Layout) -> None:
        self.commits: list[TurnCommit] = []
        self.instances: set[str] = set()
        self._layout = layout
        self._ring = Keyring()
        self._packer = Packer(layout, self._ring)
        self._args: list[Argument] = []

    @property
    def full(self) -> bool:
        """True when the next commit goes into another call."""
        return self._packer.full or len(self.commits) >= _MOST_COMMITS

    def add(self, item: TurnCommit) -> None:
        """Pack one commit."""
        packed = self._packer.pack(item)
        self._args.append(len(packed))
        self._args += packed
        self.commits.append(item)
        self.instances.add(item.entry.instance)

    async def run(self, lane: Lane, consumer: str, demand: TaskDemand) -> Committed:
        """One script call."""
        places = places_of(self.commits, demand)
        queues = [self._ring.shared(self._layout.partition(number).queue(queue)) for number, queue in places]
        args: list[Argument] = [len(self.commits), consumer, demand.count, *self._args, *queues]
        now, *verdicts, taken = await lane.script("commit", self._ring.keys, args)
        tasks = await leases_of(lane, self._layout, [(*places[at], raw) for at, raw in taken_of(taken)])
        return Committed(receipts_of(verdicts), tuple(tasks), written(self.commits, verdicts, int(now)))


class Packer:
    """Packs turns as `commit.lua` and `complete.lua` read them; their keys go into `ring`."""

    def __init__(self, layout: Layout, ring: Keyring) -> None:
        self._layout = layout
        self._ring = ring
        self._writes = 0
        self._size = 0

    @property
    def full(self) -> bool:
        """True when what was packed is work enough for one call."""
        return self._writes >= _MOST_WRITES or self._size >= _MOST_BYTES

    def pack(self, item: TurnCommit) -> list[Any]:
        """An item of ARGV without its size; the first value is the index of the instance's first key."""
        ring, entry = self._ring, item.entry
        instance = entry.instance
        keys = self._layout.partition(entry.partition)
        ready = ring.block(keys, keys.ready, keys.timers, keys.ended, keys.parked, keys.ix, keys.updated)
        own = ring.own(
            keys.instance(instance),
            keys.start(instance),
            keys.mailbox(instance),
            keys.history(instance),
            keys.quarantine(instance),
        )
        packed: list[Any] = [own, ready, entry.id, item.expected, item.head, instance]
        if item.park is not None:
            packed += (*_park(instance, item.park), _heard(item))
        elif item.is_release:
            packed += ("r", _heard(item))
        else:
            self._pack_turn(keys, ready, item, packed)
        self._writes += 5
        return packed

    def _pack_turn(self, keys: PartitionKeys, ready: int, item: TurnCommit, packed: list[Any]) -> None:
        ring = self._ring
        events = [encode(event) for event in item.events]
        unread = b"" if item.unread is None else _json.encode(item.unread)
        consumed = (after(item.consumed) or "*") if item.consumed else ""
        named = ring.shared(keys.named(item.name)) if item.name and (item.status or item.next) else 0
        packed += ("n", consumed, 1 if item.start_consumed else 0, item.status or "", unread, named)
        packed += (len(events), *events)
        packed.append(len(item.tasks))
        for task in item.tasks:
            body = encode(task)
            packed += (ring.shared(keys.queue(task.options.task_queue)), body)
            self._size += len(body)
        waits = [pair for pair in enumerate(item.tasks, 1) if pair[1].options.timeouts.schedule_to_start]
        packed.append(len(waits))
        for position, task in waits:
            packed += (position, ring.shared(keys.retries), *wait_of(task))
        operations = [
            (command, key, len(arguments), *arguments) for command, key, arguments in self._others(keys, ready, item)
        ]
        packed.append(len(operations))
        for operation in operations:
            packed += operation
        packed += self._next(keys, item)
        self._writes += len(item.tasks) + 2 * len(waits) + len(operations) + len(item.timers) + len(events) // 10
        self._size += sum(map(len, events)) + 200 * len(operations)

    def _others(
        self, keys: PartitionKeys, ready: int, item: TurnCommit
    ) -> Iterator[tuple[str, int, Sequence[Argument]]]:
        """What few turns do, as (command, index of key, arguments)."""
        ring, instance = self._ring, item.entry.instance
        members = [(timer.due, _member(item, timer.seq)) for timer in item.timers]
        members += [(timer.due, timer.member) for timer in _call_limits(item)]
        if members:
            yield from _sliced("ZADD", ready + 1, [part for pair in members for part in pair])
        if item.canceled_timers:
            yield from _sliced("ZREM", ready + 1, [_member(item, seq) for seq in item.canceled_timers])
        if item.closed_calls:
            gone = {kind: [_member(item, seq, kind) for seq in item.closed_calls] for kind in _OF_CALLS}
            yield from _sliced("ZREM", ready + 1, [*gone["c"], *gone["s"], *gone["r"]])
            yield from _sliced("HDEL", ring.shared(keys.retries), [*gone["s"], *gone["r"]])
        if item.canceled_calls:
            yield from self._tell_canceled(keys, item)
        if item.outbox or item.dead:
            outbox = ring.shared(keys.outbox)
            for sent in (*item.outbox, *item.dead):
                fields = outbox_fields(sent)
                self._size += len(fields[3])
                yield "XADD", outbox, ("*", *fields)
        if item.custom_status is not None:
            yield "SET", ring.shared(keys.custom_status(instance)), (bytes(item.custom_status),)
        ended = RuntimeStatus.CONTINUED_AS_NEW if item.next else item.status
        if ended is not None and (item.next or ended.finished):
            yield from self._tell_ended(keys, ready, item, ended)

    def _tell_ended(
        self, keys: PartitionKeys, ready: int, item: TurnCommit, ended: RuntimeStatus
    ) -> Iterator[tuple[str, int, Sequence[Argument]]]:
        """An execution has ended; its instance too, or it goes on, perhaps after it had finished."""
        ring, instance = self._ring, item.entry.instance
        fields = ("i", instance, "x", item.execution, "s", ended)
        yield "XADD", ring.shared(keys.feed), ("MAXLEN", "~", _FEED_LENGTH, "*", *fields)
        if item.next is None:
            yield "SREM", ring.shared(keys.open), (instance,)
        elif item.next.rewound is not None:
            yield "SADD", ring.shared(keys.open), (instance,)
            yield "ZREM", ready + 2, (instance,)

    def _tell_canceled(self, keys: PartitionKeys, item: TurnCommit) -> Iterator[tuple[str, int, Sequence[Argument]]]:
        """News for the workers that run these calls, and marks for those that renew the leases of their tasks."""
        instance, seqs, marks = item.entry.instance, item.canceled_calls, self._ring.shared(keys.canceled)
        news = canceled_fields(instance, item.execution, seqs)
        yield "XADD", self._ring.shared(keys.cancels), ("MAXLEN", "~", MOST_NEWS, "*", *news)
        at = item.events[-1].at
        members: list[Argument] = [part for seq in seqs for part in (at, named_call(item.execution, seq, instance))]
        yield from _sliced("ZADD", marks, members)
        yield "ZREMRANGEBYRANK", marks, (0, -MOST_MARKS - 1)

    def _next(self, keys: PartitionKeys, item: TurnCommit) -> Iterable[Argument]:
        if item.next is None:
            return (0,)
        instance = item.entry.instance
        executions = self._ring.own(keys.executions(instance), keys.past(instance, item.execution))
        following = item.next
        renamed = 0
        if item.name and following.name != item.name:
            renamed = self._ring.own(keys.names, keys.named(following.name))
        named = following.execution, following.number, following.name, encode(following), renamed
        kept = (0, "") if item.kept is None else (item.kept.count, encode(item.kept.first))
        return executions, item.execution, *named, *kept


def _heard(item: TurnCommit) -> str:
    return "*" if item.heard is None else item.heard


def _park(instance: str, park: Park) -> tuple[Argument, ...]:
    mark = _json.encode(Quarantine(0, park.reason, park.detail, park.difference))
    wait = "" if park.retry_ms is None else park.retry_ms
    return "p", wait, mark.removeprefix(b'{"since":0'), json_text(instance)


def _member(item: TurnCommit, seq: int, kind: TimerKind = "t") -> str:
    return timer_member(kind, item.execution, seq, item.entry.instance)


def _call_limits(item: TurnCommit) -> Iterator[DueTimer]:
    """The timers of the schedule-to-close timeouts of a commit's tasks."""
    for task in item.tasks:
        if task.options.timeouts.schedule_to_close:
            yield DueTimer(task.close_by + GRACE_MS, item.entry.partition, call_member("c", task))


def _sliced(command: str, key: int, arguments: list[Argument]) -> Iterator[tuple[str, int, Sequence[Argument]]]:
    for at in range(0, len(arguments), _MOST_ARGUMENTS):
        yield command, key, arguments[at : at + _MOST_ARGUMENTS]


def places_of(items: Sequence[TurnCommit], demand: TaskDemand) -> list[tuple[int, str]]:
    """(partition, queue) of the queues that the step which commits these turns receives tasks from."""
    partitions = rotated(sorted({item.entry.partition for item in items})) if demand.count > 0 else []
    return [(number, queue) for number in partitions for queue in demand.queues]


def written(items: Sequence[TurnCommit], verdicts: Sequence[int | bytes], now: int) -> tuple[DueTimer, ...]:
    """The timers that were written by those of these turns that were accepted."""
    timers: list[DueTimer] = []
    for item, verdict in zip(items, verdicts, strict=True):
        if verdict == 1 and (item.timers or item.park or item.tasks):
            timers += _written(item, now)
    return tuple(timers)


def _written(item: TurnCommit, now: int) -> Iterator[DueTimer]:
    """The timers that an accepted commit wrote."""
    partition = item.entry.partition
    for timer in item.timers:
        yield DueTimer(timer.due, partition, _member(item, timer.seq))
    yield from _call_limits(item)
    for task in item.tasks:
        limit = task.options.timeouts.schedule_to_start
        if limit:
            yield DueTimer((task.waiting_since or now) + limit, partition, call_member("s", task))
    if item.park is not None and item.park.retry_ms is not None:
        wake = now + item.park.retry_ms
        yield DueTimer(wake, partition, timer_member("u", "", wake, item.entry.instance))


def receipts_of(verdicts: Sequence[int | bytes]) -> tuple[Receipt, ...]:
    """The answers of a script, as receipts."""
    return tuple([_receipt(verdict) for verdict in verdicts])


def _receipt(verdict: int | bytes) -> Receipt:
    if isinstance(verdict, int):
        return _OUTCOMES[verdict]
    return Receipt(Outcome.FAILED, verdict.decode(errors="replace"))
