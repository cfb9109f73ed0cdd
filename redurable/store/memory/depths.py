"""How much work lies where in a hub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redurable.store.depths import MOST_QUEUES, SEEN_MS, Depth, Depths
from redurable.store.memory.state import MemoryHub
from redurable.store.memory.streams import PeekLock, StreamId


def depths(hub: MemoryHub, queues: Sequence[str]) -> Depths:
    """In these task queues, and in all that workers say they serve."""
    now, partitions = hub.clock(), hub.partitions
    return Depths(
        now=now,
        ready=_depth(now, [partition.ready for partition in partitions]),
        queues={
            name: _depth(now, [partition.queues[name] for partition in partitions if name in partition.queues])
            for name in _queues(hub, queues)
        },
        intake=len(hub.intake),
        outbox=sum(len(partition.outbox) for partition in partitions),
        answers=sum(len(partition.answers) for partition in partitions),
        dead=len(hub.dead),
        timers=sum(len(partition.timers) for partition in partitions),
        due=sum(due <= now for partition in partitions for due in partition.timers.values()),
        open=sum(len(partition.open) for partition in partitions),
    )


def _queues(hub: MemoryHub, asked: Iterable[str]) -> list[str]:
    told = {name for _, skills in hub.workers.values() for name in skills.task_queues} | hub.served
    return sorted(dict.fromkeys([*asked, *sorted(told)][:MOST_QUEUES]))


def _depth(now: int, groups: Sequence[PeekLock]) -> Depth:
    waiting = [oldest for group in groups if (oldest := group.oldest_waiting()) is not None]
    pending = [min(group.pending) for group in groups if group.pending]
    seen = {name for group in groups for name, at in group.consumers.items() if now - at < SEEN_MS}
    return Depth(
        length=sum(len(group) for group in groups),
        lag=sum(sum(entry_id > group.delivered for entry_id in group.entries) for group in groups),
        pending=sum(len(group.pending) for group in groups),
        consumers=len(seen),
        waiting_ms=_age(now, waiting),
        pending_ms=_age(now, pending),
    )


def _age(now: int, ids: Sequence[StreamId]) -> int:
    """At least 1 for whatever there is, so that 0 says that there is nothing."""
    return max(1, now - min(ids)[0]) if ids else 0
