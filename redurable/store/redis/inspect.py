"""The read side of a hub. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from redurable.core.codec import Unreadable, decode_event, decode_start
from redurable.core.delivery import Quarantine
from redurable.core.events import Event, ExecutionStarted
from redurable.core.messages import StartExecution
from redurable.core.values import ABSENT, RuntimeStatus
from redurable.errors import StoreDamaged, StoreRefused
from redurable.store.inspect import Announcement, Change
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import fields_of, unread_of
from redurable.store.snapshots import Snapshot

NOWHERE = "0-0"
"""Before every stream id."""

_MOST_CHANGES = 1000


_quarantine = msgspec.json.Decoder(Quarantine)


async def get(lane: Lane, layout: Layout, consumer: str, instance: str) -> Snapshot | None:
    """The instance as it is now. What cannot be read of it is left out, so that the rest can be seen."""
    keys = layout.of(instance)
    (reply,) = await lane.script("inspect", inspect_keys(keys, instance), [1])
    return None if reply is None else snapshot_of(instance, reply)


def inspect_keys(keys: PartitionKeys, instance: str) -> tuple[str, ...]:
    """What `inspect.lua` reads of an instance."""
    own = keys.instance(instance), keys.start(instance), keys.mailbox(instance), keys.history(instance)
    return *own, keys.custom_status(instance), keys.quarantine(instance)


def snapshot_of(instance: str, reply: list[Any]) -> Snapshot:
    """What `inspect.lua` says of an instance. Raises `StoreRefused` for what cannot be read and left out."""
    lost = [field for field, value in zip("nxkcu", reply[1:6], strict=True) if value is None]
    if lost:
        raise StoreDamaged(f"instance {instance!r} cannot be read: its hash has lost {', '.join(lost)}")
    try:
        return _snapshot(instance, reply)
    except ValueError as error:
        raise StoreDamaged(
            f"instance {instance!r} cannot be read: another program has written into its hash: {error}"
        ) from None


def _snapshot(instance: str, reply: list[Any]) -> Snapshot:
    status, name, execution, number, created, updated, slot, unread, length, oldest, newest, custom, *rest = reply
    mark, events, until, parks = rest
    held = (parks or b"").startswith(b"-")
    start, first = _start(slot), _event(oldest)
    origin = first if isinstance(first, ExecutionStarted) else start
    return Snapshot(
        instance=instance,
        name=name.decode(),
        status=_status(instance, status),
        execution=execution.decode(),
        number=int(number),
        created_at=int(created),
        updated_at=int(updated),
        parent=origin.parent if origin else None,
        tags=origin.tags if origin else {},
        memo=origin.memo if origin else ABSENT,
        start=start,
        first=first,
        last=_event(newest),
        length=length,
        custom_status=None if custom is None else Raw(custom),
        unread=unread,
        unread_events=unread_of(events),
        quarantined=_mark(mark, int(updated)),
        parks=abs(int(parks or 0)),
        parked_until=0 if held else int(until or 0),
        held=held,
    )


def _status(instance: str, status: bytes) -> RuntimeStatus:
    try:
        return RuntimeStatus(status.decode(errors="replace"))
    except ValueError:
        raise StoreRefused(
            f"instance {instance!r} has status {status!r}, of another release: update redurable"
        ) from None


def _start(body: bytes | None) -> StartExecution | None:
    try:
        return decode_start(body) if body is not None else None
    except Unreadable:
        return None


def _event(body: bytes | None) -> Event | None:
    try:
        return decode_event(body) if body is not None else None
    except Unreadable:
        return None


def _mark(body: bytes | None, updated: int) -> Quarantine | None:
    if body is None:
        return None
    try:
        return _quarantine.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return Quarantine(updated, "unreadable", body.decode(errors="replace"))


async def history(
    lane: Lane, layout: Layout, consumer: str, instance: str, execution: str = "", start: int = 0, count: int = 1000
) -> list[Event]:
    """A page of the history of an execution (default: the current one); `StoreRefused` when it cannot be read."""
    if count <= 0:
        return []
    keys = layout.of(instance)
    names = [keys.instance(instance), keys.history(instance), keys.past(instance, execution)]
    bodies = await lane.script("history", names, [execution, start, start + count - 1])
    try:
        return [decode_event(body) for body in bodies]
    except Unreadable as error:
        raise StoreRefused(f"the history of instance {instance!r} cannot be read: {error}") from None


async def executions(lane: Lane, layout: Layout, consumer: str, instance: str) -> list[str]:
    """The ids of all executions, oldest first; none when there is no such instance."""
    keys = layout.of(instance)
    ids = await lane.script("executions", [keys.instance(instance), keys.executions(instance)], [])
    return [execution.decode() for execution in ids]


async def feed_position(lane: Lane, layout: Layout, consumer: str, partition: int) -> str:
    """The id of the newest entry of the feed."""
    newest = await lane.call("XREVRANGE", layout.partition(partition).feed, "+", "-", "COUNT", 1)
    return newest[0][0].decode() if newest else NOWHERE


async def feed(
    lane: Lane, layout: Layout, consumer: str, after: Mapping[int, str], block_ms: int
) -> list[tuple[int, Change]]:
    """Entries of these partitions' feeds after these ids, waiting up to `block_ms` (0: not at all)."""
    if not after:
        return []
    numbers = {layout.partition(number).feed.encode(): number for number in after}
    streams = ["STREAMS", *numbers, *(position or NOWHERE for position in after.values())]
    if block_ms > 0:
        reply = await lane.block(block_ms, "XREAD", "COUNT", _MOST_CHANGES, "BLOCK", block_ms, *streams)
    else:
        reply = await lane.call("XREAD", "COUNT", _MOST_CHANGES, *streams)
    return [
        (numbers[stream], change)
        for stream, entries in reply or ()
        for entry in entries
        if (change := _change(entry)) is not None
    ]


def _change(entry: list[Any]) -> Change | None:
    """None for an entry that is not the runtime's."""
    fields = fields_of(entry[1])
    try:
        status = RuntimeStatus(fields[b"s"].decode())
        return Change(entry[0].decode(), fields[b"i"].decode(), fields[b"x"].decode(), status)
    except (KeyError, ValueError):
        return None


def mailbox_key(layout: Layout, instance: str) -> str:
    """The name of the stream that is the instance's mailbox."""
    return layout.of(instance).mailbox(instance)


async def announcement(lane: Lane, layout: Layout, consumer: str, instance: str) -> Announcement | None:
    """Who is told of the instance's mail."""
    keys = layout.of(instance)
    found = await lane.script("announcement", [keys.instance(instance), keys.ready], [])
    return None if found is None else Announcement(found[0].decode(), int(found[1]), int(found[2]))
