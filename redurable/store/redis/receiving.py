"""The peek-lock: receive entries of several streams for this consumer, at once or as soon as there are some."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from random import randrange
from typing import Any, Final, TypeAlias, TypeVar

from redis.exceptions import ResponseError

from redurable.errors import StoreDamaged
from redurable.store.redis.keys import GROUP
from redurable.store.redis.lane import Argument, Lane

LONGEST_BLOCK_MS: Final = 2_000

Taken: TypeAlias = list[tuple[int, list[Any]]]
"""(position of the stream, from 0; its raw entries) of each stream that had some."""

T = TypeVar("T")


async def take(lane: Lane, consumer: str, streams: Sequence[str], count: int, block_ms: int) -> Taken:
    """Up to `count` entries; waits up to `block_ms` for the first (then a few more than `count` may come)."""
    if not streams or count <= 0:
        await asyncio.sleep(block_ms / 1000)
        return []
    taken = taken_of(await lane.script("take", streams, [consumer, count]))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + block_ms / 1000
    while not taken and (left := math.ceil((deadline - loop.time()) * 1000)) > 0:
        taken = await _wait(lane, consumer, streams, count, min(left, LONGEST_BLOCK_MS))
    return taken


def taken_of(reply: list[Any]) -> Taken:
    """What `_take.lua` returned."""
    return [(position - 1, entries) for position, entries in reply]


def rotated(items: Sequence[T]) -> list[T]:
    """The items from a random one on, so that none is always last when the budget is short."""
    if len(items) < 2:
        return list(items)
    first = randrange(len(items))
    return [*items[first:], *items[:first]]


async def _wait(lane: Lane, consumer: str, streams: Sequence[str], count: int, block_ms: int) -> Taken:
    each = max(1, count // len(streams))
    command: list[Argument] = ["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", each, "BLOCK", block_ms, "STREAMS"]
    try:
        reply: list[Any] | None = await lane.block(block_ms, *command, *streams, *[">"] * len(streams))
    except StoreDamaged:
        return await _wait_for_others(lane, consumer, streams, count, block_ms)
    except ResponseError as error:
        if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
            raise
        return taken_of(await lane.script("take", streams, [consumer, count]))  # makes the groups of deleted streams
    position = {stream.encode(): at for at, stream in enumerate(streams)}
    return [(position[stream], entries) for stream, entries in reply or []]


async def _wait_for_others(lane: Lane, consumer: str, streams: Sequence[str], count: int, block_ms: int) -> Taken:
    """Another program wrote over some of the streams: wait for the others."""
    damaged = set(await lane.report(streams))
    sound = [at for at, stream in enumerate(streams) if stream not in damaged]
    if not sound or not damaged:
        await asyncio.sleep(block_ms / 1000)
        return []
    taken = await _wait(lane, consumer, [streams[at] for at in sound], count, block_ms)
    return [(sound[at], entries) for at, entries in taken]
