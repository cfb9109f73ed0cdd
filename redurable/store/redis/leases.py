"""Peek-locks over time: keep them, lose them, take over those that ran out, take what others leave lying.

A lease is the idle time of a pending entry, kept by the server. Losing one is never dangerous: the fence of the commit
and the acknowledgement of the task decide who was in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.delivery import Entry
from redurable.core.values import ABSENT
from redurable.errors import StoreDamaged
from redurable.store.port import Lost, Reclaimed, TaskDemand, TaskLease
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.receiving import rotated
from redurable.store.redis.tasks import leases_of
from redurable.store.redis.turns import entries_of
from redurable.store.redis.wire import call_field

_MOST = 1000
"""So many leases are renewed in one script call."""
_CANCELED = 2
"""What `renew.lua` says of a task that is held in vain."""

_NO_TASK: tuple[Argument, ...] = (0, "", 0, "")


async def renew(
    lane: Lane, layout: Layout, consumer: str, entries: Sequence[Entry], tasks: Sequence[TaskLease]
) -> Lost:
    """Start the leases anew that this consumer still holds; return those that it does not, or holds in vain."""
    everything = [*entries, *tasks]
    lost: list[Entry | TaskLease] = []
    canceled: list[TaskLease] = []
    for first in range(0, len(everything), _MOST):
        page = everything[first : first + _MOST]
        ring = Keyring()
        args: list[Argument] = [consumer]
        for item in page:
            keys = layout.partition(item.partition)
            if isinstance(item, Entry):
                args += (ring.shared(keys.ready), item.id, *_NO_TASK)
                continue
            args += (ring.shared(keys.queue(item.queue)), item.id, ring.shared(keys.canceled), call_field(item.task))
            if item.heartbeat is ABSENT:
                args += (0, "")
            else:
                args += (ring.shared(keys.beats), bytes(item.heartbeat))
        held: list[int] = await lane.script("renew", ring.keys, args)
        for item, answer in zip(page, held, strict=True):
            if not answer:
                lost.append(item)
            elif answer == _CANCELED and isinstance(item, TaskLease):
                canceled.append(item)
    return Lost(
        tuple(item for item in lost if isinstance(item, Entry)),
        tuple(item for item in lost if isinstance(item, TaskLease)),
        tuple(canceled),
    )


async def reclaim(
    lane: Lane,
    layout: Layout,
    consumer: str,
    partitions: Sequence[int],
    entries: int,
    entry_lease_ms: int,
    demand: TaskDemand,
    task_lease_ms: int,
) -> Reclaimed:
    """Take over what others let run out, up to `entries` ready entries and `demand` tasks of these partitions."""
    taken = await reclaim_entries(lane, layout, consumer, partitions, entries, entry_lease_ms)
    return Reclaimed(taken, await reclaim_tasks(lane, layout, consumer, partitions, demand, task_lease_ms))


async def reclaim_entries(
    lane: Lane, layout: Layout, consumer: str, partitions: Sequence[int], count: int, lease_ms: int
) -> tuple[Entry, ...]:
    """Take over ready entries whose lease ran out, this consumer's own too: their delivery may have been lost."""
    numbers = rotated(partitions)
    if not numbers or count <= 0:
        return ()
    streams = [layout.partition(number).ready for number in numbers]
    raws = await lane.script("reclaim", streams, [consumer, count, lease_ms])
    return tuple(await entries_of(lane, layout, list(zip(numbers, raws, strict=True))))


async def reclaim_tasks(
    lane: Lane, layout: Layout, consumer: str, partitions: Sequence[int], demand: TaskDemand, lease_ms: int
) -> tuple[TaskLease, ...]:
    """The same for tasks."""
    layout.queues.update(demand.queues)
    places = rotated([(number, queue) for number in partitions for queue in demand.queues])
    if not places or demand.count <= 0:
        return ()
    streams = [layout.partition(number).queue(queue) for number, queue in places]
    raws = await lane.script("reclaim", streams, [consumer, demand.count, lease_ms])
    taken = await leases_of(lane, layout, _placed(places, raws), again=True)
    holders = {
        (number, queue, entry[0].decode()): entry[2].decode(errors="replace")
        for (number, queue), entries in zip(places, raws, strict=True)
        for entry in entries
    }
    return tuple([await _left_by(lane, layout, lease, holders) for lease in taken])


async def _left_by(lane: Lane, layout: Layout, lease: TaskLease, holders: dict[tuple[int, str, str], str]) -> TaskLease:
    """What is known of the holder who let the lease run out; it can store no more details."""
    beats = layout.partition(lease.partition).beats
    try:
        details = await lane.call("HGET", beats, call_field(lease.task))
    except StoreDamaged:  # What was there is gone.
        await lane.report([beats])
        details = None
    heartbeat = ABSENT if details is None else Raw(details)
    return replace(lease, holder=holders[lease.partition, lease.queue, lease.id], heartbeat=heartbeat)


async def recover(lane: Lane, layout: Layout, consumer: str) -> Reclaimed:
    """All that this consumer holds, in all ready streams and in the task queues that it has read from."""
    numbers = range(layout.partitions)
    places = [(number, queue) for number in numbers for queue in sorted(layout.queues)]
    ready = await lane.script("recover", [layout.partition(number).ready for number in numbers], [consumer])
    entries = await entries_of(lane, layout, list(zip(numbers, ready, strict=True)))
    if not places:
        return Reclaimed(tuple(entries))
    raws = await lane.script("recover", [layout.partition(number).queue(queue) for number, queue in places], [consumer])
    return Reclaimed(tuple(entries), tuple(await leases_of(lane, layout, _placed(places, raws), again=True)))


async def steal(
    lane: Lane, layout: Layout, consumer: str, partitions: Sequence[int], count: int, waited_ms: int
) -> list[Entry]:
    """Take undelivered ready entries of the partitions whose oldest one has waited for `waited_ms`."""
    numbers = rotated(partitions)
    if not numbers or count <= 0:
        return []
    raws = await lane.script(
        "steal", [layout.partition(number).ready for number in numbers], [consumer, count, waited_ms]
    )
    return await entries_of(lane, layout, list(zip(numbers, raws, strict=True)))


def _placed(places: Sequence[tuple[int, str]], raws: Sequence[list[Any]]) -> list[tuple[int, str, list[Any]]]:
    return [(number, queue, entries) for (number, queue), entries in zip(places, raws, strict=True) if entries]
