"""What happens at a time: a timer of an execution is due, a parked instance may go on, a retry goes back to its queue,
a call of an activity was not closed, or not started, in time.

Invariant: a timer leaves the set in the step in which it takes effect, by the server's clock; so it takes effect once,
whoever fires it and whatever the caller's clock says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from heapq import nsmallest
from typing import Any

from msgspec import Struct
from redis.exceptions import ResponseError

from redurable.core.codec import Unreadable, decode_task, encode
from redurable.core.limits import NO_END, NO_START, not_begun
from redurable.core.messages import ActivityFailure, TimerDue
from redurable.core.values import Task
from redurable.errors import StoreDamaged
from redurable.store.port import DueTimer, Fired, Upcoming
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import TimerKind, fields_of, pack_fields, read_timer_member, wait_of

_MOST_TIMERS = 500
_FOREVER = 2.0**53
_ENTRY_ID = re.compile(r"\d+-\d+")


class _Member(Struct, frozen=True):
    """A member of a timer set, read. `kind` x: a foreign client's, it only leaves the set."""

    kind: TimerKind | str
    execution: str = ""
    key: int | str = ""
    instance: str = ""


class _Stored(Struct, frozen=True):
    """A task that a timer is about, the queue it comes into or lies in, and the last four arguments of `fire.lua`."""

    queue: str = ""
    task: Task | None = None
    waits: tuple[Argument, ...] = ("", 0, 0, "")


_NOTHING = _Stored()


async def upcoming(
    lane: Lane, layout: Layout, consumer: str, partitions: Sequence[int], horizon_ms: int, count: int
) -> Upcoming:
    """The timers of these partitions that are due within `horizon_ms`, earliest first, at most `count`."""
    keys = [layout.partition(number).timers for number in partitions]
    now, *sets = await lane.script("upcoming", keys, [horizon_ms, count])
    damaged = [key for key, flat in zip(keys, sets, strict=True) if flat is None]
    if damaged:
        await lane.report(damaged)
    timers = [
        DueTimer(_ms(due), number, member.decode(errors="surrogateescape"))
        for number, flat in zip(partitions, sets, strict=True)
        if flat
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
    tasks = await _tasks(lane, layout, page, members)
    ring, args = Keyring(), list[Argument]()
    for timer, member in zip(page, members, strict=True):
        partition = layout.partition(timer.partition)
        p = ring.block(partition, partition.timers, partition.retries, partition.ready, partition.outbox)
        stored, instance, own = tasks.get(timer, _NOTHING), member.instance, 0
        if member.kind not in ("r", "x"):
            own = ring.own(partition.instance(instance), partition.start(instance), partition.mailbox(instance))
        raw = timer.member.encode(errors="surrogateescape")
        queue = ring.shared(partition.queue(stored.queue)) if stored.queue else 0
        args += (p, own, queue, member.kind, raw, instance)
        args += (*_content(member, timer.due, raw, stored), *stored.waits)
    now, *answers = await lane.script("fire", ring.keys, args)
    return int(now), answers


async def _tasks(
    lane: Lane, layout: Layout, page: Sequence[DueTimer], members: Sequence[_Member]
) -> dict[DueTimer, _Stored]:
    """The tasks of retries (r), and those that wait in their queues (s)."""
    by_partition: dict[int, list[tuple[DueTimer, _Member]]] = {}
    for timer, member in zip(page, members, strict=True):
        if member.kind in ("r", "s"):
            by_partition.setdefault(timer.partition, []).append((timer, member))
    tasks: dict[DueTimer, _Stored] = {}
    for number, timers in by_partition.items():
        keys = layout.partition(number)
        bodies = await _stored(lane, keys, [timer.member.encode() for timer, _ in timers])
        for (timer, member), body in zip(timers, bodies, strict=True):
            if body is not None:
                tasks[timer] = _retried(body) if member.kind == "r" else await _waiting(lane, keys, body)
    return tasks


async def _stored(lane: Lane, keys: PartitionKeys, members: Sequence[bytes]) -> list[bytes | None]:
    try:
        return await lane.call("HMGET", keys.retries, *members)
    except StoreDamaged:  # What was there is gone.
        await lane.report([keys.retries])
        return [None] * len(members)


def _retried(body: bytes) -> _Stored:
    """The task of a retry. One that cannot be read has no queue; firing buries it."""
    task = _decoded(body)
    return _NOTHING if task is None else _Stored(task.options.task_queue, task, wait_of(task))


async def _waiting(lane: Lane, keys: PartitionKeys, place: bytes) -> _Stored:
    """The task of an entry that came into its queue, if it is still there; `place`: what `_wait.lua` wrote."""
    damaged = _Stored(waits=(place, 0, 0, ""))
    entry_id, _, queue = place.decode(errors="replace").partition(" ")
    if not _ENTRY_ID.fullmatch(entry_id):
        return damaged
    try:
        found = await lane.call("XRANGE", keys.queue(queue), entry_id, entry_id)
    except (ResponseError, StoreDamaged):  # no stream, or an id that is too large: a foreign client was there
        return damaged
    return _Stored(queue, _decoded(fields_of(found[0][1]).get(b"t")) if found else None, damaged.waits)


def _decoded(body: bytes | None) -> Task | None:
    try:
        return decode_task(body) if body is not None else None
    except Unreadable:
        return None


def _content(member: _Member, due: int, raw: bytes, stored: _Stored) -> tuple[Argument, Argument]:
    execution, key = member.execution, member.key
    match member.kind:
        case "t":
            return execution, encode(TimerDue(execution=execution, seq=int(key), due=due))
        case "c":
            return execution, encode(ActivityFailure(execution=execution, seq=int(key), failure=NO_END))
        case "s":
            vanished = ActivityFailure(execution=execution, seq=int(key), failure=NO_START)
            return execution, encode(vanished if stored.task is None else not_begun(stored.task))
        case "u":
            return key, b""
        case _:
            return "", pack_fields([(b"timer", raw)])


def _ms(score: bytes) -> int:
    """A score as time; a foreign client may have written an infinite one."""
    return int(max(-_FOREVER, min(float(score), _FOREVER)))


def _read(member: str) -> _Member:
    try:
        kind, execution, key, instance = read_timer_member(member)
        if kind in ("t", "c", "s"):
            key = int(key)
    except (ValueError, UnicodeEncodeError):  # msgspec's errors are ValueErrors
        return _Member("x")
    return _Member(kind, execution, key, instance)
