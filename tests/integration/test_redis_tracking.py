"""Reads that the server remembers: what it tells of them, and when what is known of them is worth nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from redurable.errors import StoreDamaged
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Lane
from redurable.store.redis.tracking import Tracking
from tests.support.servers import Server


@pytest.fixture
async def tracking(foreign: Lane, hub: str) -> AsyncIterator[Tracking]:
    opened = Tracking(foreign)
    yield opened
    await opened.close()


async def test_what_was_written_before_a_reply_is_told_with_it(tracking: Tracking, foreign: Lane, hub: str) -> None:
    names = [f"{hub}:{number}" for number in range(300)]
    assert await tracking.call("EXISTS", *names) == 0
    epoch = tracking.epoch
    for name in names[::3]:
        await foreign.call("SET", name, "x")
    await foreign.call("SET", f"{hub}:other", "x")
    assert tracking.changed == set()
    assert await tracking.call("PING") == b"PONG"
    assert tracking.changed == {name.encode() for name in names[::3]}
    tracking.changed.clear()
    await foreign.call("DEL", *names)  # told of once, and not read since
    await tracking.call("PING")
    assert (tracking.changed, tracking.epoch) == (set(), epoch)


async def test_calls_side_by_side_share_the_one_connection(tracking: Tracking, foreign: Lane, hub: str) -> None:
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(tracking.call, "EXISTS", f"{hub}:{number}")
    for number in range(20):
        await foreign.call("SET", f"{hub}:{number}", "x")
    await tracking.call("PING")
    assert (len(tracking.changed), tracking.epoch) == (20, 1)


async def test_a_command_that_fails_forgets_nothing(tracking: Tracking, foreign: Lane, hub: str) -> None:
    await foreign.call("SET", hub, "x")
    await tracking.call("EXISTS", f"{hub}:a")
    with pytest.raises(StoreDamaged):
        await tracking.call("SCARD", hub)
    await foreign.call("SET", f"{hub}:a", "x")
    await tracking.call("PING")
    assert tracking.changed >= {f"{hub}:a".encode()}
    assert tracking.epoch == 1


async def test_an_emptied_database_ends_what_was_known(own_server: Server) -> None:
    lane = Lane(channel_factory(own_server.url))
    tracking = Tracking(lane)
    await tracking.call("EXISTS", "a")
    await lane.call("SET", "a", "x")
    await lane.call("FLUSHALL")
    await tracking.call("PING")
    assert (tracking.changed, tracking.epoch) == (set(), 2)
    await tracking.close()
    await lane.close()
