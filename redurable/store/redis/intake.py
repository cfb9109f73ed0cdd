"""The way out of the intake. Any client may write to that stream, and whoever may XADD to it may also trim it or use up
its ids; what that does is found here, told, and healed.

An intake whose ids are used up is put aside and followed by another one. Their entries' ids would start anew, and
watermarks would take them for old ones: behind the first intake of a hub, ids get its number in front, `1/…`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout

MOST_BYTES = 1_000_000
"""A batch of the intake ends behind the entries with which it has so many bytes."""
_MOST_PAYLOADS = 3
"""Of one entry: its arguments, its tags and its memo."""
_UNBOUNDED = 1 << 40
_BESIDE = 65_536
"""Its names and ids."""


class Batch(Struct, frozen=True):
    """Entries as the server sent them, of the intake with this number: id, fields, and the number of bytes of those
    that are too large to be read. `told`: what other programs did to it."""

    number: int
    entries: Sequence[Any]
    told: tuple[str, ...]

    def numbered(self) -> list[Any]:
        """The entries, with ids that are above those of every earlier intake."""
        prefix = b"%d/" % self.number if self.number else b""
        return [(prefix + entry_id, *rest) for entry_id, *rest in self.entries]


async def read(lane: Lane, layout: Layout, count: int, block_ms: int) -> Batch:
    """The oldest entries, at most `count`; waits up to `block_ms` for the first one."""
    batch = await _take(lane, layout, count, 0, ())
    if batch.entries or batch.told or block_ms <= 0:
        return batch
    if await lane.block(block_ms, "XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", layout.hub.intake, "0"):
        return await _take(lane, layout, count, 0, ())
    return batch


async def drop(lane: Lane, layout: Layout, batch: Batch) -> tuple[str, ...]:
    """Delete the entries of a batch, which were routed; return all that there is to tell by now."""
    after = await _take(lane, layout, 0, batch.number, [entry[0] for entry in batch.entries])
    return batch.told + after.told


async def _take(lane: Lane, layout: Layout, count: int, number: int, routed: Sequence[bytes]) -> Batch:
    keys = layout.hub
    names = [keys.intake, keys.aside, keys.marks, keys.dead]
    longest = min(_MOST_PAYLOADS * layout.max_payload + _BESIDE, _UNBOUNDED)
    found, entries, told = await lane.script("intake", names, [count, MOST_BYTES, longest, number, *routed])
    return Batch(found, entries, tuple(text.decode() for text in told))
