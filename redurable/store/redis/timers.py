"""What happens at a time: a timer of an execution is due, a parked instance may go on, a retry goes back to its queue.

Invariant: a timer leaves the set in the step in which it takes effect, by the server's clock; so it takes effect once,
whoever fires it and whatever the caller's clock says.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from typing import Any

from msgspec import Struct

from redurable.core.codec import Unreadable, decode_task, encode
from redurable.core.messages import TimerDue
from redurable.store.port import DueTimer, Fired, Upcoming
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import TimerKind, pack_fields, read_timer_member

_MOST_TIMERS = 500
_FOREVER = 2.0**53


class _Member(Struct, frozen=True):
    """A member of a timer set, read. `kind` x: a foreign client's, it only leaves the set."""

    kind: TimerKind | str
    execution: str = ""
    key: int | str = ""
    instance: str = ""


async def upcoming(
    lane: Lane, layout: Layout, consumer: str, partitions: Sequence[int], horizon_ms: int, count: int
) -> Upcoming:
    """The timers of these partitions that are due within `horizon_ms`, earliest first, at most `count`."""
    keys = [layout.partition(number).timers for number in partitions]
    now, *sets = await lane.script("upcoming", keys, [horizon_ms, count])
    timers = [
        DueTimer(_ms(due), number, member.decode(errors="surrogateescape"))
        for number, flat in zip(partitions, sets, strict=True)
        for member, due in zip(flat[::2], flat[1::2], strict=True)
    ]
    return Upcoming(int(now), tuple(nsmallest(count, timers)))


async def fire(lane: Lane, layout: Layout, consumer: str, timers: Sequence[DueTimer]) -> Fired:
    """Let timers take effect that still exist and are due by the server's clock; return those that are early."""
    now, fired, early = 0, 0, list[DueTimer]()
    for first in range(0, len(timers), _MOST_TIMERS):
        page = timers[first : first + _MOST_TIMERS]
        now, answers = await _fire_page(lane, layout, page)
        fired += answers.count(1)
        early += [
            DueTimer(_ms(answer), timer.partition, timer.member)
            for timer, answer in zip(page, answers, strict=True)
            if isinstance(answer, bytes)
        ]
    return Fired(now, fired, tuple(early))


async def _fire_page(lane: Lane, layout: Layout, page: Sequence[DueTimer]) -> tuple[int, list[Any]]:
    members = [_read(timer.member) for timer in page]
    queues = await _queues(lane, layout, page, members)
    ring, args = Keyring(), list[Argument]()
    for timer, member in zip(page, members, strict=True):
        partition = layout.partition(timer.partition)
        p = ring.block(partition, partition.timers, partition.retries, partition.ready, partition.outbox)
        queue, instance, own = queues.get(timer), member.instance, 0
        if member.kind in ("t", "u"):
            own = ring.own(partition.instance(instance), partition.start(instance), partition.mailbox(instance))
        raw = timer.member.encode(errors="surrogateescape")
        args += (p, own, ring.shared(partition.queue(queue)) if queue else 0, member.kind, raw, instance)
        args += _content(member, timer.due, raw)
    now, *answers = await lane.script("fire", ring.keys, args)
    return int(now), answers


async def _queues(
    lane: Lane, layout: Layout, page: Sequence[DueTimer], members: Sequence[_Member]
) -> dict[DueTimer, str]:
    """Where the tasks of retries go. A task that is gone or cannot be read has no queue; firing buries it."""
    by_partition: dict[int, list[DueTimer]] = {}
    for timer, member in zip(page, members, strict=True):
        if member.kind == "r":
            by_partition.setdefault(timer.partition, []).append(timer)
    queues: dict[DueTimer, str] = {}
    for number, timers in by_partition.items():
        names = [timer.member.encode() for timer in timers]
        bodies = await lane.call("HMGET", layout.partition(number).retries, *names)
        for timer, body in zip(timers, bodies, strict=True):
            queue = _queue_of(body)
            if queue:
                queues[timer] = queue
    return queues


def _queue_of(body: bytes | None) -> str:
    try:
        return decode_task(body).options.task_queue if body is not None else ""
    except Unreadable:
        return ""


def _content(member: _Member, due: int, raw: bytes) -> tuple[Argument, Argument]:
    if member.kind == "t":
        return member.execution, encode(TimerDue(execution=member.execution, seq=int(member.key), due=due))
    if member.kind == "u":
        return member.key, b""
    return "", pack_fields([(b"timer", raw)])


def _ms(score: bytes) -> int:
    """A score as time; a foreign client may have written an infinite one."""
    return int(max(-_FOREVER, min(float(score), _FOREVER)))


def _read(member: str) -> _Member:
    try:
        kind, execution, key, instance = read_timer_member(member)
        if kind == "t":
            key = int(key)
    except (ValueError, UnicodeEncodeError):  # msgspec's errors are ValueErrors
        return _Member("x")
    return _Member(kind, execution, key, instance)
