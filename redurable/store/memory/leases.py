"""Peek-locks over time: keep them, lose them, take over those that ran out, take what others leave lying."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.delivery import Entry
from redurable.core.values import ABSENT
from redurable.store.memory.state import MemoryHub, Partition
from redurable.store.memory.tasks import beat_key, is_canceled, read_tasks
from redurable.store.memory.turns import read_ready
from redurable.store.port import Lost, Reclaimed, TaskDemand, TaskLease


def renew(hub: MemoryHub, consumer: str, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
    """Start the leases anew that this consumer still holds."""
    lost_entries: list[Entry] = []
    lost_tasks: list[TaskLease] = []
    canceled: list[TaskLease] = []
    for entry in entries:
        partition = hub.partitions[entry.partition]
        if not partition.ready.renew(partition.clock(), consumer, entry.id):
            lost_entries.append(entry)
    for lease in tasks:
        partition = hub.partitions[lease.partition]
        if not partition.queue(lease.queue).renew(partition.clock(), consumer, lease.id):
            lost_tasks.append(lease)
            continue
        if is_canceled(partition, lease.task):
            canceled.append(lease)
        if lease.heartbeat is not ABSENT:
            partition.beats[beat_key(lease.task)] = bytes(lease.heartbeat)
    return Lost(tuple(lost_entries), tuple(lost_tasks), tuple(canceled))


def reclaim_entries(
    hub: MemoryHub, consumer: str, partitions: Sequence[int], count: int, lease_ms: int
) -> tuple[Entry, ...]:
    """Take over ready entries whose lease ran out, the caller's own ones too: their delivery may have been lost."""
    entries: list[Entry] = []
    for number in partitions:
        partition = hub.partitions[number]
        claimed = partition.ready.claim(partition.clock(), consumer, lease_ms, count - len(entries))
        entries += read_ready(partition, claimed)
    return tuple(entries)


def reclaim_tasks(
    hub: MemoryHub, consumer: str, partitions: Sequence[int], demand: TaskDemand, lease_ms: int
) -> tuple[TaskLease, ...]:
    """The same for tasks."""
    leases: list[TaskLease] = []
    for number in partitions:
        partition = hub.partitions[number]
        for queue in demand.queues:
            holders = partition.queue(queue).holders()
            claimed = partition.queue(queue).claim(partition.clock(), consumer, lease_ms, demand.count - len(leases))
            taken = read_tasks(partition, queue, claimed, again=True)
            leases += [_left_by(partition, lease, holders[lease.id]) for lease in taken]
    return tuple(leases)


def _left_by(partition: Partition, lease: TaskLease, holder: str) -> TaskLease:
    """What is known of the holder who let the lease run out."""
    details = partition.beats.get(beat_key(lease.task))
    return replace(lease, holder=holder, heartbeat=ABSENT if details is None else Raw(details))


def recover(hub: MemoryHub, consumer: str) -> Reclaimed:
    """All that this consumer holds."""
    entries: list[Entry] = []
    leases: list[TaskLease] = []
    for partition in hub.partitions:
        now = partition.clock()
        entries += read_ready(partition, partition.ready.own(now, consumer))
        for name, queue in partition.queues.items():
            leases += read_tasks(partition, name, queue.own(now, consumer), again=True)
    return Reclaimed(tuple(entries), tuple(leases))


def hand_over(hub: MemoryHub, consumer: str, entries: Sequence[Entry], to: str) -> None:
    """Make entries of this consumer another's."""
    for entry in entries:
        partition = hub.partitions[entry.partition]
        if partition.ready.hand_over(partition.clock(), consumer, entry.id, to):
            hub.handed.setdefault(to, []).append(replace(entry, handed=True))


def receive_handed(hub: MemoryHub, consumer: str) -> list[Entry]:
    """What was handed over to this consumer."""
    return hub.handed.pop(consumer, [])


def steal(hub: MemoryHub, consumer: str, partitions: Sequence[int], count: int, waited_ms: int) -> list[Entry]:
    """Take undelivered ready entries of partitions whose oldest one has waited for `waited_ms`."""
    entries: list[Entry] = []
    for number in partitions:
        partition = hub.partitions[number]
        now, oldest = partition.clock(), partition.ready.oldest_waiting()
        if oldest is not None and now - oldest[0] >= waited_ms:
            entries += read_ready(partition, partition.ready.take(now, consumer, count - len(entries)))
    return entries
