"""News of cancelled calls of activities: workers read them as they come, and stop what nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from redurable.errors import StoreDamaged
from redurable.store.port import CanceledCalls
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import read_canceled

_BEGINNING: Final = "0-0"
_MOST: Final = 1_000


async def canceled(
    lane: Lane, layout: Layout, after: Mapping[int, str], block_ms: int
) -> list[tuple[int, CanceledCalls]]:
    """News of these partitions behind these ids, waiting up to `block_ms` (0: not at all). A stream that another
    program wrote over is left out."""
    numbers = {layout.partition(number).cancels: number for number in after}
    positions = {stream: after[number] or _BEGINNING for stream, number in numbers.items()}
    try:
        reply = await _read(lane, positions, block_ms)
    except StoreDamaged:
        damaged = await lane.report(list(positions))
        sound = {stream: position for stream, position in positions.items() if stream not in damaged}
        if not sound or not damaged:
            await asyncio.sleep(block_ms / 1000)
            return []
        reply = await _read(lane, sound, block_ms)
    return [(numbers[stream.decode()], read_canceled(entry)) for stream, entries in reply for entry in entries]


async def _read(lane: Lane, positions: Mapping[str, str], block_ms: int) -> list[Any]:
    command: list[Argument] = ["XREAD", "COUNT", _MOST]
    streams = ["STREAMS", *positions, *positions.values()]
    if block_ms > 0:
        return await lane.block(block_ms, *command, "BLOCK", block_ms, *streams) or []
    return await lane.call(*command, *streams) or []
