"""What happens at a time: a timer of an execution is due, a parked instance may go on, a retry goes back to its queue,
a call of an activity was not closed, or not started, in time.

Invariant: a timer leaves the set in the same step in which it takes effect, so it takes effect once whoever fires it.
"""

from __future__ import annotations

from collections.abc import Sequence

from redurable.core.codec import decode_task
from redurable.core.limits import NO_END, NO_START, not_begun
from redurable.core.messages import ActivityFailure, Message, TimerDue
from redurable.store.memory.admission import put_or_bury
from redurable.store.memory.state import MemoryHub, Partition, read_timer_member
from redurable.store.memory.streams import parse_id
from redurable.store.memory.tasks import BODY, push_task
from redurable.store.port import DueTimer, Fired, Upcoming


def upcoming(hub: MemoryHub, partitions: Sequence[int], horizon_ms: int, count: int) -> Upcoming:
    """Timers due within `horizon_ms`, earliest first."""
    now = hub.clock()
    due = [
        DueTimer(at, number, member)
        for number in partitions
        for member, at in hub.partitions[number].timers.items()
        if at <= now + horizon_ms
    ]
    return Upcoming(now, tuple(sorted(due)[:count]))


def fire(hub: MemoryHub, timers: Sequence[DueTimer]) -> Fired:
    """Let timers take effect that still exist and are due by the hub's clock, whatever the caller believes."""
    now, fired = hub.clock(), 0
    early: list[DueTimer] = []
    for timer in timers:
        partition = hub.partitions[timer.partition]
        due = partition.timers.get(timer.member)
        if due is None:
            continue
        if due > now:
            early.append(DueTimer(due, timer.partition, timer.member))
            continue
        del partition.timers[timer.member]
        _take_effect(partition, timer.member, due, now)
        fired += 1
    return Fired(now, fired, tuple(early))


def _take_effect(partition: Partition, member: str, due: int, now: int) -> None:
    kind, execution, _, instance = read_timer_member(member)
    record = partition.instances.get(instance)
    if kind == "r":
        body = partition.retries.pop(member, None)
        if body is not None:
            push_task(partition, decode_task(body))
        return
    message = _message(partition, member, due)
    if record is None:
        return
    if kind == "u":
        if record.parked_until is not None and record.parked_until <= now:
            record.parked_until = None
        partition.announce_mail(instance)
    elif message is not None and record.execution == execution and not record.status.finished:
        put_or_bury(partition, instance, message)


def _message(partition: Partition, member: str, due: int) -> Message | None:
    """What the execution is told, if anything."""
    kind, execution, key, _ = read_timer_member(member)
    match kind:
        case "t":
            return TimerDue(execution=execution, seq=int(key), due=due)
        case "c":
            return ActivityFailure(execution=execution, seq=int(key), failure=NO_END)
        case "s":
            return _not_begun(partition, execution, int(key), *partition.waits.pop(member))
        case _:
            return None


def _not_begun(partition: Partition, execution: str, seq: int, queue: str, entry_id: str) -> Message | None:
    """A task that somebody has received has begun, or its receiver sees that it is too late."""
    waiting = partition.queue(queue)
    if not waiting.is_undelivered(entry_id):
        return None
    entry = waiting.entries.get(parse_id(entry_id))
    if entry is None:  # A foreign client deleted it.
        return ActivityFailure(execution=execution, seq=seq, failure=NO_START)
    return not_begun(decode_task(entry[BODY]))
