"""News of cancelled calls of activities: workers read them as they come, and stop what nobody waits for any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redurable.store.port import CanceledCalls
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import read_canceled

_BEGINNING: Final = "0-0"
_MOST: Final = 1_000


async def canceled(
    lane: Lane, layout: Layout, after: Mapping[int, str], block_ms: int
) -> list[tuple[int, CanceledCalls]]:
    """News of these partitions behind these ids, waiting up to `block_ms` (0: not at all)."""
    numbers = {layout.partition(number).cancels.encode(): number for number in after}
    command: list[Argument] = ["XREAD", "COUNT", _MOST]
    streams = ["STREAMS", *numbers, *(position or _BEGINNING for position in after.values())]
    reply: list[Any] | None
    if block_ms > 0:
        reply = await lane.block(block_ms, *command, "BLOCK", block_ms, *streams)
    else:
        reply = await lane.call(*command, *streams)
    return [(numbers[stream], read_canceled(entry)) for stream, entries in reply or () for entry in entries]
