"""Activity work: into a queue, out to one worker by peek-lock, and its outcome into the mailbox of who asked.

Invariant: a task is acknowledged in the same step in which its outcome, or its next attempt, is put down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from redurable.core.attempts import Sequel
from redurable.core.codec import Unreadable, decode_task, encode
from redurable.core.delivery import DeadLetter
from redurable.core.limits import GRACE_MS, MOST_MARKS, MOST_NEWS
from redurable.core.values import ABSENT, Task
from redurable.store.memory.admission import bury, put_or_bury
from redurable.store.memory.state import MemoryHub, Partition, timer_member
from redurable.store.memory.streams import Item, parse_id
from redurable.store.port import CanceledCalls, DueTimer, TaskDemand, TaskLease

BODY = b"t"


def push_task(partition: Partition, task: Task) -> list[DueTimer]:
    """Put a task at the end of its queue. Returns the timer of its wait there, if that is limited."""
    now, queue = partition.clock(), task.options.task_queue
    entry_id = partition.queue(queue).append(now, {BODY: encode(task)})
    limit = task.options.timeouts.schedule_to_start
    if not limit:
        return []
    member = timer_member("s", task.execution, task.seq, task.instance)
    partition.waits[member] = queue, entry_id
    return [set_timer(partition, member, (task.waiting_since or now) + limit)]


def limit_call(partition: Partition, task: Task) -> list[DueTimer]:
    """The timer of a call as a whole, if it is limited."""
    if not task.close_by:
        return []
    return [set_timer(partition, timer_member("c", task.execution, task.seq, task.instance), task.close_by + GRACE_MS)]


def close_call(partition: Partition, execution: str, seq: int, instance: str) -> None:
    """The timers of a call go, and its retry that waits."""
    for kind in ("c", "s", "r"):
        member = timer_member(kind, execution, seq, instance)
        partition.timers.pop(member, None)
        partition.waits.pop(member, None)
        partition.retries.pop(member, None)


def tell_canceled(partition: Partition, instance: str, execution: str, seqs: Sequence[int]) -> None:
    """News of these calls, and their marks."""
    fields = {b"i": instance.encode(), b"x": execution.encode(), b"s": msgspec.json.encode(seqs)}
    partition.cancels.append(partition.clock(), fields)
    partition.cancels.trim(MOST_NEWS)
    partition.canceled.update(dict.fromkeys((instance, execution, seq) for seq in seqs))
    while len(partition.canceled) > MOST_MARKS:
        del partition.canceled[next(iter(partition.canceled))]


def canceled(hub: MemoryHub, after: dict[int, str]) -> list[tuple[int, CanceledCalls]]:
    """News behind these ids."""
    news: list[tuple[int, CanceledCalls]] = []
    for number, position in after.items():
        stream = hub.partitions[number].cancels
        for entry_id, fields in stream.after(parse_id(position), len(stream)):
            seqs = msgspec.json.decode(fields[b"s"], type=tuple[int, ...])
            news.append((number, CanceledCalls(entry_id, fields[b"i"].decode(), fields[b"x"].decode(), seqs)))
    return news


def is_canceled(partition: Partition, task: Task) -> bool:
    """Whether there is a mark of this task's call."""
    return (task.instance, task.execution, task.seq) in partition.canceled


def set_timer(partition: Partition, member: str, due: int) -> DueTimer:
    """A member of the timer set, from now on due then."""
    partition.timers[member] = due
    return DueTimer(due, partition.number, member)


def retry_member(execution: str, seq: int, instance: str) -> str:
    """The timer of a call's retry that waits."""
    return timer_member("r", execution, seq, instance)


def beat_key(task: Task) -> str:
    """The call whose heartbeat details these are."""
    return timer_member("h", task.execution, task.seq, task.instance)


def take_tasks(hub: MemoryHub, consumer: str, demand: TaskDemand, partitions: Iterable[int]) -> list[TaskLease]:
    """Take up to `demand.count` tasks from these partitions."""
    leases: list[TaskLease] = []
    for number in partitions:
        partition = hub.partitions[number]
        for queue in demand.queues:
            taken = partition.queue(queue).take(partition.clock(), consumer, demand.count - len(leases))
            leases += read_tasks(partition, queue, taken)
    return leases


def read_tasks(partition: Partition, queue: str, items: Sequence[Item], again: bool = False) -> list[TaskLease]:
    """Tasks as values; what cannot be read goes to the dead letters."""
    leases: list[TaskLease] = []
    for entry_id, fields in items:
        try:
            task = decode_task(fields.get(BODY, b""))
        except Unreadable as error:
            partition.queue(queue).acknowledge(entry_id)
            bury(partition, DeadLetter(str(error), "", tuple(fields.items())))
        else:
            leases.append(TaskLease(partition.number, queue, entry_id, task, again, parse_id(entry_id)[0]))
    return leases


def acknowledge(hub: MemoryHub, lease: TaskLease) -> bool:
    """Take an attempt that ended out of its queue. False when that came too late."""
    partition = hub.partitions[lease.partition]
    if not partition.queue(lease.queue).acknowledge(lease.id):
        return False
    if lease.heartbeat is not ABSENT:
        partition.beats.pop(beat_key(lease.task), None)
    return True


def goes_on(partition: Partition, instance: str, execution: str) -> bool:
    """Whether this execution is there, and is not over."""
    record = partition.instances.get(instance)
    return record is not None and record.execution == execution and not record.status.finished


def put_down(partition: Partition, task: Task, sequel: Sequel) -> DueTimer | None:
    """What follows from the end of an attempt, if the execution that asked is still there. Returns the timer of a retry
    that waits."""
    if not goes_on(partition, task.instance, task.execution):
        return None
    if sequel.retry is not None:
        return _retry(partition, sequel.retry, sequel.delay_ms)
    if sequel.message is not None:
        put_or_bury(partition, task.instance, sequel.message)
    return None


def _retry(partition: Partition, task: Task, delay_ms: int) -> DueTimer | None:
    if delay_ms <= 0:
        push_task(partition, task)
        return None
    member = retry_member(task.execution, task.seq, task.instance)
    partition.retries[member] = encode(task)
    return set_timer(partition, member, partition.clock() + delay_ms)


def put_back(hub: MemoryHub, consumer: str, lease: TaskLease) -> None:
    """Put a task that was not begun back into its queue, so that the next receiver gets it at once."""
    partition = hub.partitions[lease.partition]
    queue, task = partition.queue(lease.queue), lease.task
    if queue.is_held_by(consumer, lease.id):
        queue.acknowledge(lease.id)
        if lease.heartbeat is not ABSENT:
            partition.beats.pop(beat_key(task), None)
            task = replace(task, heartbeat=lease.heartbeat)
        push_task(partition, task)
