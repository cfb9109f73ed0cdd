"""Instances with mail: receive their ready entries, check them out, hand them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from redurable.core.codec import encode
from redurable.core.delivery import Delivery, Entry, Position
from redurable.core.foreign import malformed
from redurable.store.port import TaskLease
from redurable.store.redis import deliveries
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.receiving import rotated, take
from redurable.store.redis.wire import beat_field, fields_of, pack_fields, wait_of

_NO_TASK: tuple[Argument, ...] = ("", "", "", 0, 0, "")

_MOST = 500
"""So many entries or tasks go into one script call."""


async def receive(
    lane: Lane, layout: Layout, consumer: str, partitions: Sequence[int], count: int, block_ms: int
) -> list[Entry]:
    """Take ready entries of these partitions, waiting up to `block_ms` for the first (0: do not wait)."""
    numbers = rotated(partitions)
    taken = await take(lane, consumer, [layout.partition(number).ready for number in numbers], count, block_ms)
    return await entries_of(lane, layout, [(numbers[at], raw) for at, raw in taken])


async def entries_of(lane: Lane, layout: Layout, taken: Sequence[tuple[int, list[Any]]]) -> list[Entry]:
    """Raw ready entries by partition, read. One that was delivered before says how often. Foreign ones that name no
    instance go to the dead letters."""
    entries: list[Entry] = []
    keys: list[str] = []
    args: list[Argument] = []
    for number, raws in taken:
        for raw in raws:
            instance = instance_of(raw[1])
            if instance is not None:
                entries.append(Entry(number, raw[0].decode(), instance, raw[3] if len(raw) > 3 else 1))
                continue
            what = malformed("a ready entry that names no instance", fields_of(raw[1] or ()), layout.max_payload)
            keys += (layout.partition(number).ready, layout.partition(number).outbox)
            args += (raw[0], what.reason, pack_fields(what.fields))
    if keys:
        await lane.script("bury_entries", keys, args)
    return entries


def instance_of(flat: Sequence[bytes] | None) -> str | None:
    """The instance that a ready entry names; None when it names none."""
    if flat and flat[0] == b"i":
        try:
            return flat[1].decode()
        except UnicodeDecodeError:
            return None
    return None


async def checkout(
    lane: Lane, layout: Layout, consumer: str, entries: Sequence[Entry], known: Sequence[Position | None]
) -> list[Delivery]:
    """Read what a turn of each entry needs; writes nothing."""
    found: list[Delivery] = []
    for at in range(0, len(entries), _MOST):
        found += await deliveries.checkout(lane, layout, entries[at : at + _MOST], known[at : at + _MOST])
    return found


async def hand_back(
    lane: Lane, layout: Layout, consumer: str, entries: Sequence[Entry], tasks: Sequence[TaskLease]
) -> None:
    """Give up what was received but not begun, so that another worker takes it at once."""
    everything = [*entries, *tasks]
    for at in range(0, len(everything), _MOST):
        ring = Keyring()
        args: list[Argument] = [consumer]
        for item in everything[at : at + _MOST]:
            keys = layout.partition(item.partition)
            timers = ring.block(keys, keys.timers, keys.retries, keys.beats)
            if isinstance(item, Entry):
                hash_ = ring.own(keys.instance(item.instance))
                args += (ring.shared(keys.ready), hash_, item.id, item.instance, timers, *_NO_TASK)
            else:
                args += (ring.shared(keys.queue(item.queue)), 0, item.id, "", timers, *_put_back(item))
        await lane.script("hand_back", ring.keys, args)


def _put_back(lease: TaskLease) -> tuple[Argument, ...]:
    field, body = beat_field(lease), b""
    if field:
        body = encode(replace(lease.task, heartbeat=lease.heartbeat))
    return field, body, *wait_of(lease.task)
