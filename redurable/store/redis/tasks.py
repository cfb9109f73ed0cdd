"""Activity work: receive tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redurable.core.codec import Unreadable, decode_task
from redurable.core.foreign import malformed
from redurable.store.port import TaskDemand, TaskLease
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.receiving import rotated, take
from redurable.store.redis.wire import fields_of, pack_fields


async def receive_tasks(
    lane: Lane, layout: Layout, consumer: str, demand: TaskDemand, block_ms: int
) -> list[TaskLease]:
    """Take tasks, waiting up to `block_ms` for the first (0: do not wait)."""
    layout.queues.update(demand.queues)
    places = rotated([(number, queue) for number in range(layout.partitions) for queue in demand.queues])
    streams = [layout.partition(number).queue(queue) for number, queue in places]
    taken = await take(lane, consumer, streams, demand.count, block_ms)
    return await leases_of(lane, layout, [(*places[at], raw) for at, raw in taken])


async def leases_of(
    lane: Lane, layout: Layout, taken: Sequence[tuple[int, str, list[Any]]], again: bool = False
) -> list[TaskLease]:
    """Raw tasks by partition and queue, read; those that cannot be read go to the dead letters."""
    leases: list[TaskLease] = []
    keys: list[str] = []
    args: list[Argument] = []
    for number, queue, raws in taken:
        for entry_id, flat, *_ in raws:
            fields = fields_of(flat or ())
            came = int(entry_id.partition(b"-")[0])
            try:
                leases.append(TaskLease(number, queue, entry_id.decode(), decode_task(fields[b"t"]), again, came))
            except (Unreadable, KeyError) as error:
                what = malformed(f"no task in queue {queue!r}: {error!r}", fields, layout.max_payload)
                keys += (layout.partition(number).queue(queue), layout.partition(number).outbox)
                args += (entry_id, what.reason, pack_fields(what.fields))
    if keys:
        await lane.script("bury_entries", keys, args)
    return leases
