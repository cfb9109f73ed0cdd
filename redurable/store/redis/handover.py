"""Ready entries from one worker to another, whose code may be the right one.

The entry changes hands in its partition; then the other is told, by its own stream of the hub. If it does not hear of
it (one of the two may die in between), the lease runs out like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from redurable.core.delivery import Entry
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import Fields, fields_of

_json = msgspec.json.Encoder()
_told = msgspec.json.Decoder(list[tuple[Annotated[int, msgspec.Meta(ge=0)], str, str, int]])
_MOST: Final = 500
_KEPT: Final = 1_000
_KEPT_MS: Final = 60_000
"""So long is kept what nobody comes for: longer than any lease."""


async def hand_over(lane: Lane, layout: Layout, consumer: str, entries: Sequence[Entry], to: str) -> None:
    """Make entries of `consumer` those of `to`, and tell it."""
    inbox = layout.hub.handed(to)
    for first in range(0, len(entries), _MOST):
        page, ring = entries[first : first + _MOST], Keyring()
        args: list[Argument] = [consumer, to]
        for entry in page:
            args += (ring.shared(layout.partition(entry.partition).ready), entry.id)
        moved = await lane.script("hand_over", ring.keys, args)
        told = [
            (entry.partition, entry.id, entry.instance, entry.deliveries)
            for entry, has in zip(page, moved, strict=True)
            if has
        ]
        if told:
            await lane.call("XADD", inbox, "MAXLEN", "~", _KEPT, "*", "e", _json.encode(told))
            await lane.call("PEXPIRE", inbox, _KEPT_MS)


async def receive_handed(lane: Lane, layout: Layout, consumer: str, block_ms: int) -> list[Entry]:
    """Entries that were handed over to `consumer`, waiting up to `block_ms`."""
    inbox = layout.hub.handed(consumer)
    read = ("STREAMS", inbox, "0")
    if block_ms > 0:
        reply = await lane.block(block_ms, "XREAD", "COUNT", _MOST, "BLOCK", block_ms, *read)
    else:
        reply = await lane.call("XREAD", "COUNT", _MOST, *read)
    told: list[Any] = reply[0][1] if reply else []
    if told:
        await lane.call("XDEL", inbox, *(entry_id for entry_id, _ in told))
    return [
        entry for _, flat in told for entry in _entries(fields_of(flat or ())) if entry.partition < layout.partitions
    ]


def _entries(fields: Fields) -> list[Entry]:
    """Nothing of what some other program wrote."""
    try:
        told = _told.decode(fields.get(b"e", b""))
    except (msgspec.DecodeError, RecursionError):
        return []
    return [Entry(partition, entry_id, instance, count, handed=True) for partition, entry_id, instance, count in told]
