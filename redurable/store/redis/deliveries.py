"""A row of `_checkout.lua` -> `Delivery`. Here the bytes of histories, start slots and mailboxes are read.

What cannot be read never fails a batch: it becomes the `unreadable` of its own delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from redurable.core.codec import Unreadable, decode_event, decode_start
from redurable.core.delivery import Delivery, Entry, Position
from redurable.core.events import Event
from redurable.core.messages import Mail, StartExecution
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreUnavailable
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import mail_of, unread_of

PAGE: Final = 200
_ATTEMPTS: Final = 5
_ROW: Final = 10
_DAMAGED: Final = 12
_WHOLE: Final = 15
"""A row of fewer values tells of damaged data, or (still fewer) that there is no such instance."""
_NOWHERE: Final[tuple[Argument, ...]] = ("", 0, "")
_NONE: Final[dict[str, int]] = {}
_STATUS = {status.value.encode(): status for status in RuntimeStatus}

Row = list[Any]


def instance_keys(keys: PartitionKeys, instance: str) -> tuple[str, str, str, str]:
    """The KEYS of `_checkout.lua`."""
    return keys.instance(instance), keys.start(instance), keys.mailbox(instance), keys.history(instance)


async def checkout(
    lane: Lane, layout: Layout, entries: Sequence[Entry], known: Sequence[Position | None]
) -> list[Delivery]:
    """Read what a turn of each entry needs."""
    keys: list[str] = []
    args: list[Argument] = []
    for entry, position in zip(entries, known, strict=True):
        keys += instance_keys(layout.partition(entry.partition), entry.instance)
        args += (position.execution, position.length, position.commit) if position else _NOWHERE
    if not keys:
        return []
    now, *rows = await lane.script("checkout", keys, args)
    return await deliveries_of(lane, layout, int(now), list(zip(entries, rows, known, strict=True)))


async def deliveries_of(
    lane: Lane, layout: Layout, now: int, rows: Sequence[tuple[Entry, Row, Position | None]]
) -> list[Delivery]:
    """The deliveries of rows; goes back to the server where a row holds a part only, or its position is not true."""
    deliveries: list[Delivery] = []
    for entry, row, position in rows:
        delivery = read_row(entry, now, row, position, layout.max_payload)
        deliveries.append(delivery or await _read_again(lane, layout, entry, now, row, position))
    return deliveries


def read_row(entry: Entry, now: int, row: Row, position: Position | None, max_payload: int) -> Delivery | None:
    """The delivery, when all of it is in the row."""
    if len(row) < _WHOLE:
        return _without_history(entry, now, row)
    if row[10] + len(row[13]) < row[11]:
        return None
    return _build(entry, now, row, row[13], position, max_payload)


async def _read_again(
    lane: Lane, layout: Layout, entry: Entry, now: int, row: Row, position: Position | None
) -> Delivery:
    keys = layout.partition(entry.partition)
    for _ in range(_ATTEMPTS):
        events = await _page(lane, keys, entry.instance, row)
        delivery = _build(entry, now, row, events, position, layout.max_payload) if events is not None else None
        if delivery is not None:
            return delivery
        answer = await lane.script("checkout", instance_keys(keys, entry.instance), _NOWHERE)
        now, row, position = int(answer[0]), answer[1], None
        if len(row) < _WHOLE:
            return _without_history(entry, now, row)
    raise StoreUnavailable(f"the history of {entry.instance!r} moved {_ATTEMPTS} times while it was read")


async def _page(lane: Lane, keys: PartitionKeys, instance: str, row: Row) -> list[bytes] | None:
    """All events of a row, those too that it left out; None when the instance moved meanwhile."""
    base, length = row[10], row[11]
    events: list[bytes] = list(row[13])
    if base + len(events) == length:
        return events
    while base + len(events) < length:
        at = base + len(events)
        page = await lane.call("LRANGE", keys.history(instance), at, min(at + PAGE, length) - 1)
        if not page:
            return None
        events += page
    head = await lane.call("HGET", keys.instance(instance), "h")
    return events if head == row[3] else None


def _without_history(entry: Entry, now: int, row: Row) -> Delivery:
    """No such instance, or one whose keys another program damaged."""
    if len(row) < _DAMAGED:
        return Delivery(entry, now)
    why = row[11].decode(errors="replace")
    return _delivery(entry, now, row, unreadable=f"what is stored of {entry.instance!r} is damaged: {why}")


def _build(
    entry: Entry, now: int, row: Row, raw: list[bytes], position: Position | None, max_payload: int
) -> Delivery | None:
    """The delivery with these events, or None when the position turned out not to be true."""
    base: int = row[10]
    try:
        if row[0] not in _STATUS:
            raise Unreadable(f"status {row[0]!r} is of another release")
        events = tuple([decode_event(event) for event in raw])
        start = decode_start(row[14]) if row[14] else None
    except Unreadable as error:
        return _delivery(entry, now, row, unreadable=f"what is stored of {entry.instance!r} cannot be read: {error}")
    if position is not None and base == position.length - 1 and row[2] == position.execution.encode():
        if not events or events[0].commit != position.commit:
            return None
        base, events = position.length, events[1:]
    mails = tuple([mail_of(mail, max_payload) for mail in row[12]])
    delivery = _delivery(entry, now, row, base, events, start, mails)
    if len(row) > _WHOLE and row[_WHOLE]:
        return msgspec.structs.replace(delivery, control=mail_of(row[_WHOLE], max_payload))
    return delivery


def _delivery(
    entry: Entry,
    now: int,
    row: Row,
    base: int = 0,
    events: tuple[Event, ...] = (),
    start: StartExecution | None = None,
    mails: tuple[Mail, ...] = (),
    unreadable: str = "",
) -> Delivery:
    status, name, execution, head, announced, _, parks, parked_until, unread, heard = row[:_ROW]
    return Delivery(
        entry,
        now,
        _text(head),
        _STATUS.get(status, RuntimeStatus.RUNNING) if status is not None else None,
        _text(name),
        _text(execution),
        _text(announced),
        int(parks.lstrip(b"-")) if parks and parks.lstrip(b"-").isdigit() else 0,
        unreadable,
        start,
        mails,
        base,
        events,
        int(parked_until) if parked_until and parked_until.isdigit() else 0,
        unread_of(unread) if unread else _NONE,
        _text(heard) if heard else "",
        held=bool(parks and parks.startswith(b"-")),
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
