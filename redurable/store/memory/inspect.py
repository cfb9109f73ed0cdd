"""The read side of a hub."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from redurable.core.codec import Unreadable, decode_event, decode_start
from redurable.core.events import Event, ExecutionStarted
from redurable.core.values import ABSENT, RuntimeStatus
from redurable.errors import StoreRefused
from redurable.store.inspect import Announcement, Change, Snapshot
from redurable.store.memory.state import Instance, MemoryHub, Partition
from redurable.store.memory.streams import format_id, parse_id


def get(hub: MemoryHub, instance: str) -> Snapshot | None:
    """The instance as it is now."""
    partition = hub.of(instance)
    record = partition.instances.get(instance)
    return None if record is None else _snapshot(partition, instance, record)


def _snapshot(partition: Partition, instance: str, record: Instance) -> Snapshot:
    history = partition.histories.get(instance, [])
    body, box = partition.starts.get(instance), partition.mailbox(instance)
    start = decode_start(body) if body is not None else None
    first = _event(history[0]) if history else None
    origin = first if isinstance(first, ExecutionStarted) else start
    custom, quarantine = partition.custom_statuses.get(instance), partition.quarantines.get(instance)
    return Snapshot(
        instance=instance,
        name=record.name,
        status=record.status,
        execution=record.execution,
        number=record.number,
        created_at=record.created,
        updated_at=record.updated,
        parent=origin.parent if origin else None,
        tags=origin.tags if origin else {},
        memo=origin.memo if origin else ABSENT,
        start=start,
        first=first,
        last=_event(history[-1]) if history else None,
        length=len(history),
        custom_status=None if custom is None else Raw(custom),
        unread=0 if box is None else len(box),
        unread_events=record.unread,
        quarantined=quarantine,
        parks=record.parks,
        parked_until=0 if record.held else record.parked_until or 0,
        held=record.held,
    )


def _event(body: bytes) -> Event | None:
    """An unreadable history must not hide the instance that it belongs to."""
    try:
        return decode_event(body)
    except Unreadable:
        return None


def history(hub: MemoryHub, instance: str, execution: str, page: slice) -> list[Event]:
    """A page of the history of one execution."""
    partition = hub.of(instance)
    record = partition.instances.get(instance)
    if record is not None and execution in ("", record.execution):
        bodies = partition.histories.get(instance, [])
    else:
        bodies = partition.past.get((instance, execution), [])
    return _read(instance, bodies[page])


def _read(instance: str, bodies: Sequence[bytes]) -> list[Event]:
    try:
        return [decode_event(body) for body in bodies]
    except Unreadable as error:
        raise StoreRefused(f"the history of instance {instance!r} cannot be read: {error}") from None


def executions(hub: MemoryHub, instance: str) -> list[str]:
    """All executions, oldest first."""
    partition = hub.of(instance)
    record = partition.instances.get(instance)
    return [] if record is None else [*partition.executions.get(instance, []), record.execution]


def feed_position(hub: MemoryHub, partition: int) -> str:
    """The id of the newest entry."""
    return format_id(hub.partitions[partition].feed.last)


def feed(hub: MemoryHub, after: dict[int, str]) -> list[tuple[int, Change]]:
    """Entries behind these ids."""
    changes: list[tuple[int, Change]] = []
    for number, position in after.items():
        stream = hub.partitions[number].feed
        for entry_id, fields in stream.after(parse_id(position), len(stream)):
            status = RuntimeStatus(fields[b"s"].decode())
            changes.append((number, Change(entry_id, fields[b"i"].decode(), fields[b"x"].decode(), status)))
    return changes


def announcement(hub: MemoryHub, instance: str) -> Announcement | None:
    """Who is told of the instance's mail."""
    partition = hub.of(instance)
    record = partition.instances.get(instance)
    if record is None or not record.announced or not partition.ready.is_live(record.announced):
        return None
    held = partition.ready.pending.get(parse_id(record.announced))
    return Announcement() if held is None else Announcement(held.consumer, hub.clock() - held.since, held.deliveries)
