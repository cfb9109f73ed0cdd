"""Attempts that somebody else completes: taken away by token, where they are held or lie in their queue; and where the
calls of an instance stand.

Invariant: whoever takes an attempt away puts down what follows from it in the same step, so it ends once.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.codec import Unreadable, decode_task
from redurable.core.completion import Completion, is_held, is_of, sequel
from redurable.core.tokens import Token
from redurable.core.values import Task
from redurable.store.inspect import Underway
from redurable.store.memory.state import MemoryHub, Partition
from redurable.store.memory.streams import Fields, format_id, parse_id
from redurable.store.memory.tasks import BODY, beat_key, goes_on, put_down, retry_member
from redurable.store.port import MOST_SEARCHED


def settle(hub: MemoryHub, said: Completion) -> bool:
    """Do what is said of an attempt; False when it is not under way."""
    token = said.token
    partition = hub.of(token.instance)
    if token.hub != hub.name or not goes_on(partition, token.instance, token.execution):
        return False
    member = retry_member(token.execution, token.seq, token.instance)
    held, queued = partition.retries.get(member), _queued(partition, token)
    if held is not None and is_held(token, decode_task(held)):
        task = decode_task(partition.retries.pop(member))
        partition.timers.pop(member, None)
    elif queued is None:
        return False
    elif not said.ends:
        return True  # Its function is running, and the worker watches it.
    else:
        partition.queue(token.queue).acknowledge(token.entry)
        details = partition.beats.pop(beat_key(queued), None)
        task = queued if details is None else replace(queued, heartbeat=Raw(details))
    put_down(partition, task, sequel(task, said, partition.clock()))
    return True


def underway(hub: MemoryHub, instance: str, execution: str, calls: Sequence[tuple[int, str]]) -> list[Underway | None]:
    """What there is of each call."""
    partition = hub.of(instance)
    return [_call(partition, instance, execution, seq, queue) for seq, queue in calls]


def _call(partition: Partition, instance: str, execution: str, seq: int, queue: str) -> Underway | None:
    member = retry_member(execution, seq, instance)
    if member in partition.retries:
        return Underway(decode_task(partition.retries[member]), due=partition.timers[member])
    waiting = partition.queues.get(queue)
    if waiting is None:
        return None
    holders = waiting.holders()
    for entry_id in list(waiting.entries)[:MOST_SEARCHED]:
        task = _task(waiting.entries[entry_id])
        if task is not None and (task.instance, task.execution, task.seq) == (instance, execution, seq):
            return Underway(task, holder=holders.get(format_id(entry_id), ""))
    return None


def _queued(partition: Partition, token: Token) -> Task | None:
    """The task of a token, if somebody has received it and it lies in its queue."""
    queue = partition.queues.get(token.queue)
    if queue is None or token.entry not in queue.holders():
        return None
    task = _task(queue.entries.get(parse_id(token.entry), {}))
    return task if task is not None and task.held is None and is_of(token, task) else None


def _task(fields: Fields) -> Task | None:
    try:
        return decode_task(fields.get(BODY, b""))
    except Unreadable:
        return None
